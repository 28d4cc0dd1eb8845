"""Pictures are a function of scene and size."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from pipelines.tiny_world.renderer import SIZES, render
from pipelines.tiny_world.scenes import LAYOUT_SIZE, Scene, random_scene


@pytest.mark.parametrize("size", SIZES)
def test_the_same_scene_gives_the_same_pixels(size: tuple[int, int]) -> None:
    scenes = [random_scene(random.Random(9)) for _ in range(2)]
    assert scenes[0] == scenes[1]
    pictures = [render(scene, size) for scene in scenes]
    assert pictures[0].size == size
    assert pictures[0].mode == "RGB"
    assert pictures[0].tobytes() == pictures[1].tobytes()


@pytest.mark.parametrize("subject", ["none", "balloon", "boat", "house", "tree", "house_tree", "shape"])
def test_every_attribute_shows(subject: str) -> None:
    rng = random.Random(3)
    scene = random_scene(rng, subject=subject)
    other = random_scene(rng, subject=subject)
    while other.key == scene.key:
        other = random_scene(rng, subject=subject)
    changed = replace(other, layout=scene.layout, clouds=scene.clouds, birds=scene.birds)
    assert _difference(scene, changed) > 1.0


@pytest.mark.parametrize("number", range(4))
def test_the_layout_moves_things(number: int) -> None:
    scene = Scene(subject="balloon", time="sunset", ground="sea", colour="red")
    layout = [0.5] * LAYOUT_SIZE
    layout[number] = 0.95
    assert _difference(scene, replace(scene, layout=tuple(layout))) > 0.1


def test_nights_are_dark() -> None:
    for ground in ("sea", "desert", "meadow", "snow", "mountains", "city"):
        night, day = (np.asarray(render(Scene(subject="none", time=time, ground=ground))) for time in ("night", "day"))
        assert night.mean() < 0.5 * day.mean()


def _difference(first: Scene, second: Scene) -> float:
    """Mean absolute difference in 8-bit steps."""
    pictures = [np.asarray(render(scene), dtype=np.float64) for scene in (first, second)]
    return float(np.abs(pictures[0] - pictures[1]).mean())
