"""Does what the prompt names move as it says, and nothing else? Rules on frames; nothing here is learned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.tiny_world.backgrounds import CLOUDS
from pipelines.tiny_world.checks import body_colours, marker_colours
from pipelines.tiny_world.motions import Film
from pipelines.tiny_world.vision import Mask, Pixels, largest_area, luminance, near_any, pixels_of

REACH: Final = 46.0
"""How far, in 8-bit RGB distance, a pixel may lie from a thing's colours and still count as it."""
ALWAYS: Final = 0.85
"""A pixel that has the colours in more than this share of the frames belongs to the background."""
LEAST_AREA: Final = 0.02
"""Least share of the frame that a subject covers."""
LEAST_SEEN: Final = 0.7
"""Share of the frames in which the subject must be found."""
LEAST_TRAVEL: Final = {"left": 0.30, "right": 0.30, "up": 0.20, "down": 0.20}
"""Least travel of the subject's centroid, as a share of the width (or height); films are drawn with 0.52 (0.37)."""
MOST_DRIFT: Final = 0.5
"""Most movement across the named direction, as a share of that along it."""
STILL_TRAVEL: Final = 0.06
CHANGED: Final = 40.0
"""A pixel changed if its colour is this far from before, in 8-bit RGB distance."""
MOST_CHANGED: Final = 0.10
"""Most of the background's pixels that may change between the first and the last frame."""
CLOUD_TRAVEL: Final = 0.18
"""Least travel of the clouds as a share of the width; films are drawn with 0.44."""
DUSK: Final = 0.10
"""Least loss of mean luma from the first to the last frame of a sunset, 0..1."""
SUN_TRAVEL: Final = 0.08
"""Least travel of the sun as a share of the height while it is well lit."""
_SKY: Final = 0.5
_NEAR: Final = 0.09
"""Ropes, mast, basket and reflections are this near to a subject's colours, as a share of the width."""
_GAP: Final = 0.021
_LIT_FRAMES: Final = 7
_SUN_SKY: Final = 0.56
_LUMA: Final = np.array([0.299, 0.587, 0.114])
_LEAST_EXCESS: Final = 8.0


@dataclass(frozen=True, kw_only=True)
class Track:
    """Centroids ``(frames, 2)`` as shares of width and height (NaN where nothing was found), and the areas' masks."""

    places: NDArray[np.float64]
    masks: list[Mask]

    @property
    def seen(self) -> float:
        """Share of the frames in which the thing was found."""
        return float(np.isfinite(self.places[:, 0]).mean())

    def travel(self) -> tuple[float, float]:
        """Movement to the right and downwards over the whole film, by a straight line through the centroids."""
        found = np.isfinite(self.places[:, 0])
        moments = np.linspace(0.0, 1.0, len(self.places))[found]
        slopes = np.polyfit(moments, self.places[found], 1)[0]
        return float(slopes[0]), float(slopes[1])


def track_subject(frames: Sequence[Pixels], film: Film) -> Track:
    """Follows the largest area of the subject's colours, leaving out what always has those colours."""
    scene = film.scene
    colours = [*body_colours(scene.subject, scene.colour, scene.time), *marker_colours(scene)]
    return _track([near_any(frame, colours, REACH) for frame in frames], keep_still=film.motion == "still")


def _track(masks: list[Mask], *, keep_still: bool) -> Track:
    background = np.zeros_like(masks[0]) if keep_still else np.mean(masks, axis=0) > ALWAYS
    things = [_thing(mask & ~background) for mask in masks]
    return Track(places=np.array([_centroid(thing) for thing in things]), masks=things)


def _thing(mask: Mask) -> Mask:
    """The largest part of a mask, joined over narrow gaps such as the mast between two sails."""
    area = largest_area(_grown(mask, _GAP))
    return mask & area.mask if area is not None else mask


def _centroid(mask: Mask) -> tuple[float, float]:
    if mask.mean() < LEAST_AREA:
        return float("nan"), float("nan")
    rows, columns = np.nonzero(mask)
    height, width = mask.shape
    return float(columns.mean() / width), float(rows.mean() / height)


