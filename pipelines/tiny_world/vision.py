"""Plain pixel measurements used by the adherence checks: colour masks, connected areas, silhouettes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.tiny_world.palette import RGB

Pixels = NDArray[np.float64]
Mask = NDArray[np.bool_]
_SILHOUETTE_PX: Final = 32


def pixels_of(image: Image.Image) -> Pixels:
    """Colours ``(h, w, 3)`` in 0..255."""
    return np.asarray(image.convert("RGB"), dtype=np.float64)


def luminance(pixels: Pixels) -> float:
    """Mean luma in 0..1 (ITU-R BT.601 weights)."""
    return float((pixels @ np.array([0.299, 0.587, 0.114])).mean() / 255.0)


def distance(pixels: Pixels, colour: RGB) -> Pixels:
    """Euclidean distance of every pixel to a colour, in 8-bit steps."""
    gap: Pixels = np.linalg.norm(pixels - np.array(colour, dtype=np.float64), axis=-1)
    return gap


def near_any(pixels: Pixels, colours: Sequence[RGB], reach: float) -> Mask:
    """Pixels within ``reach`` of one of the colours."""
    return np.min([distance(pixels, colour) for colour in colours], axis=0) < reach


def nearest_colour(pixels: Pixels, colours: Sequence[RGB]) -> NDArray[np.intp]:
    """Index ``(h, w)`` of the nearest colour."""
    return np.argmin([distance(pixels, colour) for colour in colours], axis=0)


@dataclass(frozen=True)
class Area:
    """A connected part of a mask: its pixels, and its box in pixels (right and bottom are exclusive)."""

    mask: Mask
    left: int
    top: int
    right: int
    bottom: int

    @property
    def pixels(self) -> int:
        """How many pixels it covers."""
        return int(self.mask.sum())

    @property
    def width(self) -> int:
        """Width of its box in pixels."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Height of its box in pixels."""
        return self.bottom - self.top


def largest_area(mask: Mask) -> Area | None:
    """The largest 4-connected part of a mask, or None where the mask is empty."""
    left = mask.copy()
    best: list[tuple[int, int]] = []
    while len(best) < int(left.sum()):
        row, column = (int(v) for v in np.argwhere(left)[0])
        part = _flood(left, row, column)
        if len(part) > len(best):
            best = part
    if not best:
        return None
    rows, columns = np.array(best).T
    area = np.zeros_like(mask)
    area[rows, columns] = True
    return Area(area, int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1)


def _flood(left: Mask, row: int, column: int) -> list[tuple[int, int]]:
    """Collects the connected part around a pixel and clears it from ``left``."""
    height, width = left.shape
    left[row, column] = False
    part = [(row, column)]
    for y, x in part:
        for near_y, near_x in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            if 0 <= near_y < height and 0 <= near_x < width and left[near_y, near_x]:
                left[near_y, near_x] = False
                part.append((near_y, near_x))
    return part


def silhouette(area: Area) -> Mask:
    """The area's box scaled to 32x32, so that shapes can be compared whatever their size."""
    cut = area.mask[area.top : area.bottom, area.left : area.right]
    picture = Image.fromarray(cut.astype(np.uint8) * 255).resize(
        (_SILHOUETTE_PX, _SILHOUETTE_PX), Image.Resampling.BILINEAR
    )
    return np.asarray(picture) > 127


def overlap(first: Mask, second: Mask) -> float:
    """Intersection over union of two masks, 0..1."""
    union = np.logical_or(first, second).sum()
    return float(np.logical_and(first, second).sum() / union) if union else 0.0
