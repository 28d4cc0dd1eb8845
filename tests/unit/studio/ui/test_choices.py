"""The composer's choices follow the catalog."""

from __future__ import annotations

import dataclasses

import pytest

from studio.catalog import Catalog, Defaults, JobType, PixelRules, build_catalog, sdxl_types
from studio.ui.choices import AXES, choose, traits

FAST = Defaults(steps=4, guidance=0.0, scheduler="lcm")
HIGH = Defaults(steps=24, guidance=6.0, scheduler="dpmpp_2m")
PIXELS = PixelRules(native=128, multiple=16, smallest=64, largest=256)


def wan_like(name: str, *, kind: str, quality: str, lanes: tuple[str, ...]) -> JobType:
    base = sdxl_types(fast=FAST, high=HIGH, expected_s=(4.0, 12.0))[0]
    return dataclasses.replace(base, name=name, kind=kind, quality=quality, lanes=lanes, max_count=1, default_count=1)


@pytest.fixture
def two_types() -> Catalog:
    return build_catalog(sdxl_types(fast=FAST, high=HIGH, expected_s=(4.0, 12.0)), {"sdxl": PIXELS})


@pytest.fixture
def many_types(two_types: Catalog) -> Catalog:
    more = (
        wan_like("video_fast", kind="video", quality="fast", lanes=("wan",)),
        wan_like("video_high", kind="video", quality="high", lanes=("wan",)),
        wan_like("image_fast", kind="image", quality="fast", lanes=("wan",)),
        wan_like("video7b_fast_enhanced", kind="video", quality="fast", lanes=("qwen", "wan")),
    )
    return build_catalog((*two_types.types.values(), *more), {"sdxl": PIXELS, "wan": PIXELS})


def test_two_types_leave_one_choice(two_types: Catalog) -> None:
    chosen = choose(two_types, {})
    assert chosen.job_type.name == "sdxl_image_fast"
    assert [axis for axis in AXES if len(chosen.options[axis]) > 1] == ["quality"]
    assert chosen.choices("quality") == [("Fast", "fast"), ("High", "high")]


def test_a_pick_leads_to_its_type(two_types: Catalog) -> None:
    assert choose(two_types, {"quality": "high"}).job_type.name == "sdxl_image_high"


def test_every_type_can_be_reached(many_types: Catalog) -> None:
    for kind in many_types.types.values():
        assert choose(many_types, traits(kind)).job_type is kind


def test_films_bring_the_choice_of_kind(many_types: Catalog) -> None:
    chosen = choose(many_types, {"kind": "video"})
    assert ("Film", "video") in chosen.choices("kind")
    assert chosen.options["engine"] == ["wan"]


def test_an_impossible_pick_gives_way(many_types: Catalog) -> None:
    chosen = choose(many_types, {"kind": "video", "rewrite": "rewritten", "quality": "high", "engine": "sdxl"})
    assert chosen.job_type.name == "video7b_fast_enhanced"
    assert chosen.picks == {"kind": "video", "engine": "wan", "rewrite": "rewritten", "quality": "fast"}
