from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.checkpoints import resolve
from pipelines.contract import GenerationRequest, InvalidRequest
from pipelines.request_checks import check_request, steps_at

CHECKPOINT = resolve("sdxl", "full")


@pytest.mark.parametrize(("steps", "strength", "planned"), [(4, None, 4), (4, 0.5, 4), (4, 0.1, 10), (1, 0.34, 3)])
def test_at_least_one_step_is_left_to_run(steps: int, strength: float | None, planned: int) -> None:
    assert steps_at(steps, strength) == planned
    assert int(planned * (strength or 1)) >= 1


def test_a_size_on_the_grid_passes(make_request: Callable[..., GenerationRequest]) -> None:
    check_request(CHECKPOINT, make_request(width=1024, height=64, strength=1.0))


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"width": 1000}, "multiples of 64 pixels for stabilityai/"),
        ({"seeds": ()}, "1 to 6"),
        ({"steps": 0}, "one step"),
        ({"quality": "best"}, "fast, high"),
        ({"mask": Path("mask.png")}, "needs the picture"),
        ({"strength": 1.1}, "at most 1"),
    ],
)
def test_the_rest_is_told_in_a_sentence(
    fields: dict[str, Any], sentence: str, make_request: Callable[..., GenerationRequest]
) -> None:
    with pytest.raises(InvalidRequest, match=sentence):
        check_request(CHECKPOINT, make_request(**({"width": 1024, "height": 1024} | fields)))
