"""The film autoencoder's training loop, its latents' statistics, and how well it restores films."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from pipelines.tiny_world.films import load_pixels
from pipelines.tiny_world.motions import FILM_SIZES
from pipelines.tiny_world.muon import Muon, muon_groups
from pipelines.tiny_world.training import (
    SAVE_EVERY_S,
    Average,
    Log,
    Progress,
    load_stage,
    maybe_compiled,
    rate_factor,
    save_stage,
    set_rates,
)
from pipelines.tiny_world.wan_settings import WanSettings
from pipelines.tiny_world.wan_vae import GROUP, build_wan_vae, decode_groups, encode_groups, frame_batch, group_loss

LEARNING_RATE: Final = 1.0e-3
CROP_PX: Final = 64
WHOLE_FROM: Final = 0.75
"""Share of the stage trained on crops; the rest sees whole frames."""
_PICTURE_SHARE: Final = 0.3
"""Weight of single frames, the rest being groups of four."""


def _batches(settings: WanSettings, progress: Progress) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless single frames ``(n, 3, h, w)`` and groups ``(4 n, 3, h, w)``: 64-pixel crops, later whole frames."""
    rng = np.random.default_rng(progress.step)
    size = FILM_SIZES[0]
    films, pictures = (load_pixels(settings.state, size, kind) for kind in ("films", "pictures"))
    while True:
        whole = progress.share >= WHOLE_FROM
        count = max(1, settings.vae_batch * 2 // 3) if whole else settings.vae_batch
        singles, groups = [], []
        for _ in range(count):
            start = 1 + GROUP * int(rng.integers((films.shape[1] - 1) // GROUP))
            clip = films[int(rng.integers(len(films))), start : start + GROUP]
            groups.append(clip if whole else _crop(clip, rng))
        for _ in range(count):
            if rng.random() < 0.5:
                frame = pictures[int(rng.integers(len(pictures)))]
            else:
                frame = films[int(rng.integers(len(films))), :1]
            singles.append(frame if whole else _crop(frame, rng))
        yield frame_batch(np.stack(singles)), frame_batch(np.stack(groups))


def _crop(clip: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    top = int(rng.integers(clip.shape[1] - CROP_PX + 1))
    left = int(rng.integers(clip.shape[2] - CROP_PX + 1))
    return clip[:, top : top + CROP_PX, left : left + CROP_PX]


def _both_losses(vae: Any, singles: Tensor, groups: Tensor, noises: tuple[Tensor, Tensor]) -> Tensor:
    single = group_loss(vae, singles, noises[0], 1)
    return _PICTURE_SHARE * single + (1.0 - _PICTURE_SHARE) * group_loss(vae, groups, noises[1], GROUP)


def _noise(settings: WanSettings, count: int, pixels: Tensor) -> Tensor:
    factor = 2 ** (len(settings.vae_multipliers) - 1)
    return torch.randn(count, settings.latent_channels, pixels.shape[2] // factor, pixels.shape[3] // factor)


def train_wan_vae(settings: WanSettings, log: Log) -> AutoencoderKLWan:
    """Trains, or continues to train, the autoencoder; returns it with averaged weights."""
    torch.manual_seed(1)
    vae = build_wan_vae(settings)
    optimizer = Muon(muon_groups(vae, LEARNING_RATE))
    base = [LEARNING_RATE] * len(optimizer.param_groups)
    progress = Progress(settings.vae_minutes, settings.most_steps)
    file = settings.state / "vae.pt"
    average = Average(vae, 0.998)
    if parts := load_stage(file, progress, optimizer):
        vae.load_state_dict(parts["model"])
        average.values = parts["average"]
    step = maybe_compiled(_both_losses, settings.compiled)
    saved = time.monotonic()
    batches = _batches(settings, progress)
    while progress.share < 1.0:
        singles, groups = next(batches)
        set_rates(optimizer, base, min(1.0, (progress.step + 1) / 50) * rate_factor(progress.share))
        noises = _noise(settings, len(singles), singles), _noise(settings, len(groups) // GROUP, groups)
        loss = step(vae, singles, groups, noises)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        progress.step += 1
        average.update(vae, progress.step)
        if progress.step % 25 == 0:
            log.write(
                "vae", step=progress.step, loss=round(float(loss.detach()), 4), seconds=round(progress.seconds, 1)
            )
        if time.monotonic() - saved > SAVE_EVERY_S or progress.share >= 1.0:
            save_stage(file, progress, optimizer, model=vae.state_dict(), average=average.values)
            saved = time.monotonic()
    vae.load_state_dict(average.values)
    return vae


@torch.no_grad()
def encode_films(vae: Any, pixels: NDArray[np.uint8], batch: int = 8) -> Tensor:
    """Latent means ``(n, z, 1 + (frames - 1) / 4, h, w)`` of films ``(n, frames, 4h, 4w, 3)``."""
    parts = []
    for start in range(0, len(pixels), batch):
        clip = pixels[start : start + batch]
        with torch.autocast("cpu", torch.bfloat16):
            latents = [encode_groups(vae, frame_batch(clip[:, :1]), 1)[0][:, :, None]]
            if clip.shape[1] > 1:
                later = encode_groups(vae, frame_batch(clip[:, 1:]), GROUP)[0]
                latents.append(later.unflatten(0, (len(clip), -1)).transpose(1, 2))
        parts.append(torch.cat(latents, dim=2))
    return torch.cat(parts)


@torch.no_grad()
def decode_films(vae: Any, latents: Tensor) -> NDArray[np.uint8]:
    """8-bit films ``(n, frames, h, w, 3)`` from latents as ``encode_films`` gives them."""
    first = decode_groups(vae, latents[:, :, 0], 1)[:, None]
    films = first
    if latents.shape[2] > 1:
        later = decode_groups(vae, latents[:, :, 1:].transpose(1, 2).flatten(0, 1), GROUP)
        films = torch.cat([first, later.unflatten(0, (len(latents), -1))], dim=1)
    pixels: NDArray[np.uint8] = films.clamp(-1.0, 1.0).add(1.0).mul(127.5).round().byte().permute(0, 1, 3, 4, 2).numpy()
    return pixels


def restoration_psnr(vae: Any, pixels: NDArray[np.uint8]) -> float:
    """Peak signal-to-noise ratio in dB over 8-bit films ``(n, frames, h, w, 3)``, from the latents' means."""
    restored = decode_films(vae, encode_films(vae, pixels))
    error = functional.mse_loss(torch.from_numpy(restored).float(), torch.from_numpy(np.array(pixels)).float())
    return float(10.0 * torch.log10(255.0**2 / error))
