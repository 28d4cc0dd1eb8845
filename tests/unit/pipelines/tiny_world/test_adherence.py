"""The checker is right on the renderer's own pictures and says no to others'."""

from __future__ import annotations

import random

from PIL import Image

from pipelines.tiny_world.adherence import ALL_RIGHT, OVERALL, held_out_prompts, report, score
from pipelines.tiny_world.checks import check_picture
from pipelines.tiny_world.renderer import SIZES, render
from pipelines.tiny_world.scenes import Scene, random_scene


def _scenes(count: int) -> list[Scene]:
    rng = random.Random(21)
    return [random_scene(rng, held_out=index % 2 == 0) for index in range(count)]


def test_true_pictures_pass() -> None:
    scenes = _scenes(120)
    pictures = [render(scene, SIZES[index % 3]) for index, scene in enumerate(scenes)]
    table = score(pictures, scenes)
    right, total = table[OVERALL]
    assert right / total >= 0.98
    right, total = table[ALL_RIGHT]
    assert right / total >= 0.96


def test_pictures_of_other_prompts_fail() -> None:
    scenes = _scenes(60)
    pictures = [render(scene) for scene in scenes[7:] + scenes[:7]]
    table = score(pictures, scenes)
    right, total = table[ALL_RIGHT]
    assert right / total <= 0.05
    right, total = table[OVERALL]
    assert right / total <= 0.30


def test_a_blank_picture_fails() -> None:
    for scene in _scenes(30):
        assert not all(check_picture(Image.new("RGB", (128, 128), (128, 128, 128)), scene).values())


def test_only_the_wrong_attribute_is_blamed() -> None:
    truth = Scene(subject="balloon", time="day", ground="meadow", colour="green")
    asked = Scene(subject="balloon", time="day", ground="snow", colour="green")
    assert check_picture(render(truth), asked) == {"time": True, "ground": False, "subject": True, "colour": True}


def test_held_out_prompts_are_held_out_and_repeatable() -> None:
    prompts = held_out_prompts(80)
    assert prompts == held_out_prompts(80)
    assert all(scene.held_out for scene, _ in prompts)
    assert len({text for _, text in prompts}) > 75


def test_the_report_has_a_row_a_check() -> None:
    scenes = _scenes(8)
    table = report({"fast": score([render(scene) for scene in scenes], scenes)})
    assert table.startswith("| check | fast (4 steps")
    assert ALL_RIGHT in table
