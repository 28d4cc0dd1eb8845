"""What a process occupies: on the CPU measured for real, on a card without one as far as that goes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines import metering
from pipelines.contract import Occupied
from pipelines.metering import Meter

MUCH_BYTES = 200 * 10**6
NOISE_BYTES = 40 * 10**6


def use_much_and_give_it_back() -> None:
    np.ones(MUCH_BYTES, dtype=np.uint8)


def test_the_peak_outlives_what_was_used_and_a_restart_forgets_it() -> None:
    meter = Meter(torch.device("cpu"), "wan")
    meter.restart()
    before = meter.now_bytes()
    use_much_and_give_it_back()
    assert meter.occupied({}).peak_bytes > before + MUCH_BYTES - NOISE_BYTES
    assert meter.now_bytes() < before + NOISE_BYTES
    meter.restart()
    assert meter.occupied({}).peak_bytes < before + NOISE_BYTES


def test_what_is_kept_counts_now() -> None:
    meter = Meter(torch.device("cpu"), "wan")
    before = meter.now_bytes()
    kept = np.ones(MUCH_BYTES, dtype=np.uint8)
    assert meter.now_bytes() > before + MUCH_BYTES - NOISE_BYTES
    assert kept.nbytes == MUCH_BYTES


def test_where_the_system_keeps_no_peak_the_present_stands_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(metering, "_STATUS", tmp_path / "status")
    monkeypatch.setattr(metering, "_CLEAR_REFS", tmp_path / "absent" / "clear_refs")
    meter = Meter(torch.device("cpu"), "wan")
    meter.restart()
    use_much_and_give_it_back()
    assert abs(meter.occupied({}).peak_bytes - meter.now_bytes()) < NOISE_BYTES


@pytest.mark.skipif(torch.cuda.is_initialized(), reason="a card is in use")
def test_a_card_is_not_occupied_before_it_is_used() -> None:
    meter = Meter(torch.device("cuda"), "wan")
    meter.restart()
    assert meter.occupied({}) == Occupied(parts={}, now_bytes=0, peak_bytes=0)
