from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from studio.catalog import ASPECTS, Catalog, Defaults, PixelRules, build_catalog, sdxl_types

SDXL = PixelRules(native=1024, multiple=8, smallest=512, largest=2048)


@pytest.fixture
def catalog() -> Catalog:
    types = sdxl_types(
        fast=Defaults(steps=4, guidance=0.0, scheduler="lcm"),
        high=Defaults(steps=25, guidance=6.0, scheduler="dpmpp_2m_karras"),
        expected_s=(5.0, 12.0),
    )
    return build_catalog(types, {"sdxl": SDXL})


def test_the_types_are_those_of_the_contract(catalog: Catalog):
    rows = {
        kind.name: (kind.lanes, kind.bucket, kind.default_count, kind.mime_type, kind.extension)
        for kind in catalog.types.values()
    }

    assert rows == {name: (("sdxl",), name, 6, "image/png", "png") for name in ("sdxl_image_fast", "sdxl_image_high")}
    assert catalog.lanes == ("sdxl",)


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

    assert [row["type"] for row in shown] == ["sdxl_image_fast", "sdxl_image_high"]
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
        native=smallest * multiple,
        multiple=multiple,
        smallest=smallest * multiple,
        largest=(smallest + span) * multiple,
    )
    length = rules.snap(pixels)

    assert length % multiple == 0
    assert rules.smallest <= length <= rules.largest
    if rules.smallest <= pixels <= rules.largest:
        assert abs(length - pixels) <= multiple / 2
