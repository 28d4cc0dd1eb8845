from __future__ import annotations

import logging
import warnings
from pathlib import Path

import psutil
import pytest
import torch

from pipelines import memory
from pipelines.contract import OutOfMemory
from pipelines.memory import free_memory, module_bytes, out_of_memory_as_advice, spare_host_bytes

NOISE_BYTES = 500 * 10**6


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


def test_copies_leave_the_computer_some_of_its_memory() -> None:
    machine = psutil.virtual_memory()
    assert spare_host_bytes() <= machine.available - machine.total * 0.15 + NOISE_BYTES


@pytest.mark.parametrize("version", [0, 1])
def test_a_containers_limit_counts_where_it_is_the_lower(
    version: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    absent = (tmp_path / "absent", tmp_path / "absent")
    limit, use = tmp_path / "limit", tmp_path / "use"
    monkeypatch.setattr(memory, "_CGROUP", (absent, (limit, use))[:: 1 if version else -1])
    limit.write_text("6000000000\n")
    use.write_text("1500000000\n")
    assert spare_host_bytes() == 500_000_000
    limit.write_text("max\n")
    monkeypatch.setattr(memory, "HOST_RESERVE_BYTES", 0)
    assert spare_host_bytes() > 500_000_000


def test_freed_memory_leaves_the_process() -> None:
    process = psutil.Process()
    before = process.memory_info().rss
    # Blocks too small to be mapped by themselves: glibc keeps them, and what lies between those that stay.
    blocks = [bytearray(60_000) for _ in range(4000)]
    kept = blocks[::100]
    used = process.memory_info().rss
    assert used > before + 200 * 10**6
    del blocks
    free_memory()
    assert process.memory_info().rss < used - 200 * 10**6
    assert len(kept) == 40


def test_the_bytes_of_a_module_follow_its_precision() -> None:
    module = torch.nn.Linear(10, 4)
    assert module_bytes(module) == 44 * 4
    assert module_bytes(module.to(torch.bfloat16)) == 44 * 2


def test_weights_in_eight_bits_count_too() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(10, 4))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantized = torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear}, dtype=torch.qint8)
    assert module_bytes(quantized) == 40
