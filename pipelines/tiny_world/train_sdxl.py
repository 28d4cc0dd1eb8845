"""Trains the demo SDXL checkpoint from nothing: autoencoder, text encoders, UNet, export.

    python -m pipelines.tiny_world.train_sdxl --out pipelines/tiny_world/sdxl --minutes 110

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

from pipelines.tiny_world.dataset import load_pixels, load_scenes, render_training_set
from pipelines.tiny_world.export import build_pipeline, export_pipeline
from pipelines.tiny_world.latents import prepare_latents
from pipelines.tiny_world.renderer import SIZES
from pipelines.tiny_world.text import TextTower, train_text
from pipelines.tiny_world.training import Log, Settings
from pipelines.tiny_world.unet_training import train_unet
from pipelines.tiny_world.vae import reconstruction_psnr, train_vae

DEFAULT_STATE: Final = Path(__file__).resolve().parents[2] / ".training" / "tiny_world_sdxl"
_VAE_SHARE, _TEXT_SHARE = 0.085, 0.03


def train(settings: Settings, out: Path) -> None:
    """Runs every stage that is not finished yet and writes the checkpoint to ``out``."""
    log = Log(settings.state)
    # 1. Draw the training set.
    render_training_set(settings.state, settings.scenes)
    # 2. Train the autoencoder and encode the pictures.
    vae = train_vae(settings, log)
    prepare_latents(vae, settings.state)
    pixels, scenes = load_pixels(settings.state, SIZES[0]), load_scenes(settings.state, SIZES[0])
    log.write("vae_done", pictures=len(scenes), psnr_db=round(reconstruction_psnr(vae, pixels[:64]), 2))
    # 3. Train the text encoders.
    tower = train_text(settings, log)
    for parameter in tower.parameters():
        parameter.requires_grad_(False)
    vae_weights = vae.state_dict()

    def export(weights: dict[str, Tensor], step: int, folder: Path = settings.state / "export") -> None:
        _export(settings, weights, vae_weights, tower, folder)
        log.write("export", step=step, folder=str(folder.name))
        shutil.copyfile(log.file, folder / log.file.name)

    # 4. Train the UNet and export its averaged weights.
    unet = train_unet(settings, log, export)
    export(unet.state_dict(), -1, out)


def _export(
    settings: Settings, weights: dict[str, Tensor], vae_weights: dict[str, Tensor], tower: TextTower, folder: Path
) -> None:
    pipeline = build_pipeline(settings, weights, vae_weights, copy.deepcopy(tower))
    export_pipeline(pipeline, folder)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the checkpoint")
    parser.add_argument("--minutes", type=float, default=110.0, help="training time in all")
    parser.add_argument("--state", type=Path, default=DEFAULT_STATE, help="folder of what a restart continues from")
    parser.add_argument("--scenes", type=int, default=Settings.scenes, help="pictures in the training set")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    settings = Settings(
        state=options.state,
        scenes=options.scenes,
        vae_minutes=options.minutes * _VAE_SHARE,
        text_minutes=options.minutes * _TEXT_SHARE,
        unet_minutes=options.minutes * (1.0 - _VAE_SHARE - _TEXT_SHARE),
    )
    train(settings, options.out)


if __name__ == "__main__":
    main()
