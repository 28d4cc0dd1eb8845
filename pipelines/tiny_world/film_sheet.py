"""Writes a contact sheet of generated films: a row a film, five frames from first to last.

python -m pipelines.tiny_world.film_sheet --model pipelines/tiny_world/wan --out films.png "a boat sails left at night"
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import torch
from PIL import Image

from pipelines.tiny_world.film_inference import FILM_RECIPES, generate_films, load_film_pipeline
from pipelines.tiny_world.inference import Recipe
from pipelines.tiny_world.motions import FILM_SIZES, FRAMES
from pipelines.tiny_world.sheet import contact_sheet

SHOWCASE: Final = (
    "a red sailboat sails left on the sea at night",
    "a white boat sailing to the right at sunset",
    "a balloon rises over snow at dawn",
    "a yellow hot air balloon descends over the city by day",
    "a purple balloon drifts to the left over the mountains",
    "a green balloon flies to the right over the desert at dusk",
    "the sun sets over the sea",
    "the sun rises behind a house in the snow",
    "clouds drift to the right over a meadow",
    "clouds drift left over the ocean at night",
    "a blue boat on the sea at dawn",
    "a pink heart on a white background",
)
SHOWN: Final = 5


def strip(film: Sequence[Image.Image], count: int = SHOWN) -> list[Image.Image]:
    """``count`` frames spread evenly from the first to the last; a picture is repeated."""
    return [film[round(index * (len(film) - 1) / max(1, count - 1))] for index in range(count)]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prompts", nargs="*", help="one film each; the showcase prompts if none are given")
    parser.add_argument("--model", type=Path, default=Path(__file__).parent / "wan")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--recipe", choices=sorted(FILM_RECIPES), default="fast")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--guidance", type=float)
    parser.add_argument("--seed", type=int, default=0, help="seed of the first film; each further one adds 1")
    parser.add_argument("--size", type=int, nargs=2, default=FILM_SIZES[0], metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--frames", type=int, default=FRAMES)
    parser.add_argument("--films-a-row", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    base = FILM_RECIPES[options.recipe]
    recipe = Recipe(
        steps=base.steps if options.steps is None else options.steps,
        guidance=base.guidance if options.guidance is None else options.guidance,
    )
    prompts = options.prompts or SHOWCASE
    seeds = range(options.seed, options.seed + len(prompts))
    size = (options.size[0], options.size[1])
    films = generate_films(load_film_pipeline(options.model), prompts, seeds, recipe, size=size, frames=options.frames)
    shown = 1 if options.frames == 1 else SHOWN
    contact_sheet([frame for film in films for frame in strip(film, shown)], shown * options.films_a_row).save(
        options.out
    )


if __name__ == "__main__":
    main()
