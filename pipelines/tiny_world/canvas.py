"""A supersampled drawing surface in picture coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from PIL import Image, ImageDraw

from pipelines.tiny_world.palette import RGB

OVERSAMPLING: Final = 3
Point = tuple[float, float]


class Canvas:
    """Draws with coordinates as shares of width and height; ``unit`` is the length of 1.0 for sizes of objects.

    On a square picture the unit is its side. On 160x96 and 96x160 it is 116 pixels, so that an object covers about
    the same number of pixels in every format.
    """

    def __init__(self, width: int, height: int) -> None:
        self.size = (width * OVERSAMPLING, height * OVERSAMPLING)
        self.unit = float(min(width, height)) * OVERSAMPLING
        if width != height:
            self.unit *= 1.2
        self.image = Image.new("RGB", self.size)
        self.draw = ImageDraw.Draw(self.image)

    def x(self, share: float) -> float:
        """Horizontal position in supersampled pixels."""
        return share * self.size[0]

    def y(self, share: float) -> float:
        """Vertical position in supersampled pixels, downwards."""
        return share * self.size[1]

    def gradient(self, stops: Sequence[RGB], top: float, bottom: float) -> None:
        """Fills the band between two heights (shares) with evenly spaced colours, from top to bottom."""
        first, last = round(self.y(top)), round(self.y(bottom))
        rows = np.linspace(0.0, len(stops) - 1.0, max(last - first, 1))
        table = np.array(stops, dtype=np.float64)
        column = np.stack([np.interp(rows, np.arange(len(stops)), table[:, c]) for c in range(3)], axis=1)
        band = np.broadcast_to(column[:, None].round().astype(np.uint8), (len(rows), self.size[0], 3))
        self.image.paste(Image.fromarray(np.ascontiguousarray(band)), (0, first))

    def glow(self, centre: Point, radius: float, colour: RGB, strength: float) -> None:
        """Blends a soft round light over the picture. ``radius`` in units, ``strength`` in 0..1."""
        reach = round(radius * self.unit)
        axis = np.linspace(-1.0, 1.0, 2 * reach + 1)
        fall = np.clip(1.0 - np.hypot(axis[None], axis[:, None]), 0.0, 1.0) ** 1.6
        mask = Image.fromarray((fall * 255 * strength).astype(np.uint8))
        corner = (round(self.x(centre[0])) - reach, round(self.y(centre[1])) - reach)
        self.image.paste(colour, (*corner, corner[0] + 2 * reach + 1, corner[1] + 2 * reach + 1), mask)

    def disc(self, centre: Point, radius: float, colour: RGB) -> None:
        """A filled circle; ``radius`` in units."""
        self.oval(centre, radius, radius, colour)

    def oval(self, centre: Point, half_width: float, half_height: float, colour: RGB) -> None:
        """A filled ellipse; half axes in units."""
        cx, cy, rx, ry = self.x(centre[0]), self.y(centre[1]), half_width * self.unit, half_height * self.unit
        self.draw.ellipse((cx - rx, cy - ry, cx + rx, cy + ry), fill=colour)

    def local(self, origin: Point, points: Sequence[Point], colour: RGB) -> None:
        """A polygon whose points are offsets in units from an origin in shares."""
        ox, oy = self.x(origin[0]), self.y(origin[1])
        self.draw.polygon([(ox + px * self.unit, oy + py * self.unit) for px, py in points], fill=colour)

    def box(self, origin: Point, edges: tuple[float, float, float, float], colour: RGB) -> None:
        """A rectangle whose edges (left, top, right, bottom) are offsets in units from an origin in shares."""
        left, top, right, bottom = edges
        self.local(origin, [(left, top), (right, top), (right, bottom), (left, bottom)], colour)

    def curve(self, heights: Sequence[float], colour: RGB) -> None:
        """Fills everything below a line given by heights (shares) at evenly spaced places."""
        last = len(heights) - 1
        line = [(self.x(i / last), self.y(h)) for i, h in enumerate(heights)]
        self.draw.polygon([*line, (self.size[0], self.size[1]), (0, self.size[1])], fill=colour)

    def picture(self) -> Image.Image:
        """The finished picture at its real size."""
        return self.image.reduce(OVERSAMPLING)
