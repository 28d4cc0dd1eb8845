"""The training set as film latents, computed once, and the drawing of batches from it."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
from torch import Tensor

from pipelines.tiny_world.coupling import layout_quantiles
from pipelines.tiny_world.film_captions import film_caption
from pipelines.tiny_world.films import FORMAT_SHARES, films_file, load_films, load_pixels
from pipelines.tiny_world.motions import FILM_SIZES
from pipelines.tiny_world.wan_vae_training import encode_films

KINDS: Final = ("films", "pictures")


def _statistics_file(folder: Path) -> Path:
    return folder / "latent_statistics.pt"


def _latents_file(folder: Path, size: tuple[int, int], kind: str) -> Path:
    return films_file(folder, size, f"latents_{kind}")


def prepare_film_latents(vae: AutoencoderKLWan, folder: Path) -> None:
    """Encodes every film and picture and gives the VAE's config its latents' statistics, unless that was done."""
    if not _statistics_file(folder).exists():
        for size in FILM_SIZES:
            for kind in KINDS:
                latents = encode_films(vae, load_pixels(folder, size, kind))
                np.save(_latents_file(folder, size, kind), latents.half().numpy())
                if size == FILM_SIZES[0] and kind == "films":
                    mean, std = latents.mean(dim=(0, 2, 3, 4)), latents.std(dim=(0, 2, 3, 4))
        torch.save({"mean": mean, "std": std}, _statistics_file(folder))
    statistics: dict[str, Any] = torch.load(_statistics_file(folder), weights_only=True)
    vae.register_to_config(latents_mean=statistics["mean"].tolist(), latents_std=statistics["std"].tolist())


class FilmSet:
    """All latents in memory, with their films, drawn by kind and format."""

    def __init__(self, folder: Path) -> None:
        statistics: dict[str, Tensor] = torch.load(_statistics_file(folder), weights_only=True)
        self.mean, self.std = (statistics[name][None, :, None, None, None] for name in ("mean", "std"))
        self.latents = {
            kind: [torch.from_numpy(np.load(_latents_file(folder, size, kind))) for size in FILM_SIZES]
            for kind in KINDS
        }
        self.films = {kind: [load_films(folder, size, kind) for size in FILM_SIZES] for kind in KINDS}
        self.quantiles = {
            kind: [layout_quantiles([film.scene for film in films]) for films in self.films[kind]] for kind in KINDS
        }

    def draw(self, rng: random.Random, kind: str, count: int) -> tuple[Tensor, Tensor, list[str]]:
        """A batch of one kind and format: unit latents ``(n, z, t, h, w)``, layout quantiles, and fresh captions."""
        index = rng.choices(range(len(FILM_SIZES)), FORMAT_SHARES)[0]
        films = self.films[kind][index]
        rows = rng.choices(range(len(films)), k=count)
        latents = (self.latents[kind][index][rows].float() - self.mean) / self.std
        return latents, self.quantiles[kind][index][rows], [film_caption(films[row], rng)[0] for row in rows]
