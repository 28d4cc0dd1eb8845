from __future__ import annotations

import dataclasses

import pytest

from pipelines.checkpoints import Checkpoint, resolve
from pipelines.recipes import QUALITIES, SCHEDULER_NAMES, Recipe, recipe

BASE = resolve("sdxl", "full")
DEMO = dataclasses.replace(BASE, demo=True)


def named(name: str) -> Checkpoint:
    return dataclasses.replace(BASE, name=name)


def test_the_demo_is_drawn_in_four_and_in_twelve_steps() -> None:
    assert recipe(DEMO, "fast") == Recipe(steps=4, guidance=2.5, scheduler="euler")
    assert recipe(DEMO, "high").steps == 12


def test_a_base_model_is_never_asked_for_four_steps() -> None:
    assert recipe(BASE, "fast").steps >= 8
    assert recipe(BASE, "fast").guidance > 1
    assert recipe(BASE, "high").steps > recipe(BASE, "fast").steps


@pytest.mark.parametrize(
    ("name", "scheduler"),
    [
        ("realvisxlV50_lightning", "euler"),
        ("sdxl-turbo", "euler_a"),
        ("Model_DMD2_v1", "lcm"),
        ("hyperXL", "euler"),
    ],
)
def test_a_distilled_model_is_known_by_its_name(name: str, scheduler: str) -> None:
    fast = recipe(named(name), "fast")
    assert (fast.steps, fast.guidance, fast.scheduler) == (4, 0.0, scheduler)
    assert recipe(named(name), "high").steps == 8


@pytest.mark.parametrize("name", ["juggernautXL_v9", "calcmodel", "greenlightning_not"])
def test_a_name_that_only_contains_the_letters_is_a_base_model(name: str) -> None:
    assert recipe(named(name), "fast").guidance > 1


def test_few_step_weights_serve_fast_jobs_only() -> None:
    checkpoint = dataclasses.replace(BASE, few_step="/models/sdxl_lightning_4step_unet.safetensors")
    assert recipe(checkpoint, "fast") == Recipe(steps=4, guidance=0.0, scheduler="euler")
    assert recipe(checkpoint, "high") == recipe(BASE, "high")


def test_another_quality_is_an_error() -> None:
    with pytest.raises(KeyError):
        recipe(DEMO, "ultra")


def test_every_recipe_names_a_known_scheduler() -> None:
    names = {recipe(checkpoint, q).scheduler for checkpoint in (BASE, DEMO, named("x_lcm")) for q in QUALITIES}
    assert names <= set(SCHEDULER_NAMES)
