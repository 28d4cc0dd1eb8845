"""Turn a checkpoint in float32 into one in bfloat16: half the disk, and half the reading at every start.

`python -m pipelines.conversion SOURCE TARGET` does it for a folder in the layout of diffusers. It runs as a process of
its own, because the program around it imports no torch. One file's tensors are in memory at a time, never a model's.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from pipelines.contract import ModelMissing
from pipelines.weights import check_safetensors

CONVERTED_PARTS = ("text_encoder", "transformer", "transformer_2")
"""The VAE and the picture's encoder stay as they are: they are published for float32."""
_LIBRARIES = ("diffusers", "transformers")
_UNFINISHED = ".unfinished"


def convert(source: Path, target: Path, say: Callable[[str], None] = print) -> None:
    """Write the checkpoint in `source` to `target` with the large parts in bfloat16; `say` hears of each file.

    A weight is converted exactly where loading the original in bfloat16 would convert it, so both load to the same
    bits. `target` appears whole or not at all; files finished before an interruption are not made again. Files that
    stay as they are become hard links where the file system has them. Raises ModelMissing or OSError.
    """
    unfinished = target.with_name(target.name + _UNFINISHED)
    weights = {path: part for part in CONVERTED_PARTS for path in sorted((source / part).glob("*.safetensors"))}
    kept = {part: kept_in_float32(source, part) for part in set(weights.values())}
    for number, (path, part) in enumerate(weights.items(), 1):
        say(f"Converting {path.relative_to(source)} to bfloat16 ({number} of {len(weights)})")
        _convert_file(path, unfinished / path.relative_to(source), kept[part])
    for path in _files(source):
        if path not in weights:
            _adopt(path, unfinished / path.relative_to(source))
    for part in kept:
        _correct_sizes(unfinished / part)
        _correct_config(unfinished / part / "config.json")
    unfinished.rename(target)


def kept_in_float32(source: Path, part: str) -> frozenset[str]:
    """Return the names of modules of `part` that its class keeps in float32 when it is loaded in bfloat16.

    diffusers keeps `_keep_in_fp32_modules` in every precision; transformers keeps those for float16 alone, and
    `_keep_in_fp32_modules_strict` for bfloat16 too. Raises ModelMissing where the index names no class of theirs.
    """
    try:
        library, name = json.loads((source / "model_index.json").read_text(encoding="utf-8"))[part]
        found = getattr(importlib.import_module(library), name) if library in _LIBRARIES else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelMissing(_unknown(source, part)) from error
    if found is None:
        raise ModelMissing(_unknown(source, part))
    attribute = "_keep_in_fp32_modules" if library == "diffusers" else "_keep_in_fp32_modules_strict"
    return frozenset(getattr(found, attribute, None) or ())


def _unknown(source: Path, part: str) -> str:
    return f"The {part} of {source.name} is of a class that diffusers and transformers do not have. Set another model."


def _convert_file(path: Path, target: Path, kept: frozenset[str]) -> None:
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    check_safetensors(path)
    with safe_open(path, framework="pt") as file:
        metadata, names = file.metadata(), file.keys()
        tensors = {name: _converted(name, file.get_tensor(name), kept) for name in names}
    unfinished = target.with_name(target.name + _UNFINISHED)
    save_file(tensors, unfinished, metadata=metadata)
    shutil.copymode(path, unfinished)  # safetensors makes files that nobody else can read
    unfinished.replace(target)


def _converted(name: str, tensor: torch.Tensor, kept: frozenset[str]) -> torch.Tensor:
    wide = tensor.is_floating_point() and tensor.dtype.itemsize > torch.bfloat16.itemsize
    return tensor.to(torch.bfloat16) if wide and kept.isdisjoint(name.split(".")) else tensor


def _files(folder: Path) -> Iterator[Path]:
    yield from sorted(path for path in folder.rglob("*") if path.is_file())


def _adopt(path: Path, target: Path) -> None:
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".json":
        shutil.copyfile(path, target)  # these are corrected below, and the original is to stay as it is
        return
    try:
        os.link(path, target)
    except OSError:
        unfinished = target.with_name(target.name + _UNFINISHED)
        shutil.copyfile(path, unfinished)
        unfinished.replace(target)


def _correct_sizes(folder: Path) -> None:
    for path in folder.glob("*.safetensors.index*.json"):
        index = _read(path)
        files = {folder / str(name) for name in index.get("weight_map", {}).values()}
        index["metadata"] = {**index.get("metadata", {}), "total_size": sum(_tensor_bytes(file) for file in files)}
        _write(path, index)


def _correct_config(path: Path) -> None:
    if not path.is_file():
        return
    config = _read(path)
    for key in ("dtype", "torch_dtype"):
        if config.get(key) == "float32":
            _write(path, config := {**config, key: "bfloat16"})


def _tensor_bytes(path: Path) -> int:
    with path.open("rb") as file:
        header = int.from_bytes(file.read(8), "little")
    return path.stat().st_size - 8 - header


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    """Convert as the command line says; ends with a sentence and exit code 1 where that fails."""
    parser = argparse.ArgumentParser(description="Write a diffusers checkpoint in bfloat16.")
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path, help="a folder that does not exist yet")
    arguments = parser.parse_args()
    try:
        convert(arguments.source, arguments.target, lambda line: print(line, flush=True))
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        sys.exit("The disk is full. Free some space and pull again." if full else f"Converting failed: {error}.")
    except (ModelMissing, SafetensorError, ValueError) as error:
        sys.exit(f"Converting failed: {error}")


if __name__ == "__main__":
    main()
