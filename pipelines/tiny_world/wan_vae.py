"""The film autoencoder: architecture, initialisation, and a fast equivalent of its forward pass for training.

``AutoencoderKLWan`` runs over a film in chunks: the first frame, then four frames at a time, with caches between them.
Here every weight that looks back over a frame is zero and stays zero (it is never given a gradient), except that time
is halved twice by joining neighbouring frames of one chunk. So a film is coded as independent groups of 1, 4, 4, ...
frames, all convolutions are two-dimensional while training, and nothing can smear from earlier frames into later ones.
At the start, half of the channels carry the first of two joined frames and half the second.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import (
    AutoencoderKLWan,
    WanCausalConv3d,
    WanResample,
    WanResidualBlock,
)
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from pipelines.tiny_world.wan_settings import WanSettings

KL_WEIGHT: Final = 1e-4
CHANGE_WEIGHT: Final = 1.0
"""Weight of the error of differences between neighbouring frames."""
GROUP: Final = 4
"""Frames that share a latent frame, after the first frame that has one of its own."""


def build_wan_vae(settings: WanSettings) -> AutoencoderKLWan:
    """Compresses space by four and time by four, with untrained weights."""
    multipliers = list(settings.vae_multipliers)
    channels = settings.latent_channels
    vae = AutoencoderKLWan(
        base_dim=settings.vae_width,
        z_dim=channels,
        dim_mult=multipliers,
        num_res_blocks=1,
        attn_scales=[],
        temperal_downsample=[True] * (len(multipliers) - 1),
        latents_mean=[0.0] * channels,
        latents_std=[1.0] * channels,
        scale_factor_spatial=2 ** (len(multipliers) - 1),
        scale_factor_temporal=GROUP,
    )
    start_frame_by_frame(vae)
    return vae


@torch.no_grad()
def start_frame_by_frame(vae: nn.Module) -> None:
    """Zeroes weights on earlier frames, shrinks residual branches, and joins and parts frames by channels."""
    for module in vae.modules():
        if isinstance(module, WanCausalConv3d):
            module.weight[:, :, :-1] = 0.0
            module.weight[:, :, -1] *= 3**0.5 if module.weight.shape[2] > 1 else 1.0
    for name, module in vae.named_modules():
        if isinstance(module, WanResidualBlock):
            module.conv2.weight *= 0.1
        elif isinstance(module, WanResample):
            _smooth(module.resample[1], down=module.mode.startswith("down"))
            if hasattr(module, "time_conv"):
                _join_or_part(module)
        elif name.endswith(".attentions.0"):
            for part in (module.to_qkv, module.proj):
                nn.init.zeros_(part.weight)
                nn.init.zeros_(part.bias)


def _smooth(conv: Any, *, down: bool) -> None:
    tent = torch.tensor([0.25, 0.5, 0.25])
    conv.weight.mul_(0.3 if down else 0.1)
    for channel in range(min(conv.in_channels, conv.out_channels)):
        conv.weight[channel, channel] += torch.outer(tent, tent)


def _join_or_part(block: Any) -> None:
    """Sets the convolution over time: half of the channels for the earlier of two frames, half for the later."""
    weight, width = block.time_conv.weight, block.dim
    nn.init.zeros_(weight)
    nn.init.zeros_(block.time_conv.bias)
    half = width // 2
    for channel in range(half):
        if block.mode == "downsample3d":
            weight[channel, channel, 1] = 1.0
            weight[half + channel, channel, 2] = 1.0
        else:
            for copy in (channel, half + channel):
                weight[copy, channel, 2] = 1.0
                weight[width + copy, half + channel, 2] = 1.0


def _conv(conv: Any, x: Tensor) -> Tensor:
    """The convolution on the newest frame alone; ``x`` is ``(n, c, h, w)``."""
    return functional.conv2d(x, conv.weight[:, :, -1], conv.bias, padding=conv.weight.shape[-1] // 2)


def _norm(norm: Any, x: Tensor) -> Tensor:
    x32 = x.float()
    scale = torch.rsqrt(x32.square().sum(dim=1, keepdim=True).clamp_min(1e-24)) * norm.scale
    return (x32 * scale).to(x.dtype) * norm.gamma.view(1, -1, 1, 1)


def _residual(block: Any, x: Tensor) -> Tensor:
    short = _conv(block.conv_shortcut, x) if isinstance(block.conv_shortcut, nn.Conv3d) else x
    hidden = _conv(block.conv1, functional.silu(_norm(block.norm1, x)))
    return _conv(block.conv2, functional.silu(_norm(block.norm2, hidden))) + short


def _down(block: Any, x: Tensor, frames: int) -> tuple[Tensor, int]:
    conv = block.resample[1]
    x = functional.conv2d(functional.pad(x, (0, 1, 0, 1)), conv.weight, conv.bias, stride=2)
    if frames == 1:
        return x, 1
    weight = block.time_conv.weight[:, :, :, 0, 0]
    pairs = x.reshape(-1, 2, *x.shape[1:])
    joined = torch.cat([pairs[:, 0], pairs[:, 1]], dim=1)
    kernel = torch.cat([weight[:, :, 1], weight[:, :, 2]], dim=1)[:, :, None, None]
    return functional.conv2d(joined, kernel, block.time_conv.bias), frames // 2


def _up(block: Any, x: Tensor, grouped: bool) -> Tensor:
    if grouped:
        parted = functional.conv2d(x, block.time_conv.weight[:, :, 2, 0, 0, None, None], block.time_conv.bias)
        n, c, h, w = parted.shape
        x = parted.reshape(n, 2, c // 2, h, w).reshape(2 * n, c // 2, h, w)
    n, c, h, w = x.shape
    # Repeating by expand, not interpolate: see upsampling.py.
    x = x[:, :, :, None, :, None].expand(n, c, h, 2, w, 2).reshape(n, c, 2 * h, 2 * w)
    conv = block.resample[1]
    return functional.conv2d(x, conv.weight, conv.bias, padding=1)


def encode_groups(vae: Any, pixels: Tensor, frames: int) -> tuple[Tensor, Tensor]:
    """Mean and log variance ``(n, z, h, w)`` of groups of ``frames`` (1 or 4) frames ``(n * frames, 3, 4h, 4w)``."""
    encoder = vae.encoder
    x = _conv(encoder.conv_in, pixels)
    for layer in encoder.down_blocks:
        if isinstance(layer, WanResample):
            x, frames = _down(layer, x, frames)
        else:
            x = _residual(layer, x)
    for block in encoder.mid_block.resnets:
        x = _residual(block, x)
    x = _conv(encoder.conv_out, functional.silu(_norm(encoder.norm_out, x)))
    mean, log_variance = _conv(vae.quant_conv, x).float().chunk(2, dim=1)
    return mean, log_variance.clamp(-20.0, 10.0)


def decode_groups(vae: Any, latents: Tensor, frames: int) -> Tensor:
    """Pixels ``(n * frames, 3, 4h, 4w)`` of groups of ``frames`` (1 or 4) frames, from latents ``(n, z, h, w)``."""
    decoder = vae.decoder
    x = _conv(decoder.conv_in, _conv(vae.post_quant_conv, latents))
    for block in decoder.mid_block.resnets:
        x = _residual(block, x)
    for part in decoder.up_blocks:
        for block in part.resnets:
            x = _residual(block, x)
        if part.upsamplers is not None:
            x = _up(part.upsamplers[0], x, frames > 1)
    return _conv(decoder.conv_out, functional.silu(_norm(decoder.norm_out, x))).float()


def _edges(x: Tensor) -> tuple[Tensor, Tensor]:
    return x[..., 1:, :] - x[..., :-1, :], x[..., :, 1:] - x[..., :, :-1]


def group_loss(vae: Any, pixels: Tensor, noise: Tensor, frames: int) -> Tensor:
    """L1, edges, 4x-pooled L1, squared error and change between frames of a noisy round trip, plus 1e-4 of the KL."""
    with torch.autocast("cpu", torch.bfloat16):
        mean, log_variance = encode_groups(vae, pixels, frames)
        latents = mean + noise * (0.5 * log_variance).exp()
        restored = decode_groups(vae, latents, frames)
    kl = 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance).mean()
    loss = functional.l1_loss(restored, pixels) + functional.mse_loss(restored, pixels) + KL_WEIGHT * kl
    for first, second in zip(_edges(restored), _edges(pixels), strict=True):
        loss = loss + 0.5 * functional.l1_loss(first, second)
    loss = loss + functional.l1_loss(functional.avg_pool2d(restored, 4), functional.avg_pool2d(pixels, 4))
    if frames > 1:
        error = (restored - pixels).unflatten(0, (-1, frames))
        loss = loss + CHANGE_WEIGHT * (error[:, 1:] - error[:, :-1]).abs().mean()
    return loss


def frame_batch(pixels: NDArray[np.uint8]) -> Tensor:
    """8-bit frames ``(..., h, w, 3)`` as floats ``(n, 3, h, w)`` in -1..1, leading axes joined."""
    flat = pixels.reshape(-1, *pixels.shape[-3:]).astype(np.float32)
    return torch.from_numpy(flat).permute(0, 3, 1, 2).div(127.5).sub(1.0).contiguous(memory_format=torch.channels_last)
