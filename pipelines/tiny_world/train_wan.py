"""Trains the demo Wan checkpoint from nothing: autoencoder, text encoder, transformer, export.

    python -m pipelines.tiny_world.train_wan --out pipelines/tiny_world/wan --minutes 100

Interrupted, the same command continues where it stopped.
"""

from __future__ import annotations

import argparse
import copy
import shutil
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from pipelines.tiny_world.film_latents import prepare_film_latents
from pipelines.tiny_world.films import load_pixels, render_films
from pipelines.tiny_world.motions import FILM_SIZES
from pipelines.tiny_world.training import Log
from pipelines.tiny_world.wan_export import build_wan_pipeline, export_wan_pipeline
from pipelines.tiny_world.wan_settings import WanSettings
from pipelines.tiny_world.wan_text import train_film_text
from pipelines.tiny_world.wan_training import train_transformer
from pipelines.tiny_world.wan_vae_training import restoration_psnr, train_wan_vae

DEFAULT_STATE: Final = Path(__file__).resolve().parents[2] / ".training" / "tiny_world_wan"
_VAE_SHARE, _TEXT_SHARE = 0.14, 0.03


def train(settings: WanSettings, out: Path) -> None:
    """Runs every stage that is not finished yet and writes the checkpoint to ``out``."""
    log = Log(settings.state)
    # 1. Draw the training set.
    render_films(settings.state, settings.films, settings.pictures, max(1, settings.workers))
    # 2. Train the autoencoder and encode the films.
    vae = train_wan_vae(settings, log)
    prepare_film_latents(vae, settings.state)
    films = load_pixels(settings.state, FILM_SIZES[0], "films")
    log.write("vae_done", films=len(films), psnr_db=round(restoration_psnr(vae, films[:32]), 2))
    # 3. Train the text encoder.
    text = train_film_text(settings, log)

    def export(weights: dict[str, Tensor], step: int, folder: Path = settings.state / "export") -> None:
        export_wan_pipeline(build_wan_pipeline(settings, weights, copy.deepcopy(vae), copy.deepcopy(text)), folder)
        log.write("export", step=step, folder=str(folder.name))
        shutil.copyfile(log.file, folder / log.file.name)

    # 4. Train the transformer and export its averaged weights.
    transformer = train_transformer(settings, log, export)
    export(transformer.state_dict(), -1, out)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the checkpoint")
    parser.add_argument("--minutes", type=float, default=100.0, help="training time in all")
    parser.add_argument("--state", type=Path, default=DEFAULT_STATE, help="folder of what a restart continues from")
    parser.add_argument("--films", type=int, default=WanSettings.films, help="films in the training set")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    settings = WanSettings(
        state=options.state,
        films=options.films,
        vae_minutes=options.minutes * _VAE_SHARE,
        text_minutes=options.minutes * _TEXT_SHARE,
        transformer_minutes=options.minutes * (1.0 - _VAE_SHARE - _TEXT_SHARE),
    )
    train(settings, options.out)


if __name__ == "__main__":
    main()
