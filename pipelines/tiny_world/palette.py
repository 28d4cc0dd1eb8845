"""Colours of the tiny world: named colours, skies, grounds and how light tints them."""

from __future__ import annotations

from typing import Final

RGB = tuple[int, int, int]

COLOURS: Final[dict[str, RGB]] = {
    "red": (222, 38, 42),
    "orange": (248, 134, 22),
    "yellow": (252, 212, 38),
    "green": (34, 160, 70),
    "blue": (36, 88, 222),
    "purple": (128, 54, 190),
    "pink": (252, 122, 186),
    "white": (248, 248, 250),
    "black": (20, 20, 24),
    "gray": (132, 134, 140),
}
"""Named colours in 8-bit sRGB."""

OBJECT_COLOURS: Final = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "white")
"""Colours of balloons, sails and houses."""

TIMES: Final = ("dawn", "day", "sunset", "night")
GROUNDS: Final = ("sea", "desert", "meadow", "snow", "mountains", "city")
SHAPES: Final = ("circle", "square", "triangle", "heart")

SKIES: Final[dict[str, tuple[RGB, RGB, RGB]]] = {
    "dawn": ((122, 142, 218), (240, 180, 204), (255, 228, 194)),
    "day": ((44, 124, 224), (112, 184, 246), (208, 238, 253)),
    "sunset": ((88, 44, 124), (236, 92, 84), (255, 194, 92)),
    "night": ((8, 12, 40), (20, 32, 82), (50, 70, 128)),
}
"""Top, middle and horizon of the sky's gradient."""

SEAS: Final[dict[str, tuple[RGB, RGB]]] = {
    "dawn": ((198, 178, 214), (92, 114, 182)),
    "day": ((88, 182, 228), (18, 88, 170)),
    "sunset": ((222, 120, 100), (66, 42, 104)),
    "night": ((34, 54, 106), (6, 12, 38)),
}
"""Water at the horizon and at the lower edge."""

LAND: Final[dict[str, tuple[RGB, RGB, RGB]]] = {
    "meadow": ((150, 206, 98), (98, 176, 74), (64, 142, 62)),
    "desert": ((250, 220, 156), (240, 192, 116), (218, 158, 84)),
    "snow": ((246, 250, 254), (226, 238, 250), (204, 222, 242)),
    "mountains": ((138, 164, 204), (88, 112, 158), (70, 128, 104)),
    "city": ((138, 152, 184), (92, 104, 142), (74, 82, 112)),
}
"""Far, middle and near layer of each land by day."""

_LIGHT: Final[dict[str, tuple[tuple[float, float, float], RGB]]] = {
    "dawn": ((0.80, 0.76, 0.82), (46, 32, 38)),
    "day": ((1.0, 1.0, 1.0), (0, 0, 0)),
    "sunset": ((0.64, 0.50, 0.48), (40, 8, 28)),
    "night": ((0.24, 0.28, 0.40), (2, 6, 26)),
}
_OBJECT_LIGHT: Final[dict[str, tuple[tuple[float, float, float], RGB]]] = {
    "dawn": ((0.95, 0.93, 0.94), (8, 6, 6)),
    "day": ((1.0, 1.0, 1.0), (0, 0, 0)),
    "sunset": ((0.92, 0.86, 0.84), (10, 0, 6)),
    "night": ((0.74, 0.74, 0.78), (0, 0, 8)),
}


def _lit(colour: RGB, light: tuple[tuple[float, float, float], RGB]) -> RGB:
    scale, offset = light
    red, green, blue = (min(255, round(c * s + o)) for c, s, o in zip(colour, scale, offset, strict=True))
    return red, green, blue


def tint(colour: RGB, time: str) -> RGB:
    """The colour of land or dim things at a time of day."""
    return _lit(colour, _LIGHT[time])


def tint_object(colour: RGB, time: str) -> RGB:
    """The colour of a subject at a time of day: kept vivid, so that a named colour stays itself at night."""
    return _lit(colour, _OBJECT_LIGHT[time])


def mix(first: RGB, second: RGB, share: float) -> RGB:
    """Linear blend; ``share`` is the part of ``second`` in 0..1."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue
