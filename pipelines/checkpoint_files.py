"""Reading a checkpoint's folder: its JSON configs, and whether its weights are all there. Torch-free."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pipelines.contract import ModelMissing
from pipelines.weights import check_safetensors

_IDENTITY_SUFFIXES = frozenset({".json", ".safetensors", ".txt", ".model", ".jinja"})


def read_json(path: Path, advice: str) -> dict[str, Any]:
    """Return the JSON object in `path`. Raises ModelMissing, whose message ends with `advice`."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelMissing(
            f"{path.parent} is not a checkpoint of this kind: {path.name} is missing. {advice}"
        ) from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ModelMissing(f"{path} cannot be read. Copy the checkpoint again. {advice}") from error
    if not isinstance(content, dict):
        raise ModelMissing(f"{path} is not a config. Copy the checkpoint again. {advice}")
    return content


def check_folders(folder: Path, names: Iterable[str]) -> None:
    """Raise ModelMissing unless `folder` holds all the folders `names`."""
    absent = [name for name in names if not (folder / name).is_dir()]
    if absent:
        raise ModelMissing(f"The checkpoint {folder.name} lacks {', '.join(absent)}. Copy it again, or set another.")


def check_weights(folder: Path, component: str, advice: str) -> None:
    """Raise ModelMissing unless `component` ("" is `folder` itself) has whole .safetensors files, with all that its
    index names."""
    weights = list((folder / component).glob("*.safetensors"))
    if not weights:
        where = f" in {component}" if component else ""
        raise ModelMissing(f"The checkpoint {folder.name} has no .safetensors weights{where}. Copy it again.")
    for path in weights:
        check_safetensors(path)
    present = {path.name for path in weights}
    for index in (folder / component).glob("*.safetensors.index*.json"):
        absent = sorted(set(read_json(index, advice).get("weight_map", {}).values()) - present)
        if absent:
            where = f"{component}/{absent[0]}" if component else absent[0]
            raise ModelMissing(f"The checkpoint {folder.name} lacks {where}. Copy it again.")


def identity_files(folder: Path) -> Iterator[Path]:
    """Yield the files of `folder` that make it what it is, in a fixed order."""
    yield from sorted(path for path in folder.iterdir() if path.suffix in _IDENTITY_SUFFIXES)
