"""The training set as latents, computed once, and the drawing of batches from it."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import Tensor

from pipelines.tiny_world.captions import caption
from pipelines.tiny_world.coupling import layout_quantiles
from pipelines.tiny_world.dataset import FORMAT_SHARES, load_pixels, load_scenes
from pipelines.tiny_world.renderer import SIZES
from pipelines.tiny_world.scenes import Scene
from pipelines.tiny_world.vae import picture_batch

WEIGHTS_FILE: Final = "weights.json"
"""Optional factors for how often a subject is drawn, such as {"shape": 2}; read again at every export."""


def _latents_file(folder: Path, size: tuple[int, int]) -> Path:
    return folder / f"latents_{size[0]}x{size[1]}.npy"


@torch.no_grad()
def encode_pictures(vae: Any, folder: Path, size: tuple[int, int], batch: int = 32) -> Tensor:
    """Latent means ``(n, 4, h, w)`` of one format's pictures."""
    pixels = load_pixels(folder, size)
    parts = []
    for start in range(0, len(pixels), batch):
        with torch.autocast("cpu", torch.bfloat16):
            moments = vae.quant_conv(vae.encoder(picture_batch(pixels[start : start + batch])))
        parts.append(moments.float().chunk(2, dim=1)[0])
    return torch.cat(parts)


@torch.no_grad()
def fold_statistics(vae: Any, latents: Tensor) -> tuple[Tensor, Tensor]:
    """Makes the VAE's latents zero-mean and of unit variance a channel, so that ``scaling_factor`` is 1.

    Returns the mean and the standard deviation ``(4,)`` that were folded into ``quant_conv`` and ``post_quant_conv``.
    """
    mean, std = latents.mean(dim=(0, 2, 3)), latents.std(dim=(0, 2, 3))
    before, after = vae.quant_conv, vae.post_quant_conv
    channels = len(mean)
    before.weight[:channels] /= std[:, None, None, None]
    before.bias[:channels] = (before.bias[:channels] - mean) / std
    before.bias[channels:] -= 2.0 * std.log()
    after.bias += after.weight[:, :, 0, 0] @ mean
    after.weight *= std[None, :, None, None]
    return mean, std


def prepare_latents(vae: AutoencoderKL, folder: Path) -> None:
    """Encodes every picture, unit-normalises the VAE and keeps both in ``folder``, unless that was done before."""
    done = folder / "vae_final.pt"
    if done.exists():
        vae.load_state_dict(torch.load(done, weights_only=True))
        return
    encoded = {size: encode_pictures(vae, folder, size) for size in SIZES}
    mean, std = fold_statistics(vae, encoded[SIZES[0]])
    for size, latents in encoded.items():
        normal = (latents - mean[None, :, None, None]) / std[None, :, None, None]
        np.save(_latents_file(folder, size), normal.half().numpy())
    torch.save(vae.state_dict(), done)


class LatentSet:
    """All latents in memory, with their scenes, drawn by format and subject."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.latents = [torch.from_numpy(np.load(_latents_file(folder, size))) for size in SIZES]
        self.scenes: list[list[Scene]] = [load_scenes(folder, size) for size in SIZES]
        self.quantiles = [layout_quantiles(scenes) for scenes in self.scenes]
        self.cumulative: list[list[float]] = []
        self.reload_weights()

    def reload_weights(self) -> None:
        """Reads ``WEIGHTS_FILE`` again."""
        file = self.folder / WEIGHTS_FILE
        weights: dict[str, float] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        self.cumulative = [np.cumsum([weights.get(s.subject, 1.0) for s in scenes]).tolist() for scenes in self.scenes]

    def draw(self, rng: random.Random, count: int) -> tuple[Tensor, Tensor, list[str], tuple[int, int]]:
        """A batch of one format: latents, layout quantiles, fresh captions, and (height, width) in pixels."""
        index = rng.choices(range(len(SIZES)), FORMAT_SHARES)[0]
        scenes = self.scenes[index]
        rows = rng.choices(range(len(scenes)), cum_weights=self.cumulative[index], k=count)
        captions = [caption(scenes[row], rng) for row in rows]
        width, height = SIZES[index]
        return self.latents[index][rows].float(), self.quantiles[index][rows], captions, (height, width)
