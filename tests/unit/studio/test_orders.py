from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from studio.errors import InvalidInput
from studio.orders import (
    DEFAULT_STRENGTH,
    SMALLEST_COST,
    JobConfig,
    Order,
    check_beginning,
    cost_s,
    leg_span,
    settle,
)
from tests.unit.studio.desk import small_types

CATALOG = small_types()


def _settled(**fields: Any) -> JobConfig:
    return settle(Order.parse({"prompt": "a boat", **fields}), CATALOG)[1]


def test_what_is_not_said_follows_the_job_type():
    kind, config = settle(Order.parse({"prompt": "a boat", "job_type": "sdxl_image_high"}), CATALOG)

    assert kind.name == "sdxl_image_high"
    assert (config.width, config.height, config.steps, config.guidance) == (64, 64, 20, 6.0)
    assert (config.count, config.scheduler, config.image, config.strength) == (6, "dpmpp_2m_karras", None, None)


def test_what_is_said_holds():
    said = {"width": 32, "height": 128, "steps": 9, "guidance": 2.5, "count": 2, "seed": 5, "scheduler": "lcm"}

    assert _settled(**said).model_dump(include=set(said)) == said


def test_guidance_and_seed_of_zero_are_not_taken_for_silence():
    config = _settled(job_type="sdxl_image_high", guidance=0, seed=0)

    assert (config.guidance, config.seed) == (0.0, 0)


def test_the_scheduler_named_default_is_the_types_own():
    assert _settled(scheduler="default").scheduler == "euler"


def test_strength_belongs_to_an_image():
    assert _settled(strength=0.3).strength is None
    assert _settled(image="some-id").strength == DEFAULT_STRENGTH
    assert _settled(image="some-id", strength=0.3).strength == 0.3
    assert _settled(image="some-id", mask="another", strength=0.3).strength == 0.3


def test_what_lies_under_a_mask_is_replaced_unless_the_order_says_otherwise():
    assert _settled(image="some-id", mask="another").strength == 1.0


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"prompt": None}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": " \n "}, "prompt"),
        ({"prompt": "x" * 4001}, "prompt"),
        ({"prompt": "a\x00b"}, "prompt"),
        ({"prompt": "\ud800"}, "prompt"),
        ({"prompt": ["a"]}, "prompt"),
        ({"negative_prompt": "x" * 4001}, "negative_prompt"),
        ({"negative_prompt": "\x00"}, "negative_prompt"),
        ({"job_type": "paint"}, "job_type"),
        ({"width": 60}, "width"),
        ({"width": 24}, "width"),
        ({"height": 136}, "height"),
        ({"height": 64.5}, "height"),
        ({"steps": 0}, "steps"),
        ({"steps": 151}, "steps"),
        ({"guidance": -0.1}, "guidance"),
        ({"guidance": 31}, "guidance"),
        ({"guidance": float("nan")}, "guidance"),
        ({"guidance": float("inf")}, "guidance"),
        ({"seed": -2}, "seed"),
        ({"seed": 2**32}, "seed"),
        ({"count": 0}, "count"),
        ({"count": 7}, "count"),
        ({"scheduler": "magic"}, "scheduler"),
        ({"strength": 0, "image": "x"}, "strength"),
        ({"strength": 1.1, "image": "x"}, "strength"),
        ({"image": "x" * 65}, "image"),
        ({"mask": "x"}, "mask"),
        ({"lora": "x"}, "lora"),
        ({"frames": 9}, "frames"),
        ({"job_type": "video_fast", "frames": 8}, "frames"),
        ({"job_type": "video_fast", "frames": 37}, "frames"),
        ({"job_type": "video_fast", "frames": 0}, "frames"),
        ({"job_type": "video_fast", "count": 2}, "count"),
        ({"job_type": "video_fast", "width": 128, "height": 128}, "width"),
        ({"job_type": "video_fast", "scheduler": "lcm"}, "scheduler"),
        ({"job_type": "image_fast", "image": "x", "mask": "y"}, "mask"),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_sentence_with_its_field(fields, field):
    with pytest.raises(InvalidInput) as refused:
        _settled(**fields)

    assert refused.value.field == field
    assert refused.value.message.endswith((".", ")."))
    assert len(refused.value.message) < 320


def test_a_missing_prompt_and_an_unknown_field_are_said_plainly():
    with pytest.raises(InvalidInput, match=r"^The order needs a prompt\.$"):
        Order.parse({})
    with pytest.raises(InvalidInput, match=r"^An order has no field lora\.$"):
        Order.parse({"prompt": "x", "lora": 1})


