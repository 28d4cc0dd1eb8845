from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from studio.catalog import ASPECTS, Catalog, Defaults, FrameRules, PixelRules
from tests.small_catalog import small_catalog

SDXL = PixelRules(width=1024, height=1024, multiple=8, smallest=512, largest=2048, max_area=2048**2)
WAN = PixelRules(width=832, height=480, multiple=16, smallest=240, largest=1280, max_area=1280 * 720)


@pytest.fixture
def catalog() -> Catalog:
    return small_catalog(
        fast=Defaults(steps=4, guidance=0.0, scheduler="lcm"),
        high=Defaults(steps=25, guidance=6.0, scheduler="dpmpp_2m_karras"),
        expected_s=(5.0, 12.0),
        sdxl=SDXL,
    )


def test_the_types_are_those_of_the_contract(catalog: Catalog):
    rows = {kind.name: (kind.lanes, kind.default_count, kind.extension) for kind in catalog.types.values()}

    assert rows == {
        "sdxl_image_fast": (("sdxl",), 6, "png"),
        "sdxl_image_high": (("sdxl",), 6, "png"),
        "image_fast": (("wan",), 1, "png"),
        "image_high": (("wan",), 1, "png"),
        "video_fast": (("wan",), 1, "mp4"),
        "video_high": (("wan",), 1, "mp4"),
        "image7b_fast_enhanced": (("qwen", "wan"), 1, "png"),
        "image7b_high_enhanced": (("qwen", "wan"), 1, "png"),
        "video7b_fast_enhanced": (("qwen", "wan"), 1, "mp4"),
        "video7b_high_enhanced": (("qwen", "wan"), 1, "mp4"),
    }
    assert all(kind.bucket == kind.name for kind in catalog.types.values())
    assert {kind.extension: kind.mime_type for kind in catalog.types.values()} == {
        "png": "image/png",
        "mp4": "video/mp4",
    }
    assert catalog.lanes == ("sdxl", "wan", "qwen")


def test_a_rewritten_job_goes_from_lane_to_lane(catalog: Catalog):
    kind = catalog.types["video7b_fast_enhanced"]

    assert kind.lane_after("qwen") == "wan"
    assert kind.lane_after("wan") is None
    assert catalog.types["video_fast"].lane_after("wan") is None
    assert kind.engine == "wan"


def test_films_have_frames_and_pictures_have_none(catalog: Catalog):
    rows = {str(row["type"]): row for row in catalog.as_json()}

    assert rows["video_fast"]["defaults"]["frames"] == 9
    assert rows["video_fast"]["defaults"]["fps"] == 8.0
    assert rows["video_fast"]["limits"]["multiple_frames"] == 4
    assert "frames" not in rows["image_fast"]["defaults"]


@pytest.mark.parametrize(("asked", "nearest"), [(81, 81), (80, 81), (82, 81), (1, 5), (0, 5), (1000, 121), (83.5, 85)])
def test_the_nearest_length_of_a_film_is_four_n_plus_one(asked, nearest):
    assert FrameRules(native=81, multiple=4, largest=121, fps=16.0).snap(asked) == nearest


def test_a_film_lies_or_stands_in_the_size_its_checkpoint_was_trained_at():
    assert WAN.for_aspect(16 / 9) == (832, 480)
    assert WAN.for_aspect(9 / 16) == (480, 832)
    assert WAN.for_aspect(1.0) == (624, 624)


def test_each_quality_has_its_own_recipe(catalog: Catalog):
    fast, high = catalog.types["sdxl_image_fast"], catalog.types["sdxl_image_high"]

    assert (fast.quality, fast.defaults.steps, fast.expected_s) == ("fast", 4, 5.0)
    assert (high.quality, high.defaults.steps, high.expected_s) == ("high", 25, 12.0)


def test_the_catalog_cannot_be_changed(catalog: Catalog):
    with pytest.raises(TypeError):
        catalog.types["x"] = catalog.types["sdxl_image_fast"]
    with pytest.raises(dataclasses.FrozenInstanceError):
        catalog.types["sdxl_image_fast"].expected_s = 0.0


def test_clients_get_limits_defaults_and_presets(catalog: Catalog):
    shown = json.loads(json.dumps(catalog.as_json()))

    assert [row["type"] for row in shown][:2] == ["sdxl_image_fast", "sdxl_image_high"]
    assert shown[1]["defaults"] == {
        **{"count": 6, "steps": 25, "guidance": 6.0, "scheduler": "dpmpp_2m_karras"},
        **{"width": 1024, "height": 1024},
    }
    assert shown[0]["limits"]["count"] == 6
    assert shown[0]["aspects"]["1:1"] == [1024, 1024]
    assert set(shown[0]["aspects"]) == {aspect.name for aspect in ASPECTS}


@pytest.mark.parametrize("aspect", ASPECTS, ids=lambda aspect: aspect.name)
def test_presets_have_the_ratio_they_are_named_for_and_about_native_pixels(aspect):
    width, height = SDXL.for_aspect(aspect.ratio)

    assert width / height == pytest.approx(aspect.ratio, rel=0.02)
    assert width * height == pytest.approx(1024**2, rel=0.02)


def test_opposite_shapes_mirror_each_other():
    assert SDXL.for_aspect(16 / 9) == SDXL.for_aspect(9 / 16)[::-1]


@settings(max_examples=50, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    multiple=st.sampled_from([8, 16, 32, 64]),
    smallest=st.integers(1, 16),
    span=st.integers(1, 40),
    pixels=st.floats(0, 1e5),
)
def test_every_length_offered_can_be_made(multiple, smallest, span, pixels):
    rules = PixelRules(
        width=smallest * multiple,
        height=smallest * multiple,
        multiple=multiple,
        smallest=smallest * multiple,
        largest=(smallest + span) * multiple,
        max_area=((smallest + span) * multiple) ** 2,
    )
    length = rules.snap(pixels)

    assert length % multiple == 0
    assert rules.smallest <= length <= rules.largest
    if rules.smallest <= pixels <= rules.largest:
        assert abs(length - pixels) <= multiple / 2
