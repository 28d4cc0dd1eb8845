"""The autoencoder: architecture, initialisation and training."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from pipelines.tiny_world.dataset import load_pixels
from pipelines.tiny_world.muon import Muon, muon_groups
from pipelines.tiny_world.renderer import SIZES
from pipelines.tiny_world.training import (
    SAVE_EVERY_S,
    Average,
    Log,
    Progress,
    Settings,
    load_stage,
    maybe_compiled,
    rate_factor,
    save_stage,
    set_rates,
    to_channels_last,
)
from pipelines.tiny_world.upsampling import replace_upsampling

KL_WEIGHT: Final = 1e-4
CROP_PX: Final = 64
CROPS_UNTIL: Final = 0.7
"""Share of the stage trained on 64-pixel crops; the rest sees whole pictures."""
LEARNING_RATE: Final = 1.5e-3


def build_vae(channels: tuple[int, ...]) -> AutoencoderKL:
    """A KL autoencoder that halves the picture ``len(channels) - 1`` times into 4 latent channels."""
    blocks = len(channels)
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * blocks,
        up_block_types=("UpDecoderBlock2D",) * blocks,
        block_out_channels=channels,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=128,
        scaling_factor=1.0,
        force_upcast=False,
        mid_block_add_attention=False,
    )
    start_small(vae)
    return vae


@torch.no_grad()
def start_small(module: nn.Module) -> None:
    """Scales residual branches by 0.1 and starts resampling convolutions as smoothing filters."""
    for name, part in module.named_modules():
        if name.endswith((".conv2", ".to_out.0", ".ff.net.2")) and isinstance(part, nn.Conv2d | nn.Linear):
            part.weight.mul_(0.1)
        elif name.endswith(("downsamplers.0.conv", "upsamplers.0.conv")) and isinstance(part, nn.Conv2d):
            tent = torch.tensor([0.25, 0.5, 0.25])
            part.weight.mul_(0.1)
            for channel in range(min(part.in_channels, part.out_channels)):
                part.weight[channel, channel] += torch.outer(tent, tent)


def picture_batch(pixels: NDArray[np.uint8]) -> Tensor:
    """8-bit pictures ``(n, h, w, 3)`` as floats ``(n, 3, h, w)`` in -1..1."""
    batch = torch.from_numpy(pixels.astype(np.float32)).permute(0, 3, 1, 2)
    return batch.div_(127.5).sub_(1.0).contiguous(memory_format=torch.channels_last)


def _edges(x: Tensor) -> tuple[Tensor, Tensor]:
    return x[..., 1:, :] - x[..., :-1, :], x[..., :, 1:] - x[..., :, :-1]


def reconstruction_loss(vae: Any, pixels: Tensor, noise: Tensor) -> Tensor:
    """L1, edges, 4x-pooled L1 and squared error of a noisy round trip, plus 1e-4 of the KL term."""
    with torch.autocast("cpu", torch.bfloat16):
        moments = vae.quant_conv(vae.encoder(pixels))
        mean, log_variance = moments.float().chunk(2, dim=1)
        log_variance = log_variance.clamp(-20.0, 10.0)
        latents = mean + noise * (0.5 * log_variance).exp()
        restored = vae.decoder(vae.post_quant_conv(latents)).float()
    kl = 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance).mean()
    loss = functional.l1_loss(restored, pixels) + functional.mse_loss(restored, pixels) + KL_WEIGHT * kl
    for first, second in zip(_edges(restored), _edges(pixels), strict=True):
        loss = loss + 0.5 * functional.l1_loss(first, second)
    return loss + functional.l1_loss(functional.avg_pool2d(restored, 4), functional.avg_pool2d(pixels, 4))


def _batches(settings: Settings, progress: Progress) -> Iterator[Tensor]:
    """Endless batches: 64-pixel crops of every format, later whole square pictures."""
    rng = np.random.default_rng(progress.step)
    sources = [load_pixels(settings.state, size) for size in SIZES]
    while True:
        if progress.share >= CROPS_UNTIL:
            rows = np.sort(
                rng.choice(len(sources[0]), min(len(sources[0]), max(1, settings.batch // 8)), replace=False)
            )
            yield picture_batch(sources[0][rows])
            continue
        source = sources[int(rng.choice(3, p=(0.6, 0.2, 0.2)))]
        crops = []
        for row in rng.integers(len(source), size=settings.batch // 2):
            top = int(rng.integers(source.shape[1] - CROP_PX + 1))
            left = int(rng.integers(source.shape[2] - CROP_PX + 1))
            crops.append(source[row, top : top + CROP_PX, left : left + CROP_PX])
        yield picture_batch(np.stack(crops))


def train_vae(settings: Settings, log: Log) -> AutoencoderKL:
    """Trains, or continues to train, the autoencoder; returns it with averaged weights and unit latents."""
    torch.manual_seed(1)
    vae = build_vae(settings.vae_channels)
    to_channels_last(vae)
    replace_upsampling(vae)
    optimizer = Muon(muon_groups(vae, LEARNING_RATE))
    base = [group["lr"] for group in optimizer.param_groups]
    progress = Progress(settings.vae_minutes, settings.most_steps)
    file = settings.state / "vae.pt"
    average = Average(vae, 0.998)
    if parts := load_stage(file, progress, optimizer):
        vae.load_state_dict(parts["model"])
        average.values = parts["average"]
    step = maybe_compiled(reconstruction_loss, settings.compiled)
    saved = time.monotonic()
    batches = _batches(settings, progress)
    while progress.share < 1.0:
        pixels = next(batches)
        set_rates(optimizer, base, min(1.0, (progress.step + 1) / 50) * rate_factor(progress.share))
        loss = step(
            vae,
            pixels,
            torch.randn(len(pixels), 4, pixels.shape[2] // vae_factor(vae), pixels.shape[3] // vae_factor(vae)),
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        progress.step += 1
        average.update(vae, progress.step)
        if progress.step % 50 == 0:
            log.write(
                "vae", step=progress.step, loss=round(float(loss.detach()), 4), seconds=round(progress.seconds, 1)
            )
        if time.monotonic() - saved > SAVE_EVERY_S or progress.share >= 1.0:
            save_stage(file, progress, optimizer, model=vae.state_dict(), average=average.values)
            saved = time.monotonic()
    vae.load_state_dict(average.values)
    return vae


def vae_factor(vae: Any) -> int:
    """How many pixels one latent spans along an axis."""
    return int(2 ** (len(vae.config.block_out_channels) - 1))


@torch.no_grad()
def reconstruction_psnr(vae: AutoencoderKL, pixels: NDArray[np.uint8]) -> float:
    """Peak signal-to-noise ratio in dB over 8-bit pictures ``(n, h, w, 3)``, from the latents' means."""
    picture = picture_batch(pixels)
    restored = vae.decode(vae.encode(picture).latent_dist.mean).sample.clamp(-1.0, 1.0)
    error = functional.mse_loss(restored, picture)
    return float(10.0 * torch.log10(4.0 / error))
