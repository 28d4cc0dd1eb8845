"""Measures how often a Wan checkpoint films what the prompt says, on combinations that training never saw.

    python -m pipelines.tiny_world.motion --model pipelines/tiny_world/wan --prompts 100

``--judge renders`` judges the renderer's own films instead, and ``--judge shuffled`` films of other prompts: how far
the rules can be trusted. ``--pictures`` also judges single pictures.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import torch
from PIL import Image

from pipelines.tiny_world.adherence import ALL_RIGHT, held_out_prompts, score
from pipelines.tiny_world.checks import check_picture
from pipelines.tiny_world.film_captions import SOME_DIRECTION, film_caption
from pipelines.tiny_world.film_inference import FILM_RECIPES, generate_films, load_film_pipeline
from pipelines.tiny_world.film_tracks import check_motion
from pipelines.tiny_world.inference import Recipe
from pipelines.tiny_world.motions import FILM_SIZES, FRAMES, MOTIONS, Film, random_film, render_film

Score = dict[str, tuple[int, int]]
_CLEAREST: Final = {"up": 0.8, "down": 0.2, "sunset": 0.0, "sunrise": 1.0}
"""The moment whose frame the checks of a picture judge; the middle of other films."""


def held_out_films(count: int, seed: int = 78) -> list[tuple[Film, str]]:
    """Films of held-out combinations, every motion in turn, with a caption each that names all that is checked."""
    rng = random.Random(seed)
    prompts: list[tuple[Film, str]] = []
    while len(prompts) < count:
        film = random_film(rng, held_out=True, motion=MOTIONS[len(prompts) % len(MOTIONS)])
        named = {"ground", "colour"} if film.motion in ("sunset", "sunrise") else {"time", "ground", "colour"}
        if film.scene.subject != "shape" and not named <= film.scene.named:
            continue
        text, told = film_caption(film, rng)
        if told != SOME_DIRECTION:
            prompts.append((film, text))
    return prompts


def check_film(frames: Sequence[Image.Image], film: Film) -> dict[str, bool]:
    """Answers by check: those of ``check_motion``, and those of ``check_picture`` on the clearest frame."""
    clearest = frames[round(_CLEAREST.get(film.motion, 0.5) * (len(frames) - 1))]
    return {**check_motion(frames, film), **check_picture(clearest, film.scene)}


def score_films(films: Sequence[Sequence[Image.Image]], wanted: Sequence[Film]) -> Score:
    """Right answers and answers by check, over all, and by motion."""
    table: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for frames, film in zip(films, wanted, strict=True):
        answers = check_film(frames, film)
        rows = [*answers.items(), (f"{film.motion}: motion", answers["motion"]), (ALL_RIGHT, all(answers.values()))]
        for name, right in rows:
            table[name][0] += int(right)
            table[name][1] += 1
    return {name: (right, total) for name, (right, total) in sorted(table.items())}


def judged_films(
    judge: str, model: Path, prompts: Sequence[tuple[Film, str]], recipe: Recipe
) -> list[list[Image.Image]]:
    """The films to judge: of the checkpoint, of the renderer, or of the renderer for the prompt before."""
    if judge == "checkpoint":
        texts = [text for _, text in prompts]
        return generate_films(load_film_pipeline(model), texts, range(1, len(texts) + 1), recipe)
    films = [render_film(film, FILM_SIZES[0], FRAMES) for film, _ in prompts]
    return films if judge == "renders" else [*films[1:], films[0]]


def judged_pictures(model: Path, count: int, recipe: Recipe) -> Score:
    """How often single pictures show what the prompt says, as ``adherence`` measures it."""
    prompts = held_out_prompts(count)
    texts = [text for _, text in prompts]
    films = generate_films(load_film_pipeline(model), texts, range(1, count + 1), recipe, frames=1, batch=16)
    return score([film[0] for film in films], [scene for scene, _ in prompts])


def report(results: dict[str, Score]) -> str:
    """The results as a Markdown table: a row a check, a column a measurement."""
    lines = [f"| check | {' | '.join(results)} |", f"| --- |{' --- |' * len(results)}"]
    for name in sorted({name for table in results.values() for name in table}):
        cells = []
        for table in results.values():
            right, total = table.get(name, (0, 0))
            cells.append(f"{100 * right / total:.0f} % ({right} of {total})" if total else "")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path(__file__).parent / "wan")
    parser.add_argument("--prompts", type=int, default=100)
    parser.add_argument("--judge", choices=("checkpoint", "renders", "shuffled"), default="checkpoint")
    parser.add_argument(
        "--recipe", choices=sorted(FILM_RECIPES), action="append", help="may be repeated; all recipes by default"
    )
    parser.add_argument("--steps", type=int)
    parser.add_argument("--guidance", type=float)
    parser.add_argument("--pictures", type=int, default=0, help="judge this many single pictures too")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    prompts = held_out_films(options.prompts)
    results: dict[str, Score] = {}
    for name in options.recipe or sorted(FILM_RECIPES):
        base = FILM_RECIPES[name]
        recipe = Recipe(steps=options.steps or base.steps, guidance=options.guidance or base.guidance)
        title = f"{name} ({recipe.steps} steps, guidance {recipe.guidance:g})"
        films = judged_films(options.judge, options.model, prompts, recipe)
        results[title if options.judge == "checkpoint" else options.judge] = score_films(films, [f for f, _ in prompts])
        if options.pictures:
            results[f"pictures, {title}"] = judged_pictures(options.model, options.pictures, recipe)
    print(report(results))
    if options.json:
        options.json.write_text(
            json.dumps({"prompts": options.prompts, "results": results}, indent=1) + "\n", encoding="utf-8"
        )


if __name__ == "__main__":
    main()
