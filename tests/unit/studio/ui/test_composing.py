"""The composer's fields become an order, and a job becomes fields again."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image, ImageDraw

from studio.catalog import Catalog, Defaults, PixelRules, build_catalog, sdxl_types
from studio.errors import InvalidInput
from studio.orders import settle
from studio.ui.composing import aspect_of, fields_from, mask_png, order_from, reference_id, size_of


@pytest.fixture
def catalog() -> Catalog:
    fast = Defaults(steps=4, guidance=0.0, scheduler="lcm")
    types = sdxl_types(fast=fast, high=fast, expected_s=(4.0, 12.0))
    return build_catalog(types, {"sdxl": PixelRules(native=128, multiple=16, smallest=64, largest=256)})


def fields(**changed: Any) -> dict[str, Any]:
    usual = {
        "prompt": " a red balloon ",
        "negative_prompt": "",
        "width": 160,
        "height": 112.0,
        "steps": 4,
        "guidance": 0.0,
        "seed": 7,
        "count": 2,
        "scheduler": "default",
        "strength": 0.6,
        "reference": None,
    }
    return {**usual, **changed}


def test_the_fields_make_an_order() -> None:
    order = order_from(fields(), "sdxl_image_fast")
    assert (order.prompt, order.width, order.height, order.seed, order.count) == ("a red balloon", 160, 112, 7, 2)
    assert order.image is None
    assert order.strength is None, "strength means nothing without a reference"


def test_the_reference_brings_strength_and_mask() -> None:
    order = order_from(fields(reference={"id": "a1", "thumb": "/x"}), "sdxl_image_fast", mask="m1")
    assert (order.image, order.mask, order.strength) == ("a1", "m1", 0.6)


def test_a_mask_without_a_reference_is_dropped() -> None:
    assert order_from(fields(), "sdxl_image_fast", mask="m1").mask is None


@pytest.mark.parametrize("empty", [None, ""])
def test_an_empty_seed_is_random(empty: object) -> None:
    assert order_from(fields(seed=empty), "sdxl_image_fast").seed == -1


@pytest.mark.parametrize(
    ("changed", "field"),
    [({"prompt": "  "}, "prompt"), ({"width": 100.5}, "width"), ({"seed": "seven"}, "seed"), ({"count": 0}, "count")],
)
def test_what_is_wrong_is_named(changed: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        order_from(fields(**changed), "sdxl_image_fast")
    assert caught.value.field == field


@pytest.mark.parametrize("value", [None, {}, {"id": ""}, {"id": 5}, "a1", ["a1"]])
def test_only_an_id_is_a_reference(value: object) -> None:
    assert reference_id(value) is None


def test_a_job_orders_itself_again(catalog: Catalog) -> None:
    order = order_from(fields(reference={"id": "a1"}, scheduler="ddim"), "sdxl_image_fast")
    kind, config = settle(order, catalog)
    job = {"prompt": order.prompt, "negative_prompt": order.negative_prompt, "config": config.model_dump()}
    again = order_from(fields_from(job), kind.name)
    assert settle(again, catalog)[1] == config


def test_a_picture_is_reused_with_its_own_seed(catalog: Catalog) -> None:
    _, config = settle(order_from(fields(), "sdxl_image_fast"), catalog)
    job = {"prompt": "x", "negative_prompt": "", "config": config.model_dump()}
    assert fields_from(job, seed=config.seeds[1])["seed"] == 8


def test_sizes_and_aspects_agree(catalog: Catalog) -> None:
    kind = catalog.types["sdxl_image_fast"]
    assert size_of("1:1", kind, catalog) == (128, 128)
    width, height = size_of("16:9", kind, catalog) or (0, 0)
    assert aspect_of(width, height, kind, catalog) == "16:9"
    assert aspect_of(64, 256, kind, catalog) is None
    assert size_of("7:5", kind, catalog) is None


def layer(*box: int) -> Image.Image:
    picture = Image.new("RGBA", (40, 30))
    if box:
        ImageDraw.Draw(picture).rectangle(box, fill=(167, 139, 250, 200))
    return picture


def test_strokes_become_a_white_mask() -> None:
    data = mask_png([layer(5, 5, 9, 9), layer(20, 10, 24, 14)])
    assert data is not None
    with Image.open(io.BytesIO(data)) as mask:
        assert (mask.mode, mask.size) == ("L", (40, 30))
        assert [mask.getpixel(at) for at in ((7, 7), (22, 12), (30, 20))] == [255, 255, 0]


@pytest.mark.parametrize("layers", [None, [], [layer()]])
def test_nothing_painted_is_no_mask(layers: list[Image.Image] | None) -> None:
    assert mask_png(layers) is None
