"""Pictures from an exported checkpoint, for looking at and for measuring."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl import StableDiffusionXLPipeline
from PIL import Image


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to sample: number of steps and guidance scale (1 is no guidance, and half the work)."""

    steps: int
    guidance: float


RECIPES: Final[dict[str, Recipe]] = {"fast": Recipe(steps=4, guidance=2.5), "high": Recipe(steps=12, guidance=2.5)}


def load_pipeline(folder: Path) -> StableDiffusionXLPipeline:
    """The checkpoint in fp32, without a progress bar."""
    pipeline = StableDiffusionXLPipeline.from_pretrained(folder, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def generate(
    pipeline: StableDiffusionXLPipeline,
    prompts: Sequence[str],
    seeds: Sequence[int],
    recipe: Recipe,
    *,
    size: tuple[int, int] = (128, 128),
    batch: int = 12,
) -> list[Image.Image]:
    """One picture a prompt and seed; ``size`` is width and height in pixels."""
    pictures: list[Image.Image] = []
    for start in range(0, len(prompts), batch):
        part = list(prompts[start : start + batch])
        pictures += pipeline(
            prompt=part,
            width=size[0],
            height=size[1],
            num_inference_steps=recipe.steps,
            guidance_scale=recipe.guidance,
            generator=[torch.Generator().manual_seed(seed) for seed in seeds[start : start + len(part)]],
        ).images
    return pictures
