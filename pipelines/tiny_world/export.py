"""Writes the trained parts as an ordinary SDXL checkpoint folder."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Final

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl import StableDiffusionXLPipeline
from torch import Tensor

from pipelines.tiny_world.text import TextTower
from pipelines.tiny_world.training import Settings
from pipelines.tiny_world.unet import build_scheduler, build_unet
from pipelines.tiny_world.vae import build_vae

LARGEST_SHARD: Final = "9MB"
_READABLE: Final = 0o644


def build_pipeline(
    settings: Settings, unet_weights: dict[str, Tensor], vae_weights: dict[str, Tensor], tower: TextTower
) -> StableDiffusionXLPipeline:
    """An ordinary SDXL pipeline in fp32 of plain library classes."""
    unet = build_unet(settings)
    unet.load_state_dict(unet_weights)
    vae: AutoencoderKL = build_vae(settings.vae_channels)
    vae.load_state_dict(vae_weights)
    scheduler: Any = build_scheduler()
    return StableDiffusionXLPipeline(
        vae=vae,
        text_encoder=tower.first,
        text_encoder_2=tower.second,
        tokenizer=tower.tokenizer,
        tokenizer_2=tower.tokenizer,
        unet=unet,
        scheduler=scheduler,
        force_zeros_for_empty_prompt=True,
        add_watermarker=False,
    )


def export_pipeline(pipeline: StableDiffusionXLPipeline, folder: Path) -> None:
    """Writes half-precision safetensors; the pipeline is cast to fp16 by that."""
    pipeline.to(dtype=torch.float16)
    save_pipeline(pipeline, folder)


def save_pipeline(pipeline: DiffusionPipeline, folder: Path) -> None:
    """Writes safetensors in shards under 10 MB, readable by everyone, replacing the folder's parts at the end.

    A README.md and other files that are not the pipeline's are kept.
    """
    scratch = folder.with_name(folder.name + ".part")
    shutil.rmtree(scratch, ignore_errors=True)
    pipeline.save_pretrained(scratch, safe_serialization=True, max_shard_size=LARGEST_SHARD)
    folder.mkdir(parents=True, exist_ok=True)
    for part in scratch.iterdir():
        target = folder / part.name
        if target.is_dir():
            shutil.rmtree(target)
        shutil.move(part, target)
    scratch.rmdir()
    for file in folder.rglob("*"):
        if file.is_file():
            file.chmod(_READABLE)
