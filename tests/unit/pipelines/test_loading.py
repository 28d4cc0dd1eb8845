from __future__ import annotations

import os

import pytest
import torch

from pipelines.loading import choose_dtype, choose_wide_dtype, limit_threads


def test_the_precision_of_a_cpu_does_not_change_from_call_to_call() -> None:
    assert choose_dtype("cpu") == choose_dtype("cpu")
    assert choose_dtype("cpu") in {torch.float32, torch.bfloat16}
    assert choose_dtype("cuda") == torch.float16
    assert choose_wide_dtype("cpu") == choose_dtype("cpu")
    assert choose_wide_dtype("cpu", "float16") == torch.float16
    assert choose_dtype("cpu", "float32") == torch.float32


def test_threads_are_never_more_than_the_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    try:
        torch.set_num_threads(64)
        limit_threads()
        assert 1 <= torch.get_num_threads() <= len(os.sched_getaffinity(0))
        monkeypatch.setenv("OMP_NUM_THREADS", "3")
        torch.set_num_threads(64)
        limit_threads()
        assert torch.get_num_threads() == 64
    finally:
        torch.set_num_threads(before)
