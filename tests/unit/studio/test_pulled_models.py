"""Checkpoints that were pulled, and when the studio uses them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipelines.checkpoint_roles import FULL_MODEL
from pipelines.checkpoints import DEMO_FOLDER, Kind
from studio.models import checkpoint_of
from studio.pulled_models import MARKER, PulledNote, find_pulled, folder_for, read_note, write_note
from studio.settings import Settings

HUB_ID = FULL_MODEL["qwen"]
NOTE = PulledNote(hub_id=HUB_ID, revision="0" * 40, converted=False)


@pytest.fixture
def pulled_qwen(tmp_path: Path) -> Path:
    """A Qwen checkpoint where a pull would leave it, without its marker."""
    folder = folder_for(tmp_path / "models", HUB_ID)
    shutil.copytree(DEMO_FOLDER["qwen"], folder)
    return folder


def test_only_what_is_marked_is_whole(pulled_qwen: Path) -> None:
    assert find_pulled(pulled_qwen.parent, HUB_ID) is None
    (pulled_qwen / MARKER).write_text("{")
    assert find_pulled(pulled_qwen.parent, HUB_ID) is None
    write_note(pulled_qwen, NOTE)
    assert find_pulled(pulled_qwen.parent, HUB_ID) == pulled_qwen
    assert read_note(pulled_qwen) == NOTE


@pytest.mark.parametrize("named", [None, HUB_ID])
def test_a_pulled_checkpoint_comes_before_the_hub(tmp_path: Path, pulled_qwen: Path, named: str | None) -> None:
    settings = Settings(data_dir=tmp_path, models="full", qwen_model=named)
    assert checkpoint_of(settings, "qwen").kind is Kind.HUB
    write_note(pulled_qwen, NOTE)
    found = checkpoint_of(settings, "qwen")
    assert (found.kind, found.location) == (Kind.FOLDER, str(pulled_qwen))


def test_a_folder_of_ones_own_and_the_demo_come_first(
    tmp_path: Path, pulled_qwen: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_note(pulled_qwen, NOTE)
    assert checkpoint_of(Settings(data_dir=tmp_path, models="demo"), "qwen").demo
    monkeypatch.chdir(tmp_path)
    own = tmp_path / HUB_ID
    shutil.copytree(DEMO_FOLDER["qwen"], own)
    assert checkpoint_of(Settings(data_dir=tmp_path, qwen_model=HUB_ID), "qwen").location == str(own)


def test_the_marker_is_no_part_of_the_fingerprint(tmp_path: Path, pulled_qwen: Path) -> None:
    settings = Settings(data_dir=tmp_path, qwen_model=str(pulled_qwen))
    before = checkpoint_of(settings, "qwen").fingerprint
    write_note(pulled_qwen, NOTE)
    assert checkpoint_of(settings, "qwen").fingerprint == before
