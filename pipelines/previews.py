"""Latents to a small WebP, without the VAE decoder: each latent pixel becomes a colour by a linear map."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image

from pipelines.latents import encode

TILE_PX = 128
WEBP_QUALITY = 60
_FIT_IMAGES = 16
_FIT_LATENT_SIDE = 8
_SDXL_SCALING_FACTOR = 0.13025
_SDXL_VAE_BLOCKS = 4


@dataclass(frozen=True, kw_only=True)
class LatentToRgb:
    """The map rgb = latent @ weights + bias, rgb in [0, 1]: `weights` [channels, 3], `bias` [3], float32 on the CPU."""

    weights: torch.Tensor
    bias: torch.Tensor

    def tiles(self, latents: torch.Tensor) -> torch.Tensor:
        """Return uint8 [n, h, w, 3] of latents [n, channels, h, w]."""
        rgb = latents.detach().float().cpu().permute(0, 2, 3, 1) @ self.weights + self.bias
        return (rgb.nan_to_num(0.5).clamp(0, 1) * 255).round().to(torch.uint8)


# https://huggingface.co/blog/TimothyAlexisVass/explaining-the-sdxl-latent-space (in units of 255 there).
SDXL_LATENT_TO_RGB = LatentToRgb(
    weights=torch.tensor([[60.0, 60.0, 60.0], [-60.0, -5.0, 10.0], [25.0, 15.0, -5.0], [-70.0, -50.0, -35.0]]) / 255,
    bias=torch.tensor([150.0, 140.0, 130.0]) / 255,
)


def latent_to_rgb(vae: Any) -> LatentToRgb:
    """Return the map for `vae`: the published one of the SDXL VAE, otherwise one fitted here (well under a second)."""
    config = vae.config
    published = (
        config.scaling_factor == _SDXL_SCALING_FACTOR
        and config.latent_channels == SDXL_LATENT_TO_RGB.weights.shape[0]
        and len(config.block_out_channels) == _SDXL_VAE_BLOCKS
        and getattr(config, "latents_mean", None) is None
    )
    if published:
        return SDXL_LATENT_TO_RGB
    return fit_latent_to_rgb(lambda pixels: encode(vae, pixels), 2 ** (len(config.block_out_channels) - 1))


def sprite(rgb: torch.Tensor) -> bytes:
    """Return a WebP of the tiles uint8 [n, h, w, 3] side by side, each scaled so that its longer side is 128 pixels."""
    count, height, width = rgb.shape[:3]
    scale = TILE_PX / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    sheet = Image.new("RGB", (size[0] * count, size[1]))
    for i, tile in enumerate(rgb):
        sheet.paste(Image.fromarray(tile.numpy()).resize(size, Image.Resampling.BICUBIC), (size[0] * i, 0))
    buffer = io.BytesIO()
    sheet.save(buffer, "WEBP", quality=WEBP_QUALITY, method=0)
    return buffer.getvalue()


def fit_latent_to_rgb(latents_of: Callable[[torch.Tensor], torch.Tensor], scale: int) -> LatentToRgb:
    """Fit the map by least squares on synthetic pictures of smooth colour and their latents.

    `latents_of` returns [n, channels, h, w] of pixels [n, 3, H, W] in [-1, 1], `scale` times as high and wide.
    """
    generator = torch.Generator().manual_seed(0)
    patches = torch.rand((_FIT_IMAGES, 3, 3, 3), generator=generator)
    side = _FIT_LATENT_SIDE * scale
    pixels = torch.nn.functional.interpolate(patches, size=(side, side), mode="bilinear")
    latents = latents_of(pixels * 2 - 1).float().cpu()
    colours = torch.nn.functional.avg_pool2d(pixels, scale)
    inputs = latents.permute(0, 2, 3, 1).flatten(0, 2)
    inputs = torch.cat([inputs, torch.ones(len(inputs), 1)], dim=1)
    solution = torch.linalg.lstsq(inputs, colours.permute(0, 2, 3, 1).flatten(0, 2)).solution
    return LatentToRgb(weights=solution[:-1].contiguous(), bias=solution[-1].contiguous())
