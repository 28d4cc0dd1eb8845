from __future__ import annotations

import logging

import psutil
import pytest
import torch

from pipelines.contract import OutOfMemory
from pipelines.memory import available_bytes, module_bytes, out_of_memory_as_advice


def test_running_out_of_memory_becomes_advice_and_reaches_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with (
        caplog.at_level(logging.ERROR),
        pytest.raises(OutOfMemory, match="fewer or smaller"),
        out_of_memory_as_advice("job 7"),
    ):
        torch.empty(2**60)
    assert "job 7" in caplog.text


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")])
def test_every_kind_of_it_is_known(error: Exception) -> None:
    with pytest.raises(OutOfMemory), out_of_memory_as_advice("a test"):
        raise error


def test_other_errors_pass_through() -> None:
    with pytest.raises(RuntimeError, match="shape"), out_of_memory_as_advice("a test"):
        torch.zeros(2, 3).view(5)


def test_what_is_free_on_the_cpu_is_a_part_of_the_machines_memory() -> None:
    assert 0 < available_bytes(torch.device("cpu")) < psutil.virtual_memory().total


def test_the_bytes_of_a_module_follow_its_precision() -> None:
    module = torch.nn.Linear(10, 4)
    assert module_bytes(module) == 44 * 4
    assert module_bytes(module.to(torch.bfloat16)) == 44 * 2
