from __future__ import annotations

import dataclasses

import pytest

from pipelines.checkpoints import Checkpoint, resolve
from pipelines.recipes import QUALITIES, SCHEDULER_NAMES, WAN_SCHEDULER_NAMES, Recipe, recipe

BASE = resolve("sdxl", "full")
WAN = resolve("wan", "Wan-AI/Wan2.1-T2V-14B-Diffusers")
SMALL_WAN = resolve("wan", "full")
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


def test_the_tiny_wan_takes_no_short_cuts() -> None:
    demo = dataclasses.replace(WAN, demo=True)
    fast, high = (recipe(demo, quality) for quality in QUALITIES)
    assert (fast.steps, high.steps) == (8, 20)
    assert [each.cache_threshold for each in (fast, high)] == [None, None]
    assert [each.guided_share for each in (fast, high)] == [1.0, 1.0]
    assert fast.flow_shift is None


def test_wan_is_guided_in_many_steps_and_saves_where_it_shows_least() -> None:
    fast, high = (recipe(WAN, quality) for quality in QUALITIES)
    assert (fast.steps, high.steps) == (20, 50)
    assert fast.guidance == high.guidance == 5.0
    assert fast.cache_threshold is not None
    assert high.cache_threshold is not None
    assert high.cache_threshold < fast.cache_threshold
    assert high.guided_share < 1 == fast.guided_share


def test_the_small_wan_has_its_authors_guidance_and_shift() -> None:
    assert (recipe(SMALL_WAN, "high").guidance, recipe(SMALL_WAN, "high").flow_shift) == (6.0, 8.0)
    assert recipe(WAN, "high").flow_shift is None


def test_few_step_weights_of_wan_serve_fast_jobs_without_guidance() -> None:
    distilled = dataclasses.replace(SMALL_WAN, few_step="/models/self_forcing_lora.safetensors")
    assert (recipe(distilled, "fast").steps, recipe(distilled, "fast").guidance) == (4, 1.0)
    assert recipe(distilled, "fast").cache_threshold is None
    assert recipe(distilled, "high") == recipe(SMALL_WAN, "high")


@pytest.mark.parametrize("quality", QUALITIES)
def test_recipes_of_wan_name_its_schedulers(quality: str) -> None:
    assert recipe(WAN, quality).scheduler in WAN_SCHEDULER_NAMES
