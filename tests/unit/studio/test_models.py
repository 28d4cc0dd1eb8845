"""What the settings make of the options of worker processes."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from studio.models import worker_spec
from studio.settings import Settings

LANES = ("sdxl", "wan", "qwen")


def options_of(tmp_path: Path, lane: str, **settings: Any) -> dict[str, Any]:
    spec = worker_spec(Settings(data_dir=tmp_path, models="demo", **settings), lane)
    return dict(spec.options)


def test_workers_decide_for_themselves_unless_they_are_told(tmp_path: Path) -> None:
    assert {lane: options_of(tmp_path, lane)["dtype"] for lane in LANES} == dict.fromkeys(LANES)
    for lane in ("sdxl", "wan"):
        options = options_of(tmp_path, lane)
        assert [options[name] for name in ("attention", "cache", "compile")] == ["auto"] * 3


def test_workers_are_told_what_was_set(tmp_path: Path) -> None:
    chosen: dict[str, Any] = {"dtype": "float16", "attention": "sage", "cache": "sea", "compile": "on"}
    for lane in ("sdxl", "wan"):
        assert options_of(tmp_path, lane, **chosen).items() >= chosen.items()
    assert options_of(tmp_path, "qwen", **chosen)["dtype"] is None
    assert options_of(tmp_path, "qwen", dtype="float32")["dtype"] == "float32"


@pytest.mark.parametrize("lane", LANES)
def test_workers_know_all_they_are_told(tmp_path: Path, lane: str) -> None:
    from pipelines.loading import PipelineOptions
    from pipelines.qwen import QwenOptions

    known = {field.name for field in fields(QwenOptions if lane == "qwen" else PipelineOptions)}
    assert options_of(tmp_path, lane).keys() <= known
