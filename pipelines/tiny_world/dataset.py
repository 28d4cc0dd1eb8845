"""The training set: scenes drawn once and kept as 8-bit arrays."""

from __future__ import annotations

import json
import random
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipelines.tiny_world.renderer import SIZES, render
from pipelines.tiny_world.scenes import Scene, random_scene

FORMAT_SHARES: Final = (0.6, 0.2, 0.2)
"""Shares of square, wide and tall pictures."""


def _pixels_file(folder: Path, size: tuple[int, int]) -> Path:
    return folder / f"pixels_{size[0]}x{size[1]}.npy"


def _scenes_file(folder: Path, size: tuple[int, int]) -> Path:
    return folder / f"scenes_{size[0]}x{size[1]}.jsonl"


def render_training_set(folder: Path, count: int, seed: int = 0) -> None:
    """Draws ``count`` training scenes over the three formats into ``folder``, unless they are there already."""
    folder.mkdir(parents=True, exist_ok=True)
    for size, share in zip(SIZES, FORMAT_SHARES, strict=True):
        if _scenes_file(folder, size).exists():
            continue
        rng = random.Random(f"{seed}/{size}")
        scenes = [random_scene(rng) for _ in range(max(1, round(count * share)))]
        pixels = np.lib.format.open_memmap(
            _pixels_file(folder, size), mode="w+", dtype=np.uint8, shape=(len(scenes), size[1], size[0], 3)
        )
        for index, scene in enumerate(scenes):
            pixels[index] = np.asarray(render(scene, size))
        pixels.flush()
        lines = [json.dumps({**asdict(s), "named": sorted(s.named)}) for s in scenes]
        _scenes_file(folder, size).write_text("\n".join(lines) + "\n", encoding="utf-8")


def load_pixels(folder: Path, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Pictures of one format: ``(n, height, width, 3)`` in 0..255, mapped from disk."""
    pixels: NDArray[np.uint8] = np.load(_pixels_file(folder, size), mmap_mode="r")
    return pixels


def load_scenes(folder: Path, size: tuple[int, int]) -> list[Scene]:
    """The scenes behind ``load_pixels`` in the same order."""
    scenes = []
    for line in _scenes_file(folder, size).read_text(encoding="utf-8").splitlines():
        fields: dict[str, Any] = json.loads(line)
        scenes.append(Scene(**{**fields, "named": frozenset(fields["named"]), "layout": tuple(fields["layout"])}))
    return scenes
