"""The films of the training set: drawn once and kept as 8-bit arrays."""

from __future__ import annotations

import json
import random
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipelines.tiny_world.motions import FILM_SIZES, FRAMES, Film, moments, random_film, render_film, render_frame
from pipelines.tiny_world.scenes import Scene, random_scene

FORMAT_SHARES: Final = (0.72, 0.14, 0.14)
"""Shares of wide, tall and square films."""
_CHUNK: Final = 60
Size = tuple[int, int]


def films_file(folder: Path, size: Size, kind: str) -> Path:
    """Where the pixels of one format and kind (``films`` or ``pictures``) are kept."""
    return folder / f"{kind}_{size[0]}x{size[1]}.npy"


def _list_file(folder: Path, size: Size, kind: str) -> Path:
    return films_file(folder, size, kind).with_suffix(".jsonl")


def render_films(folder: Path, films: int, pictures: int, processes: int = 2, seed: int = 0) -> None:
    """Draws training films and single pictures of every format into ``folder``, unless they are there already."""
    folder.mkdir(parents=True, exist_ok=True)
    for size, share in zip(FILM_SIZES, FORMAT_SHARES, strict=True):
        for kind, count, frames in (("films", films, FRAMES), ("pictures", pictures, 1)):
            if not _list_file(folder, size, kind).exists():
                drawn = max(1, round(count * share))
                _render(folder, size, kind, drawn, frames=frames, processes=processes, seed=seed)


def _render(folder: Path, size: Size, kind: str, count: int, *, frames: int, processes: int, seed: int) -> None:
    rng = random.Random(f"{seed}/{size}/{kind}")
    chosen = [_picture(rng) if kind == "pictures" else (random_film(rng), 0.0) for _ in range(count)]
    pixels = np.lib.format.open_memmap(
        films_file(folder, size, kind), mode="w+", dtype=np.uint8, shape=(count, frames, size[1], size[0], 3)
    )
    parts = [(chosen[start : start + _CHUNK], size, frames) for start in range(0, count, _CHUNK)]
    if processes > 1:
        with ProcessPoolExecutor(processes) as pool:
            for index, drawn in enumerate(pool.map(_draw, parts)):
                pixels[index * _CHUNK : index * _CHUNK + len(drawn)] = drawn
    else:
        for index, part in enumerate(parts):
            pixels[index * _CHUNK : index * _CHUNK + len(part[0])] = _draw(part)
    pixels.flush()
    lines = [json.dumps(_fields(film, moment)) for film, moment in chosen]
    _list_file(folder, size, kind).write_text("\n".join(lines) + "\n", encoding="utf-8")


def _picture(rng: random.Random) -> tuple[Film, float]:
    """A still scene such as SDXL's tiny world draws, or, for a third, some moment of a film."""
    if rng.random() < 0.67:
        return Film(scene=random_scene(rng)), 0.0
    return random_film(rng), rng.choice(moments())


def _draw(part: tuple[list[tuple[Film, float]], Size, int]) -> NDArray[np.uint8]:
    chosen, size, frames = part
    if frames == 1:
        return np.stack([np.asarray(render_frame(film, moment, size))[None] for film, moment in chosen])
    return np.stack([np.stack([np.asarray(p) for p in render_film(film, size, frames)]) for film, _ in chosen])


def _fields(film: Film, moment: float) -> dict[str, Any]:
    return {"motion": film.motion, "moment": moment, **asdict(film.scene), "named": sorted(film.scene.named)}


def load_pixels(folder: Path, size: Size, kind: str) -> NDArray[np.uint8]:
    """Pixels of one format: ``(n, frames, height, width, 3)`` in 0..255, mapped from disk."""
    pixels: NDArray[np.uint8] = np.load(films_file(folder, size, kind), mmap_mode="r")
    return pixels


def load_films(folder: Path, size: Size, kind: str) -> list[Film]:
    """The films behind ``load_pixels`` in the same order."""
    films = []
    for line in _list_file(folder, size, kind).read_text(encoding="utf-8").splitlines():
        fields: dict[str, Any] = json.loads(line)
        motion = fields.pop("motion")
        fields.pop("moment")
        scene = Scene(**{**fields, "named": frozenset(fields["named"]), "layout": tuple(fields["layout"])})
        films.append(Film(scene=scene, motion=motion))
    return films
