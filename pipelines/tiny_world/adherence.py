"""Measures how often a checkpoint draws what the prompt says, on attribute combinations that training never saw.

python -m pipelines.tiny_world.adherence --model pipelines/tiny_world/sdxl --prompts 240 --json adherence.json
"""

from __future__ import annotations

import argparse
import json
import random
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import torch
from PIL import Image

from pipelines.tiny_world.captions import caption
from pipelines.tiny_world.checks import check_picture
from pipelines.tiny_world.inference import RECIPES, generate, load_pipeline
from pipelines.tiny_world.scenes import Scene, random_scene

ALL_RIGHT: Final = "all checks of a prompt"
OVERALL: Final = "overall (all checks)"


def held_out_prompts(count: int, seed: int = 77) -> list[tuple[Scene, str]]:
    """Scenes of held-out combinations with a caption each that names time, ground and colour."""
    rng = random.Random(seed)
    prompts: list[tuple[Scene, str]] = []
    while len(prompts) < count:
        scene = random_scene(rng, held_out=True)
        if scene.subject == "shape" or {"time", "ground", "colour"} <= scene.named:
            prompts.append((scene, caption(scene, rng)))
    return prompts


def score(pictures: Sequence[Image.Image], scenes: Sequence[Scene]) -> dict[str, tuple[int, int]]:
    """Right answers and answers by ``subject: check``, by check, over all, and by prompt."""
    table: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for picture, scene in zip(pictures, scenes, strict=True):
        answers = check_picture(picture, scene)
        rows = [
            (name, right) for check, right in answers.items() for name in (check, f"{scene.subject}: {check}", OVERALL)
        ]
        rows.append((f"{scene.subject}: {ALL_RIGHT}", all(answers.values())))
        rows.append((ALL_RIGHT, all(answers.values())))
        for name, right in rows:
            table[name][0] += int(right)
            table[name][1] += 1
    return {name: (right, total) for name, (right, total) in sorted(table.items())}


def measure(model: Path, count: int, recipes: Sequence[str]) -> dict[str, dict[str, tuple[int, int]]]:
    """Scores by recipe."""
    pipeline = load_pipeline(model)
    prompts = held_out_prompts(count)
    results = {}
    for name in recipes:
        pictures = generate(pipeline, [text for _, text in prompts], range(1, count + 1), RECIPES[name])
        results[name] = score(pictures, [scene for scene, _ in prompts])
    return results


def report(results: dict[str, dict[str, tuple[int, int]]]) -> str:
    """The results as a Markdown table: a row a check, a column a recipe."""
    recipes = list(results)
    titles = [f"{r} ({RECIPES[r].steps} steps, guidance {RECIPES[r].guidance:g})" for r in recipes]
    lines = [f"| check | {' | '.join(titles)} |", f"| --- |{' --- |' * len(recipes)}"]
    for name in results[recipes[0]]:
        cells = []
        for recipe in recipes:
            right, total = results[recipe][name]
            cells.append(f"{100 * right / total:.1f} % ({right} of {total})")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--prompts", type=int, default=240)
    parser.add_argument(
        "--recipe", choices=sorted(RECIPES), action="append", help="may be repeated; all recipes by default"
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    results = measure(options.model, options.prompts, options.recipe or sorted(RECIPES))
    print(report(results))
    if options.json:
        payload: dict[str, Any] = {"prompts": options.prompts, "results": results}
        options.json.write_text(json.dumps(payload, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
