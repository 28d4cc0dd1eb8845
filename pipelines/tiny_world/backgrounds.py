"""Skies, sun and moon, clouds, and the six grounds."""

from __future__ import annotations

import math
from typing import Final

from pipelines.tiny_world.canvas import Canvas
from pipelines.tiny_world.palette import LAND, RGB, SEAS, SKIES, mix, tint
from pipelines.tiny_world.scenes import Scene

HORIZON: Final = 0.62
"""Height of the water's edge as a share of the picture."""

_STARS: Final = (
    (0.07, 0.10),
    (0.19, 0.27),
    (0.31, 0.08),
    (0.43, 0.20),
    (0.55, 0.06),
    (0.66, 0.25),
    (0.78, 0.11),
    (0.90, 0.22),
    (0.12, 0.42),
    (0.36, 0.36),
    (0.60, 0.40),
    (0.86, 0.38),
)
_LIGHTS: Final[dict[str, tuple[RGB, RGB, float]]] = {
    "dawn": ((255, 244, 214), (255, 236, 206), 0.75),
    "day": ((255, 246, 190), (255, 252, 226), 0.80),
    "sunset": ((255, 236, 150), (255, 214, 120), 0.85),
    "night": ((246, 246, 232), (150, 170, 226), 0.55),
}
CLOUDS: Final[dict[str, RGB]] = {
    "dawn": (255, 228, 226),
    "day": (255, 255, 255),
    "sunset": (255, 168, 122),
    "night": (58, 74, 126),
}
_SKYLINE: Final = (0.30, 0.42, 0.26, 0.36, 0.48, 0.30, 0.40, 0.24, 0.44, 0.33, 0.27, 0.39)
"""Heights of the city's buildings, in units; the row repeats."""


def sun_place(scene: Scene) -> tuple[float, float]:
    """Centre of sun or moon as shares of width and height: high by day and night, low at dawn and sunset."""
    if scene.sun_place is not None:
        return scene.sun_place
    across, height = scene.layout[2], scene.layout[3]
    left = 0.14 + 0.72 * across
    if scene.time in ("dawn", "sunset"):
        return left, 0.46 + 0.06 * height
    return left, 0.15 + 0.06 * height


def draw_sky(canvas: Canvas, scene: Scene) -> None:
    """Gradient, stars at night, sun or moon with its glow, and clouds."""
    canvas.gradient(SKIES[scene.time], 0.0, 0.68)
    if scene.time == "night":
        for x, y in _STARS:
            canvas.disc((x, y), 0.009, (236, 240, 255))
    disc, halo, strength = _LIGHTS[scene.time]
    place = sun_place(scene)
    canvas.glow(place, 0.26, halo, strength)
    canvas.disc(place, 0.075 if scene.time in ("dawn", "sunset") else 0.066, disc)
    if scene.clouds:
        _clouds(canvas, scene)


def _clouds(canvas: Canvas, scene: Scene) -> None:
    colour = CLOUDS[scene.time]
    shift = 0.16 * (scene.layout[5] - 0.5) + scene.cloud_drift
    for x, y, size in ((0.24 + shift, 0.17, 1.0), (0.76 + shift, 0.29, 0.85)):
        for dx, dy, radius in (
            (-0.085, 0.0, 0.036),
            (-0.03, -0.022, 0.054),
            (0.04, -0.010, 0.045),
            (0.09, 0.004, 0.030),
        ):
            centre = (x + dx * size * canvas.unit / canvas.size[0], y + dy * size * canvas.unit / canvas.size[1])
            canvas.disc(centre, radius * size, colour)
        canvas.box((x, y), (-0.095 * size, 0.0, 0.10 * size, 0.036 * size), colour)


def draw_ground(canvas: Canvas, scene: Scene) -> None:
    """Everything below the sky."""
    if scene.ground == "sea":
        _sea(canvas, scene)
    elif scene.ground == "mountains":
        _mountains(canvas, scene)
    elif scene.ground == "city":
        _city(canvas, scene)
    else:
        _hills(canvas, scene)


def _sea(canvas: Canvas, scene: Scene) -> None:
    near_light = _LIGHTS[scene.time][1]
    top, bottom = SEAS[scene.time]
    canvas.gradient((top, bottom), HORIZON, 1.0)
    x = sun_place(scene)[0]
    for row in range(6):
        y = HORIZON + 0.028 + 0.058 * row
        width = 0.055 + 0.014 * row
        colour = mix(near_light, mix(top, bottom, row / 5), 0.25 + 0.08 * row)
        canvas.box((x, y), (-width, -0.007, width, 0.007), colour)
    wave = mix(bottom, top, 0.62)
    for shift, y in ((0.10, 0.72), (0.58, 0.76), (0.30, 0.84), (0.82, 0.88), (0.08, 0.93)):
        canvas.box((shift + 0.06 * scene.layout[6], y), (0.0, -0.005, 0.12, 0.005), wave)


