"""The composer's choices follow the catalog."""

from __future__ import annotations

import dataclasses

import pytest

from studio.catalog import Catalog, build_catalog
from studio.ui.choices import AXES, can_rewrite, choose, traits
from tests.small_catalog import PIXELS, small_catalog


@pytest.fixture
def ten_types() -> Catalog:
    return small_catalog()


@pytest.fixture
def two_types(ten_types: Catalog) -> Catalog:
    pictures = tuple(kind for kind in ten_types.types.values() if kind.engine == "sdxl")
    return build_catalog(pictures, {"sdxl": PIXELS["sdxl"]})


def test_two_types_leave_one_choice(two_types: Catalog) -> None:
    chosen = choose(two_types, {})
    assert chosen.job_type.name == "sdxl_image_fast"
    assert [axis for axis in AXES if len(chosen.options[axis]) > 1] == ["quality"]
    assert chosen.choices("quality") == [("Fast", "fast"), ("High", "high")]
    assert not can_rewrite(two_types)


def test_a_pick_leads_to_its_type(two_types: Catalog) -> None:
    assert choose(two_types, {"quality": "high"}).job_type.name == "sdxl_image_high"


def test_all_ten_types_can_be_reached(ten_types: Catalog) -> None:
    assert len(ten_types.types) == 10
    for kind in ten_types.types.values():
        assert choose(ten_types, traits(kind)).job_type is kind
    assert can_rewrite(ten_types)


@pytest.mark.parametrize(
    ("picks", "offered"),
    [
        ({}, {"kind", "engine", "quality"}),
        ({"engine": "wan"}, {"kind", "engine", "rewrite", "quality"}),
        ({"kind": "video"}, {"kind", "rewrite", "quality"}),
    ],
)
def test_only_what_can_be_chosen_is_offered(
    ten_types: Catalog, picks: dict[str, str | None], offered: set[str]
) -> None:
    chosen = choose(ten_types, picks)
    assert {axis for axis in AXES if len(chosen.options[axis]) > 1} == offered


def test_an_impossible_pick_gives_way(ten_types: Catalog) -> None:
    chosen = choose(ten_types, {"kind": "video", "rewrite": "rewritten", "quality": "high", "engine": "sdxl"})
    assert chosen.job_type.name == "video7b_high_enhanced"
    assert choose(ten_types, {"engine": "sdxl", "rewrite": "rewritten"}).job_type.name == "sdxl_image_fast"


def test_a_new_engine_is_a_new_choice(ten_types: Catalog) -> None:
    other = dataclasses.replace(ten_types.types["video_fast"], name="next_fast", lanes=("next",))
    more = build_catalog((*ten_types.types.values(), other), {**PIXELS, "next": PIXELS["wan"]})
    chosen = choose(more, {"kind": "video", "engine": "next"})
    assert ("NEXT", "next") in chosen.choices("engine")
    assert chosen.job_type.name == "next_fast"
