"""Differences between two works: of their pixels, and of what their receipts say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.film_reading import UnreadableFilm
from studio.services.comparing import difference_of, fact_differences, film_difference, flattened
from tests.small_films import film_at, moving_frames

RECEIPT: dict[str, Any] = {
    "checkpoint": "tiny",
    "plan": {"rung": 0, "sub_batch": None, "tiled": False},
    "versions": {"torch": "2.13.0"},
    "cache": None,
    "seeds": [7, 8],
    "prompt_cache_hits": 1,
    "encoder_calls_total": 4,
    "text_encoder_parked": True,
    "loading_s": 1.5,
    "memory": {"planned_bytes": 10, "peak_bytes": 9},
    "out_of_memory_under": {"rung": 0},
    "enhancement": {"model": "tiny", "note": "as written"},
}


def test_equal_pictures_have_no_difference() -> None:
    picture = np.full((4, 6, 3), 90, np.uint8)
    found = difference_of(iter([picture]), iter([picture.copy()]))
    assert (found.largest, found.share) == (0, 0.0)


def test_a_difference_is_counted_by_pixel_and_measured_by_channel() -> None:
    before = np.full((4, 6, 3), 250, np.uint8)
    after = before.copy()
    after[0, 0] = (0, 250, 251)
    after[3, 5, 2] = 249
    found = difference_of(iter([before]), iter([after]))
    assert (found.largest, found.share) == (250, 2 / 24)


def test_films_are_compared_frame_by_frame(tmp_path: Path) -> None:
    frames = moving_frames()
    changed = frames.copy()
    changed[4, :16] = 255 - changed[4, :16]
    for name, shown in (("first", frames), ("same", frames), ("other", changed)):
        film_at(tmp_path / f"{name}.mp4", shown)
    height, width = frames.shape[1:3]
    same = film_difference(tmp_path / "first.mp4", tmp_path / "same.mp4", width, height)
    other = film_difference(tmp_path / "first.mp4", tmp_path / "other.mp4", width, height)
    assert (same.largest, same.share) == (0, 0.0)
    assert other.largest > 40
    assert 0.01 < other.share < 1


def test_a_film_that_is_longer_than_its_record_is_no_match(tmp_path: Path) -> None:
    film_at(tmp_path / "long.mp4", moving_frames(9))
    film_at(tmp_path / "short.mp4", moving_frames(5))
    with pytest.raises(UnreadableFilm):
        film_difference(tmp_path / "long.mp4", tmp_path / "short.mp4", 80, 48)


def test_a_receipt_is_flattened_without_timings_and_counters() -> None:
    assert flattened(RECEIPT) == {
        "checkpoint": "tiny",
        "plan.rung": 0,
        "plan.sub_batch": None,
        "plan.tiled": False,
        "versions.torch": "2.13.0",
        "cache": None,
    }


def test_facts_that_differ_are_told_with_both_values() -> None:
    after = RECEIPT | {"plan": {"rung": 2, "sub_batch": 2, "tiled": False}, "cache": {"kind": "first_block"}}
    assert fact_differences(flattened(RECEIPT), flattened(after)) == [
        {"fact": "plan.rung", "before": 0, "after": 2},
        {"fact": "plan.sub_batch", "before": None, "after": 2},
        {"fact": "cache.kind", "before": None, "after": "first_block"},
    ]
    assert fact_differences(flattened(RECEIPT), flattened(dict(RECEIPT))) == []
