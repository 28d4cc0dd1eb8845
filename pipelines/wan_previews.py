"""A few moving frames of a film that is still noise, from its latents."""

from __future__ import annotations

import io
from typing import Any

import torch
from PIL import Image

from pipelines.latents import encode
from pipelines.previews import WEBP_QUALITY, LatentToRgb, fit_latent_to_rgb

FILM_FRAMES = 8
FILM_LONGER_SIDE_PX = 192

# The latents WAN 2.1's VAE is normalised by begin so, AutoencoderKLWan's defaults.
_PUBLISHED_MEAN_START = (-0.7571, -0.7089)
_PUBLISHED_CHANNELS = 16
# Figures of https://github.com/comfyanonymous/ComfyUI/blob/master/comfy/latent_formats.py (Wan21), for rgb in [-1, 1].
_FACTORS = [
    [-0.1299, -0.1692, 0.2932],
    [0.0671, 0.0406, 0.0442],
    [0.3568, 0.2548, 0.1747],
    [0.0372, 0.2344, 0.1420],
    [0.0313, 0.0189, -0.0328],
    [0.0296, -0.0956, -0.0665],
    [-0.3477, -0.4059, -0.2925],
    [0.0166, 0.1902, 0.1975],
    [-0.0412, 0.0267, -0.1364],
    [-0.1293, 0.0740, 0.1636],
    [0.0680, 0.3019, 0.1128],
    [0.0032, 0.0581, 0.0639],
    [-0.1251, 0.0927, 0.1699],
    [0.0060, -0.0633, 0.0005],
    [0.3477, 0.2275, 0.2950],
    [0.1984, 0.0913, 0.1861],
]
_BIAS = [-0.1835, -0.0868, -0.3360]
WAN_LATENT_TO_RGB = LatentToRgb(weights=torch.tensor(_FACTORS) / 2, bias=(torch.tensor(_BIAS) + 1) / 2)


def wan_latent_to_rgb(vae: Any) -> LatentToRgb:
    """Return the map for `vae`: the published one of WAN 2.1, otherwise one fitted here on single frames."""
    config = vae.config
    published = config.z_dim == _PUBLISHED_CHANNELS and tuple(config.latents_mean[:2]) == _PUBLISHED_MEAN_START
    if published:
        return WAN_LATENT_TO_RGB
    return fit_latent_to_rgb(lambda pixels: encode(vae, pixels.unsqueeze(2)).squeeze(2), config.scale_factor_spatial)


def film_preview(to_rgb: LatentToRgb, latents: torch.Tensor, duration_s: float) -> bytes:
    """Return an animated WebP that repeats, of at most 8 frames of `latents` [channels, t, h, w], lasting `duration_s`
    altogether and 192 pixels on the longer side."""
    count = min(FILM_FRAMES, latents.shape[1])
    chosen = torch.linspace(0, latents.shape[1] - 1, count).round().long()
    rgb = to_rgb.tiles(latents[:, chosen.to(latents.device)].transpose(0, 1))
    height, width = rgb.shape[1:3]
    scale = FILM_LONGER_SIDE_PX / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    frames = [Image.fromarray(each.numpy()).resize(size, Image.Resampling.BICUBIC) for each in rgb]
    buffer = io.BytesIO()
    frames[0].save(
        buffer,
        "WEBP",
        save_all=True,
        append_images=frames[1:],
        duration=max(1, round(1000 * duration_s / count)),
        loop=0,
        quality=WEBP_QUALITY,
        method=0,
    )
    return buffer.getvalue()