def background_changed(frames: Sequence[Pixels], track: Track | None = None) -> float:
    """Share of the pixels, outside the subject's first and last place, that differ between first and last frame."""
    outside = np.ones(frames[0].shape[:2], dtype=np.bool_)
    if track is not None:
        for mask in (track.masks[0], track.masks[-1]):
            outside &= ~_grown(mask, _NEAR)
    gap = np.linalg.norm(frames[0] - frames[-1], axis=-1)
    return float((gap[outside] > CHANGED).mean()) if outside.any() else 1.0


def _grown(mask: Mask, by: float) -> Mask:
    """The mask's surroundings too, as far as ``by`` of the frame's width."""
    reach = max(1, round(by * mask.shape[1]))
    grown = mask.copy()
    for axis in (0, 1):
        padded = np.pad(grown, [(reach, reach) if a == axis else (0, 0) for a in (0, 1)])
        windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=axis)
        grown = np.asarray(windows.any(axis=-1))
    return grown


def clouds_travel(frames: Sequence[Pixels], time: str) -> float:
    """Movement of the clouds to the right as a share of the width: best shifts of their mask, two frames apart."""
    top = round(_SKY * len(frames[0]))
    masks = [near_any(frame[:top], [CLOUDS[time]], REACH) for frame in frames]
    masks = [mask & ~(np.mean(masks, axis=0) > ALWAYS) for mask in masks]
    width = masks[0].shape[1]
    reach = round(0.12 * width)
    total = 0.0
    for before, after in zip(masks[:-2:2], masks[2::2], strict=True):
        total += max(range(-reach, reach + 1), key=lambda d: (_agreement(before, after, d), -abs(d)))
    return total / width


def _agreement(before: Mask, after: Mask, shift: int) -> float:
    if shift >= 0:
        first, second = before[:, : before.shape[1] - shift], after[:, shift:]
    else:
        first, second = before[:, -shift:], after[:, :shift]
    union = np.logical_or(first, second).sum()
    return float(np.logical_and(first, second).sum() / union) if union else 0.0


def sun_travel(frames: Sequence[Pixels]) -> float:
    """Movement of the sun downwards as a share of the height: centroid of what is brighter than its row, and moves."""
    sky = [frame[: round(_SUN_SKY * len(frame))] @ _LUMA for frame in frames]
    excess = np.stack(
        [np.clip(part - np.median(part, axis=1, keepdims=True) - _LEAST_EXCESS, 0.0, None) for part in sky]
    )
    moving = excess - excess.min(axis=0)
    weights = moving.sum(axis=(1, 2))
    if (weights < 1.0).any():
        return 0.0
    rows = np.arange(moving.shape[1])[None, :, None]
    places = (moving * rows).sum(axis=(1, 2)) / weights / len(frames[0])
    return float(np.polyfit(np.linspace(0.0, 1.0, len(frames)), places, 1)[0])


def check_motion(frames: Sequence[Image.Image], film: Film) -> dict[str, bool]:
    """Answers by check: ``motion`` (the named thing moves in the named direction) and ``rest`` (the rest does not)."""
    pixels = [pixels_of(frame) for frame in frames]
    if film.motion in ("sunset", "sunrise"):
        return {"motion": _sun_moves(pixels, film)}
    if film.motion in ("clouds_left", "clouds_right"):
        travel = clouds_travel(pixels, film.scene.time)
        side = -1.0 if film.motion == "clouds_left" else 1.0
        ground = [frame[round(0.72 * len(frame)) :] for frame in pixels]
        return {"motion": side * travel > CLOUD_TRAVEL, "rest": background_changed(ground) < MOST_CHANGED}
    if film.motion == "still":
        return {"motion": background_changed(pixels) < MOST_CHANGED}
    track = track_subject(pixels, film)
    return {"motion": _subject_moves(track, film.motion), "rest": background_changed(pixels, track) < MOST_CHANGED}


def _subject_moves(track: Track, motion: str) -> bool:
    if track.seen < LEAST_SEEN:
        return False
    right, down = track.travel()
    along, across = (right, down) if motion in ("left", "right") else (down, right)
    side = 1.0 if motion in ("right", "down") else -1.0
    return side * along > LEAST_TRAVEL[motion] and abs(across) < MOST_DRIFT * abs(along)


def _sun_moves(pixels: Sequence[Pixels], film: Film) -> bool:
    ordered = list(pixels) if film.motion == "sunset" else list(pixels)[::-1]
    darker = luminance(ordered[0]) - luminance(ordered[-1])
    return darker > DUSK and sun_travel(ordered[:_LIT_FRAMES]) > SUN_TRAVEL
