"""Look at weight files without loading them: are they whole, and are they the same as last time? Torch-free.

The layout (8 bytes of header length, a JSON header, the tensors) is https://github.com/huggingface/safetensors#format.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipelines.contract import ModelMissing

SAMPLES = 16
SAMPLE_BYTES = 4096
_LENGTH_BYTES = 8
_LARGEST_HEADER_BYTES = 100_000_000
_POINTER_START = b"version https://git-lfs"


def read_header(path: Path) -> dict[str, Any]:
    """Return the JSON header of a safetensors file: tensor name to dtype, shape and offsets. Raises ModelMissing."""
    try:
        with path.open("rb") as file:
            start = file.read(len(_POINTER_START))
            if start == _POINTER_START:
                raise ModelMissing(f"{path.name} is a Git LFS pointer and not the weights. Run `git lfs pull`.")
            length = int.from_bytes(start[:_LENGTH_BYTES], "little")
            if not 2 <= length <= min(_LARGEST_HEADER_BYTES, path.stat().st_size - _LENGTH_BYTES):
                raise ModelMissing(_damaged(path))
            file.seek(_LENGTH_BYTES)
            header = json.loads(file.read(length))
    except (OSError, ValueError) as error:
        raise ModelMissing(_damaged(path)) from error
    if not isinstance(header, dict):
        raise ModelMissing(_damaged(path))
    header["__bytes__"] = _LENGTH_BYTES + length
    return header


def check_safetensors(path: Path) -> None:
    """Raise ModelMissing unless the file is as long as its header says: half-copied files are the usual damage."""
    header = read_header(path)
    header.pop("__metadata__", None)
    start = int(header.pop("__bytes__"))
    try:
        end = max((int(tensor["data_offsets"][1]) for tensor in header.values()), default=0)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ModelMissing(_damaged(path)) from error
    if path.stat().st_size != start + end:
        raise ModelMissing(_damaged(path))


def sampled_digest(files: Iterable[Path], root: Path) -> str:
    """Return 16 hex digits over names, sizes, beginnings and evenly sampled blocks of `files`.

    Two fine-tunes of one architecture have the same configs, headers and sizes, so some of the weights are read too:
    at most 16 blocks of 4 KiB a file, whatever its size.
    """
    digest = hashlib.sha256()
    for path in files:
        size = path.stat().st_size
        digest.update(f"{path.relative_to(root).as_posix()}:{size}\n".encode())
        with path.open("rb") as file:
            if size <= SAMPLES * SAMPLE_BYTES:
                digest.update(file.read())
                continue
            for i in range(SAMPLES):
                file.seek((size - SAMPLE_BYTES) * i // (SAMPLES - 1))
                digest.update(file.read(SAMPLE_BYTES))
    return digest.hexdigest()[:16]


def _damaged(path: Path) -> str:
    return f"{path.name} is damaged or was only partly copied. Copy the checkpoint again."
