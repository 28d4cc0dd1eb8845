"""Where `python app.py pull` leaves a checkpoint of the hub, and whether it is there whole."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

MARKER = ".pulled"
"""The file that is written last. It has no suffix, so that it is no part of a checkpoint's fingerprint."""


class PulledNote(BaseModel):
    """What the marker says: the hub id, the commit it was taken at, and whether weights were converted to bfloat16."""

    model_config = ConfigDict(frozen=True)

    hub_id: str
    revision: str
    converted: bool


def folder_for(models_path: Path, hub_id: str) -> Path:
    """The folder of a hub id `owner/name` below the models folder, whether it exists or not."""
    return models_path / hub_id.replace("/", "--")


def find_pulled(models_path: Path, hub_id: str) -> Path | None:
    """The folder of `hub_id` where it was pulled to the end, else None."""
    folder = folder_for(models_path, hub_id)
    return folder if read_note(folder) is not None else None


def read_note(folder: Path) -> PulledNote | None:
    """What `folder` says of itself; None where it was not made by a pull."""
    try:
        return PulledNote.model_validate_json((folder / MARKER).read_bytes())
    except (OSError, ValidationError):
        return None


def write_note(folder: Path, note: PulledNote) -> None:
    """Mark `folder` as whole. Raises OSError."""
    (folder / MARKER).write_text(json.dumps(note.model_dump(), indent=2) + "\n", encoding="utf-8")
