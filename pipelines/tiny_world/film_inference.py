"""Films and single pictures from an exported Wan checkpoint, for looking at and for measuring."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from diffusers.pipelines.wan.pipeline_wan import WanPipeline
from PIL import Image

from pipelines.tiny_world.inference import Recipe
from pipelines.tiny_world.motions import FILM_SIZES, FRAMES

FILM_RECIPES: Final[dict[str, Recipe]] = {"fast": Recipe(steps=8, guidance=2.5), "high": Recipe(steps=20, guidance=2.5)}


def load_film_pipeline(folder: Path) -> WanPipeline:
    """The checkpoint in fp32, without a progress bar."""
    pipeline = WanPipeline.from_pretrained(folder, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def generate_films(
    pipeline: WanPipeline,
    prompts: Sequence[str],
    seeds: Sequence[int],
    recipe: Recipe,
    *,
    size: tuple[int, int] = FILM_SIZES[0],
    frames: int = FRAMES,
    batch: int = 4,
) -> list[list[Image.Image]]:
    """The frames of one film a prompt and seed; ``size`` is width and height in pixels, one frame is a picture."""
    films: list[list[Image.Image]] = []
    for start in range(0, len(prompts), batch):
        part = list(prompts[start : start + batch])
        arrays = pipeline(
            prompt=part,
            negative_prompt=[""] * len(part),
            width=size[0],
            height=size[1],
            num_frames=frames,
            num_inference_steps=recipe.steps,
            guidance_scale=recipe.guidance,
            generator=[torch.Generator().manual_seed(seed) for seed in seeds[start : start + len(part)]],
            max_sequence_length=pipeline.tokenizer.model_max_length,
            output_type="np",
        ).frames
        pixels = np.rint(np.clip(arrays, 0.0, 1.0) * 255.0).astype(np.uint8)
        films += [[Image.fromarray(frame) for frame in film] for film in pixels]
    return films
