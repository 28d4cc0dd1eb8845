"""The composer's fields become an order, and a job becomes fields again."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image, ImageDraw

from studio.catalog import ASPECTS, JobType, PixelRules
from studio.errors import InvalidInput
from studio.orders import settle
from studio.ui.composing import (
    aspect_of,
    check_reference,
    fields_from,
    fitting_aspect,
    length_label,
    mask_png,
    order_from,
    reference_for,
    reference_id,
    size_of,
    work_from,
)
from tests.small_catalog import small_catalog

CATALOG = small_catalog(
    sdxl=PixelRules(width=128, height=128, multiple=16, smallest=64, largest=256, max_area=256 * 256)
)
PICTURES, FILM = CATALOG.types["sdxl_image_fast"], CATALOG.types["video_fast"]


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
        "frames": 9,
    }
    return {**usual, **changed}


def test_the_fields_make_an_order() -> None:
    order = order_from(fields(), PICTURES)
    assert (order.prompt, order.width, order.height, order.seed, order.count) == ("a red balloon", 160, 112, 7, 2)
    assert order.image is None
    assert order.strength is None, "strength means nothing without a reference"


def test_the_reference_brings_strength_and_mask() -> None:
    order = order_from(fields(reference={"id": "a1", "thumb": "/x"}), PICTURES, mask="m1")
    assert (order.image, order.mask, order.strength) == ("a1", "m1", 0.6)


def test_a_mask_without_a_reference_is_dropped() -> None:
    assert order_from(fields(), PICTURES, mask="m1").mask is None


@pytest.mark.parametrize("empty", [None, ""])
def test_an_empty_seed_is_random(empty: object) -> None:
    assert order_from(fields(seed=empty), PICTURES).seed == -1


@pytest.mark.parametrize(
    ("changed", "field"),
    [({"prompt": "  "}, "prompt"), ({"width": 100.5}, "width"), ({"seed": "seven"}, "seed"), ({"count": 0}, "count")],
)
def test_what_is_wrong_is_named(changed: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        order_from(fields(**changed), PICTURES)
    assert caught.value.field == field


@pytest.mark.parametrize("value", [None, {}, {"id": ""}, {"id": 5}, "a1", ["a1"]])
def test_only_an_id_is_a_reference(value: object) -> None:
    assert reference_id(value) is None


def test_a_job_orders_itself_again() -> None:
    order = order_from(fields(reference={"id": "a1"}, scheduler="lcm"), PICTURES)
    kind, config = settle(order, CATALOG)
    job = {"prompt": order.prompt, "negative_prompt": order.negative_prompt, "config": config.model_dump()}
    again = order_from(fields_from(job), kind)
    assert settle(again, CATALOG)[1] == config


def test_a_picture_is_reused_with_its_own_seed() -> None:
    _, config = settle(order_from(fields(), PICTURES), CATALOG)
    job = {"prompt": "x", "negative_prompt": "", "config": config.model_dump()}
    assert fields_from(job, seed=config.seeds[1])["seed"] == 8


def test_sizes_and_aspects_agree() -> None:
    assert size_of("1:1", PICTURES, CATALOG) == (128, 128)
    width, height = size_of("16:9", PICTURES, CATALOG) or (0, 0)
    assert aspect_of(width, height, PICTURES, CATALOG) == "16:9"
    assert aspect_of(64, 256, PICTURES, CATALOG) is None
    assert size_of("7:5", PICTURES, CATALOG) is None


def test_the_fitting_shape_has_the_size_that_the_checkpoint_was_trained_at() -> None:
    assert fitting_aspect(PICTURES, CATALOG) == "1:1"
    assert fitting_aspect(FILM, CATALOG) == "16:9"
    assert size_of("16:9", FILM, CATALOG) == (80, 48)
    assert size_of("9:16", FILM, CATALOG) == (48, 80)
    assert aspect_of(48, 80, FILM, CATALOG) == "9:16"


@pytest.mark.parametrize("aspect", [aspect.name for aspect in ASPECTS])
@pytest.mark.parametrize("kind", [PICTURES, FILM], ids=lambda kind: kind.name)
def test_every_shape_can_be_ordered(kind: JobType, aspect: str) -> None:
    width, height = size_of(aspect, kind, CATALOG) or (0, 0)
    _, config = settle(order_from(fields(width=width, height=height, count=1), kind), CATALOG)
    assert (config.width, config.height) == (width, height)


def test_only_a_film_has_a_length() -> None:
    asked = fields(width=80, height=48, count=1, frames=17)
    assert order_from(asked, FILM).frames == 17
    assert order_from(asked, PICTURES).frames is None
    assert settle(order_from(fields_from(film_job(frames=17)), FILM), CATALOG)[1].frames == 17


def film_job(**changed: Any) -> dict[str, Any]:
    order = order_from(fields(width=80, height=48, count=1, **changed), FILM)
    return {"prompt": order.prompt, "negative_prompt": "", "config": settle(order, CATALOG)[1].model_dump()}


def test_the_length_is_said_in_frames_and_seconds() -> None:
    assert length_label(17, FILM) == "Length: 17 frames · 2.1 s"
    assert length_label(None, FILM) == length_label(17, PICTURES) == "Length"


def test_the_work_that_is_estimated_counts_frames_and_rewriting() -> None:
    rewritten = CATALOG.types["video7b_fast_enhanced"]
    work = work_from(fields(width=80, height=48, count=1, frames=17), rewritten, CATALOG)
    assert work is not None
    assert (work["job_type"], work["frames"], work["rewriting_s"]) == (rewritten.name, 17, rewritten.rewriting_s)
    pictures = work_from(fields(), PICTURES, CATALOG)
    assert pictures is not None
    assert "frames" not in pictures
    assert work_from(fields(frames=16, width=80, height=48, count=1), FILM, CATALOG) is None, "no film has 16 frames"


def test_the_reference_tile_knows_what_is_possible_and_keeps_its_reference() -> None:
    value = reference_for(FILM, {"id": "a1", "kind": "video", "makes": "image", "starts_from": ["text", "image"]})
    assert value == {"id": "a1", "kind": "video", "makes": "video", "starts_from": ["text", "video"]}
    assert reference_id(reference_for(FILM, None)) is None


def test_a_reference_that_the_checkpoint_cannot_start_from_is_refused_with_what_to_do() -> None:
    check_reference(FILM, {"id": "a1", "kind": "video"})
    check_reference(PICTURES, {"id": "a1", "kind": "image"})
    check_reference(FILM, {"kind": "image"})
    with pytest.raises(InvalidInput, match="STUDIO_WAN_MODEL"):
        check_reference(FILM, {"id": "a1", "kind": "image"})
    with pytest.raises(InvalidInput, match="Choose a picture"):
        check_reference(PICTURES, {"id": "a1", "kind": "video"})


def test_a_mask_is_left_out_where_nothing_can_be_repainted() -> None:
    assert order_from(fields(reference={"id": "a1"}), CATALOG.types["image_fast"], mask="m1").mask is None


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
