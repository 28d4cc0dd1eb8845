"""A film from a worker: held to what was announced, and its stills for grids and lists."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from pipelines.film_reading import Frame, UnreadableFilm, read_frames
from studio.errors import UnfitFile
from studio.media.mp4 import BrokenMp4, facts_of
from studio.media.storage import MEGABYTE
from studio.media.thumbnails import LARGE, moving_copy, small_copies

H264 = "avc1"
STILLS = 12
"""Frames that are kept of a film, evenly from the first to the last: they move in the hover preview, and one of them
is the poster."""
HOVER_FRAME_MS = 125
MAX_HOVER_BYTES = MEGABYTE
DULL_SHARE = 0.5
"""The middle of the film is its poster unless it shows less than this share of the detail of another still, as a fade
or a flash does."""
FPS_TOLERANCE = 0.02
"""The encoder takes rates with two decimals."""


@dataclass(frozen=True, kw_only=True)
class Announced:
    """What a worker says of its film. Sizes in pixels, `fps` in frames a second."""

    width: int
    height: int
    frames: int
    fps: float


@dataclass(frozen=True, kw_only=True)
class Stills:
    """WebP pictures of a film: its poster by the length of the longer side, and a few frames that move."""

    poster: dict[int, bytes]
    hover: bytes


def check_film(path: Path, announced: Announced) -> None:
    """Hold the MP4 at `path` to what was announced, by its own tables. Raises UnfitFile."""
    try:
        found = facts_of(path)
    except BrokenMp4 as error:
        raise UnfitFile(f"The worker delivered a broken film: {error}") from error
    if found.codec != H264 or not found.plays_while_loading:
        raise UnfitFile("The worker delivered a film that browsers do not play while it loads: H.264 is needed.")
    if (found.width, found.height, found.frames) != (announced.width, announced.height, announced.frames):
        raise UnfitFile(
            f"The worker delivered a film of {found.frames} frames of {found.width} x {found.height} pixels and "
            f"announced {announced.frames} of {announced.width} x {announced.height}."
        )
    if abs(found.fps - announced.fps) > FPS_TOLERANCE:
        raise UnfitFile(
            f"The worker delivered a film of {found.fps:g} frames a second and announced {announced.fps:g}."
        )


def stills_of(path: Path, announced: Announced) -> Stills:
    """Decode the film at `path`, one frame in memory at a time, and keep a few of them small.

    Raises UnfitFile where it cannot be decoded to the last of the frames that were announced.
    """
    scale = min(1.0, LARGE / max(announced.width, announced.height))
    size = (max(1, round(announced.width * scale)), max(1, round(announced.height * scale)))
    wanted = set(np.linspace(0, announced.frames - 1, min(STILLS, announced.frames)).round().astype(int).tolist())
    kept: list[Frame] = []
    count = 0
    try:
        with closing(read_frames(path, *size)) as frames:
            for count, frame in enumerate(frames, start=1):
                if count - 1 in wanted:
                    kept.append(frame)
                if count > announced.frames:
                    break
    except UnreadableFilm as error:
        raise UnfitFile(f"The worker delivered a film that cannot be decoded: {error}") from error
    if count != announced.frames:
        raise UnfitFile(f"The worker announced {announced.frames} frames; the film holds {count}.")
    poster = small_copies(Image.fromarray(kept[_poster(kept)]))
    moving = [Image.fromarray(frame) for frame in kept]
    return Stills(poster=poster, hover=moving_copy(moving, HOVER_FRAME_MS, MAX_HOVER_BYTES))


def _poster(stills: list[Frame]) -> int:
    """The number of the still that stands for the film."""
    details = [_detail(still) for still in stills]
    middle = len(stills) // 2
    return middle if details[middle] >= DULL_SHARE * max(details) else details.index(max(details))


def _detail(still: Frame) -> float:
    """Mean difference between neighbouring pixels, in steps of 8-bit brightness."""
    grey = still.mean(axis=2)
    return float(np.abs(np.diff(grey, axis=0)).mean() + np.abs(np.diff(grey, axis=1)).mean())