def test_orders_and_configs_do_not_change():
    with pytest.raises(ValidationError):
        Order.parse({"prompt": "x"}).prompt = "y"
    with pytest.raises(ValidationError):
        _settled().seed = 1


@settings(max_examples=50, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 6))
def test_each_picture_has_a_seed_of_its_own_that_an_order_can_name(seed, count):
    seeds = _settled(seed=seed, count=count).seeds

    assert seeds[0] == seed
    assert len(set(seeds)) == len(seeds) == count
    assert all(_settled(seed=one, count=1).seeds == (one,) for one in seeds)


def test_a_random_seed_can_be_ordered_again():
    config = _settled()

    assert _settled(seed=config.seed) == config


@settings(max_examples=50, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    fields=st.dictionaries(
        st.sampled_from(sorted(Order.model_fields)),
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(max_size=20)
        | st.lists(st.integers(), max_size=2),
    )
)
def test_no_order_does_anything_but_settle_or_be_refused(fields):
    try:
        kind, config = settle(Order.parse(fields), CATALOG)
    except InvalidInput as refused:
        message = refused.message
        assert message
    else:
        assert config.count <= kind.max_count
        assert 32 <= config.width <= 128
        assert (config.frames is None) == (kind.kind == "image")
        assert JobConfig.model_validate(config.model_dump()) == config


@pytest.mark.parametrize(
    ("work", "part"),
    [
        ({}, 1.0),
        ({"count": 3}, 0.5),
        ({"steps": 8}, 2.0),
        ({"width": 128, "height": 128}, 4.0),
        ({"count": 1, "steps": 1, "width": 32}, SMALLEST_COST),
        ({"steps": 150}, 37.5),
    ],
)
def test_a_job_costs_its_pictures_steps_and_pixels(work, part):
    kind = CATALOG.types["sdxl_image_fast"]

    assert cost_s(kind, _settled(job_type=kind.name, **work), CATALOG.rules(kind)) == pytest.approx(
        part * kind.expected_s
    )


def test_a_film_has_the_length_size_and_pace_of_its_checkpoint():
    config = _settled(job_type="video_fast")

    assert (config.width, config.height, config.frames, config.fps, config.count) == (80, 48, 9, 8.0, 1)
    assert _settled(job_type="video_fast", frames=33).frames == 33


def test_the_nearest_possible_length_is_named():
    with pytest.raises(InvalidInput, match=r"4n \+ 1 frames, from 5 to 33; 12 were asked. The nearest is 13\."):
        _settled(job_type="video_fast", frames=12)


def test_a_longer_film_costs_more():
    kind = CATALOG.types["video_fast"]
    rules = CATALOG.rules(kind)

    assert cost_s(kind, _settled(job_type=kind.name, frames=33), rules) == pytest.approx(kind.expected_s * 33 / 9)


def test_each_leg_has_its_own_cost_and_its_part_of_the_progress():
    kind = CATALOG.types["video7b_fast_enhanced"]
    config, rules = _settled(job_type=kind.name), CATALOG.rules(kind)

    assert cost_s(kind, config, rules) == 1.0
    assert cost_s(kind, config, rules, "wan") == 4.0
    first, second = (leg_span(kind, config, rules, lane) for lane in ("qwen", "wan"))
    assert (first.within(0.0), first.within(1.0), second.within(0.0), second.within(1.0)) == (0.0, 0.2, 0.2, 1.0)
    assert second.of_leg(0.6) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("job_type", "beginning", "words"),
    [
        ("video_fast", "image", "from a prompt alone or a film only, not from a picture. Take the reference out"),
        ("image_fast", "video", "A film cannot be the reference of a picture"),
        ("sdxl_image_fast", "video", "A film cannot be the reference of a picture"),
    ],
)
def test_what_a_checkpoint_cannot_begin_with_is_refused_in_words(job_type, beginning, words):
    with pytest.raises(InvalidInput, match=words) as refused:
        check_beginning(CATALOG.types[job_type], beginning)
    assert refused.value.field == "image"


def test_a_checkpoint_that_needs_a_picture_asks_for_one():
    kind = dataclasses.replace(CATALOG.types["video_fast"], starts_from=("image",))

    with pytest.raises(InvalidInput, match=r"from a picture only, not from a prompt alone\. Add one, or set "):
        check_beginning(kind, "text")
    check_beginning(kind, "image")
