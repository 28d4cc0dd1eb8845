"""The table of accelerations, and what a person may change of it."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
import torch

from pipelines.acceleration import (
    TABLE,
    Acceleration,
    DeviceKind,
    Switches,
    accelerate,
    cpu_multiplies_bfloat16,
    dtype_of,
    worker_dtype,
)
from pipelines.recipes import QUALITIES

ROLES = ("sdxl", "wan", "qwen")


def test_there_is_a_row_for_everything() -> None:
    for device, role, quality in itertools.product(get_args(DeviceKind), ROLES, QUALITIES):
        assert isinstance(accelerate(role, quality, device), Acceleration)
    assert all(TABLE[device].keys() == set(itertools.product(ROLES, QUALITIES)) for device in TABLE)
    with pytest.raises(KeyError):
        accelerate("sdxl", "medium", "cuda")


def test_what_a_card_does_when_nobody_says_otherwise() -> None:
    fast, high = (accelerate("wan", quality, "cuda") for quality in ("fast", "high"))
    assert fast == Acceleration(dtype="bfloat16", cache="first_block", few_step=True)
    assert high == Acceleration(dtype="bfloat16", cache="first_block")
    assert accelerate("sdxl", "high", "cuda") == Acceleration(dtype="float16")
    assert accelerate("qwen", "fast", "cuda") == Acceleration(dtype="bfloat16")


def test_each_switch_changes_its_own_part_of_the_row() -> None:
    row = accelerate("wan", "high", "cuda")
    assert accelerate("wan", "high", "cuda", Switches(attention="sage")).attention == "sage"
    assert accelerate("wan", "high", "cuda", Switches(cache="sea")).cache == "sea"
    assert accelerate("wan", "high", "cuda", Switches(cache="off")).cache == "off"
    assert accelerate("wan", "high", "cuda", Switches(compile="on")).compile
    assert accelerate("wan", "high", "cuda", Switches(dtype="float32")).dtype == "float32"
    assert accelerate("wan", "high", "cuda", Switches(compile="off", attention="native")) == row


def test_sdxl_ends_its_guidance_instead_of_caching() -> None:
    cached = [accelerate("sdxl", "high", "cuda", Switches(cache=cache)).cache for cache in ("first_block", "sea")]
    assert cached == ["guidance_cutoff", "guidance_cutoff"]
    assert accelerate("sdxl", "high", "cuda", Switches(cache="off")).cache == "off"


def test_qwen_heeds_the_precision_alone_and_never_computes_in_half() -> None:
    everything = Switches(dtype="float32", attention="flash", cache="sea", compile="on")
    assert accelerate("qwen", "high", "cuda", everything) == Acceleration(dtype="float32")
    assert dtype_of("qwen", "cuda", "float16") == "bfloat16"
    assert worker_dtype("qwen", "float16") is None
    assert worker_dtype("wan", "float16") == "float16"
    assert worker_dtype("sdxl", "auto") is None


@pytest.mark.parametrize(
    ("flags", "dtype"), [("fpu avx2 avx512_bf16", "bfloat16"), ("amx_bf16", "bfloat16"), ("fpu avx512f", "float32")]
)
def test_a_cpu_computes_in_what_it_multiplies(
    flags: str, dtype: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text(f"processor\t: 0\nvmx flags\t: amx_bf16\nflags\t\t: {flags}\n")
    native = cpu_multiplies_bfloat16(file)
    assert native == (dtype == "bfloat16")
    monkeypatch.setattr("pipelines.acceleration.cpu_multiplies_bfloat16", lambda: native)
    assert {dtype_of(role, "cpu") for role in ROLES} == {dtype}


def test_this_processor_is_judged_as_torch_judges_it() -> None:
    capabilities = torch.cpu.get_capabilities()
    assert cpu_multiplies_bfloat16() == bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))
    assert not cpu_multiplies_bfloat16(Path("/nowhere"))


def test_the_table_imports_no_torch() -> None:
    script = "import sys, pipelines.acceleration; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