def _wave(base: float, height: float, cycles: float, phase: float) -> list[float]:
    return [base - height * math.sin(2 * math.pi * (cycles * i / 40 + phase)) for i in range(41)]


def _hills(canvas: Canvas, scene: Scene) -> None:
    far, middle, near = (tint(colour, scene.time) for colour in LAND[scene.ground])
    phase = 0.35 * scene.layout[6]
    if scene.ground == "meadow":
        lines = (
            _wave(0.62, 0.030, 1.0, phase),
            _wave(0.70, 0.030, 0.9, 0.5 + phase),
            _wave(0.84, 0.024, 0.8, 0.15 + phase),
        )
    elif scene.ground == "desert":
        lines = (
            _wave(0.63, 0.040, 1.4, phase),
            _wave(0.72, 0.034, 0.8, 0.55 + phase),
            _wave(0.86, 0.030, 0.7, 0.1 + phase),
        )
    else:
        lines = (
            _wave(0.63, 0.022, 0.8, phase),
            _wave(0.72, 0.022, 0.7, 0.6 + phase),
            _wave(0.86, 0.020, 0.6, 0.2 + phase),
        )
    for line, colour in zip(lines, (far, middle, near), strict=True):
        canvas.curve(line, colour)
    if scene.ground == "meadow":
        petals = [
            tint(colour, "day" if scene.time == "day" else scene.time) for colour in ((255, 240, 120), (255, 150, 180))
        ]
        for index in range(8):
            canvas.disc((0.06 + 0.125 * index, 0.915 + 0.045 * (index % 2)), 0.014, petals[index % 2])


def _mountains(canvas: Canvas, scene: Scene) -> None:
    far, middle, near = (tint(colour, scene.time) for colour in LAND["mountains"])
    snow = tint((248, 250, 255), scene.time)
    shift = 0.10 * (scene.layout[6] - 0.5)
    for place, peak, half, colour in ((0.14, 0.42, 0.36, far), (0.88, 0.40, 0.38, far), (0.50, 0.30, 0.42, middle)):
        x = place + shift
        base = 0.74
        points = ((x, peak), (x + half, base), (x - half, base))
        canvas.draw.polygon([(canvas.x(px), canvas.y(py)) for px, py in points], fill=colour)
        cap = 0.30
        edge = peak + (base - peak) * cap
        tip = (
            (x, peak),
            (x + half * cap, edge),
            (x + half * cap * 0.45, edge - 0.03),
            (x, edge + 0.02),
            (x - half * cap * 0.45, edge - 0.03),
            (x - half * cap, edge),
        )
        canvas.draw.polygon([(canvas.x(px), canvas.y(py)) for px, py in tip], fill=snow)
    canvas.curve(_wave(0.72, 0.012, 1.0, scene.layout[6] * 0.3), near)
    canvas.curve(_wave(0.87, 0.016, 0.8, 0.4 + scene.layout[6] * 0.3), mix(near, (0, 0, 0), 0.18))


def _city(canvas: Canvas, scene: Scene) -> None:
    far, middle, near = (tint(colour, scene.time) for colour in LAND["city"])
    lit: RGB = (255, 214, 110) if scene.time in ("night", "sunset") else mix(middle, (224, 240, 255), 0.55)
    start = -0.10 * scene.layout[6]
    step = 0.175
    count = int((canvas.size[0] / canvas.unit + 0.3) / step) + 1
    for index in range(count):
        left = start + step * index
        tall = _SKYLINE[(index * 5 + 3) % len(_SKYLINE)] * 0.8 + 0.16
        canvas.box((0.0, 0.84), (left - 0.06, -tall, left + 0.07, 0.0), far)
    for index in range(count):
        left = start + step * index
        tall = _SKYLINE[index % len(_SKYLINE)]
        canvas.box((0.0, 0.84), (left, -tall, left + 0.145, 0.0), middle)
        for row in range(int((tall - 0.05) / 0.075)):
            for column in range(2):
                corner = (left + 0.03 + 0.055 * column, -tall + 0.035 + 0.075 * row)
                canvas.box((0.0, 0.84), (corner[0], corner[1], corner[0] + 0.032, corner[1] + 0.040), lit)
    canvas.box((0.0, 0.84), (-0.1, 0.0, canvas.size[0] / canvas.unit + 0.1, 0.3), near)
    for index in range(5):
        canvas.box((0.04 + 0.2 * index, 0.92), (0.0, -0.010, 0.10, 0.010), mix(near, (255, 255, 255), 0.45))
