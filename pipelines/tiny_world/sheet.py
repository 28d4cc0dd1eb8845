"""Writes a contact sheet of generated pictures.

python -m pipelines.tiny_world.sheet --model pipelines/tiny_world/sdxl --out sheet.png "a red balloon"
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import torch
from PIL import Image

from pipelines.tiny_world.inference import RECIPES, Recipe, generate, load_pipeline

SHOWCASE: Final = (
    "a red balloon over the sea at sunset",
    "a sailboat with a white sail at night, cinematic",
    "a blue hot air balloon over snowy mountains",
    "a yellow cottage in a meadow on a sunny day",
    "the city at night",
    "a palm tree in the desert at dawn",
    "a red circle on a blue background",
    "a pink heart on a white background",
    "ocean, golden hour",
    "snowy mountains under the stars",
    "a green balloon over the snow",
    "a purple balloon above the skyline at dusk",
    "an orange ship on the ocean at sunrise",
    "a house and a tree in the snow at night",
    "a white balloon over a desert at midnight",
    "a black triangle on yellow",
)


def contact_sheet(pictures: Sequence[Image.Image], columns: int) -> Image.Image:
    """Equal pictures in rows, from left to right."""
    width, height = pictures[0].size
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * width, rows * height))
    for index, picture in enumerate(pictures):
        sheet.paste(picture, (index % columns * width, index // columns * height))
    return sheet


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prompts", nargs="*", help="one picture each; the showcase prompts if none are given")
    parser.add_argument("--model", type=Path, default=Path(__file__).parent / "sdxl")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--recipe", choices=sorted(RECIPES), default="fast")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--guidance", type=float)
    parser.add_argument("--seed", type=int, default=0, help="seed of the first picture; each further one adds 1")
    parser.add_argument("--repeat", type=int, default=1, help="pictures of each prompt")
    parser.add_argument("--size", type=int, nargs=2, default=(128, 128), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--columns", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    base = RECIPES[options.recipe]
    recipe = Recipe(
        steps=base.steps if options.steps is None else options.steps,
        guidance=base.guidance if options.guidance is None else options.guidance,
    )
    prompts = [prompt for prompt in (options.prompts or SHOWCASE) for _ in range(options.repeat)]
    seeds = range(options.seed, options.seed + len(prompts))
    size = (options.size[0], options.size[1])
    pictures = generate(load_pipeline(options.model), prompts, seeds, recipe, size=size)
    contact_sheet(pictures, options.columns).save(options.out)


if __name__ == "__main__":
    main()
