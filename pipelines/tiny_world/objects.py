"""Subjects: balloon, sailboat, house, tree, birds and plain shapes."""

from __future__ import annotations

import math

from pipelines.tiny_world.canvas import Canvas, Point
from pipelines.tiny_world.palette import COLOURS, RGB, mix, tint, tint_object
from pipelines.tiny_world.scenes import Scene

WINDOW_LIGHT: RGB = (255, 218, 112)


def subject_place(scene: Scene) -> Point:
    """Centre of the balloon, or where another subject touches the ground, as shares of width and height."""
    if scene.subject_place is not None:
        return scene.subject_place
    top, reach = {"balloon": (0.32, 0.08), "boat": (0.79, 0.05), "house": (0.83, 0.04)}.get(scene.subject, (0.84, 0.04))
    return 0.28 + 0.44 * scene.layout[0], top + reach * scene.layout[1]


def draw_subject(canvas: Canvas, scene: Scene) -> None:
    """Draws the scene's subject at the place its layout says, or where a film has moved it."""
    place = subject_place(scene)
    if scene.subject == "balloon":
        _balloon(canvas, scene, place)
    elif scene.subject == "boat":
        _boat(canvas, scene, place)
    elif scene.subject == "house":
        _house(canvas, scene, place)
    elif scene.subject == "tree":
        _tree(canvas, scene, place, 1.0)
    elif scene.subject == "house_tree":
        side = 0.10 * (scene.layout[0] - 0.5)
        base = 0.83 + 0.04 * scene.layout[1]
        _tree(canvas, scene, (0.76 + side, base + 0.01), 0.92)
        _house(canvas, scene, (0.36 + side, base))


def _balloon(canvas: Canvas, scene: Scene, centre: Point) -> None:
    colour = tint_object(COLOURS[scene.colour], scene.time)
    stripe = mix(colour, (255, 255, 255), 0.30) if scene.colour != "white" else mix(colour, (150, 160, 190), 0.42)
    rope = tint((96, 66, 48), scene.time)
    radius = 0.185
    for side in (-1.0, 1.0):
        canvas.local(
            centre, [(0.07 * side, 0.19), (0.078 * side, 0.19), (0.042 * side, 0.275), (0.034 * side, 0.275)], rope
        )
    for width, fill in ((1.0, colour), (0.62, stripe), (0.24, colour)):
        points = [(radius * width * math.sin(a), -radius * math.cos(a)) for a in _arc(-115.0, 115.0)]
        points += [(0.068 * width, 0.205), (-0.068 * width, 0.205)]
        canvas.local(centre, points, fill)
    canvas.box(centre, (-0.05, 0.27, 0.05, 0.335), tint((150, 96, 54), scene.time))
    canvas.box(centre, (-0.05, 0.27, 0.05, 0.286), tint((112, 70, 42), scene.time))


def _arc(first: float, last: float) -> list[float]:
    return [math.radians(first + (last - first) * i / 32) for i in range(33)]


def _boat(canvas: Canvas, scene: Scene, base: Point) -> None:
    sail = tint_object(COLOURS[scene.colour], scene.time)
    jib = mix(sail, (255, 255, 255), 0.35) if scene.colour != "white" else mix(sail, (120, 140, 180), 0.28)
    wood = tint_object((126, 74, 44), scene.time)
    canvas.box(base, (-0.010, -0.42, 0.008, -0.05), tint((90, 62, 46), scene.time))
    canvas.local(base, [(0.014, -0.42), (0.185, -0.105), (0.014, -0.105)], sail)
    canvas.local(base, [(-0.018, -0.36), (-0.018, -0.105), (-0.145, -0.105)], jib)
    canvas.local(base, [(-0.20, -0.075), (0.215, -0.075), (0.15, 0.035), (-0.135, 0.035)], wood)
    canvas.box(base, (-0.20, -0.085, 0.215, -0.066), tint_object((246, 236, 222), scene.time))


def _house(canvas: Canvas, scene: Scene, base: Point) -> None:
    wall = tint_object(COLOURS[scene.colour], scene.time)
    warm = scene.colour in ("red", "orange", "pink", "purple")
    roof = tint_object((70, 78, 108) if warm else (172, 66, 48), scene.time)
    window = WINDOW_LIGHT if scene.time in ("night", "sunset") else (196, 228, 250)
    if scene.colour == "yellow" and scene.time in ("night", "sunset"):
        window = (255, 246, 206)
    canvas.box(base, (0.085, -0.40, 0.135, -0.25), mix(roof, (0, 0, 0), 0.2))
    canvas.box(base, (-0.19, -0.225, 0.19, 0.0), wall)
    canvas.box(base, (-0.19, -0.225, 0.19, -0.195), mix(wall, (0, 0, 0), 0.16))
    canvas.local(base, [(-0.235, -0.215), (-0.12, -0.375), (0.12, -0.375), (0.235, -0.215)], roof)
    canvas.box(base, (-0.042, -0.135, 0.042, 0.0), tint_object((104, 64, 44), scene.time))
    for left in (-0.155, 0.085):
        canvas.box(base, (left, -0.150, left + 0.07, -0.075), window)


def _foliage(colour: RGB, time: str) -> RGB:
    return mix(tint(colour, time), tint_object(colour, time), 0.4)


def _tree(canvas: Canvas, scene: Scene, base: Point, size: float) -> None:
    leaf = _foliage((46, 146, 66), scene.time)
    trunk = tint((116, 76, 48), scene.time)
    if scene.ground in ("snow", "mountains"):
        fir = _foliage((26, 112, 82), scene.time)
        canvas.box(base, (-0.026 * size, -0.10, 0.026 * size, 0.0), trunk)
        for tip, foot, half in ((-0.26, -0.07, 0.165), (-0.36, -0.17, 0.135), (-0.46, -0.28, 0.10)):
            canvas.local(base, [(0.0, tip * size), (half * size, foot * size), (-half * size, foot * size)], fir)
            fir = mix(fir, (255, 255, 255), 0.12)
    elif scene.ground == "desert":
        _palm(canvas, base, _foliage((56, 150, 70), scene.time), tint((150, 100, 60), scene.time))
    else:
        canvas.box(base, (-0.030 * size, -0.20 * size, 0.030 * size, 0.0), trunk)
        for x, y, radius in ((-0.085, -0.235, 0.10), (0.085, -0.235, 0.10), (0.0, -0.32, 0.135)):
            canvas.local(
                base,
                [
                    (x * size + radius * size * math.cos(a), y * size + radius * size * math.sin(a))
                    for a in _arc(0, 360)
                ],
                leaf,
            )
        light = mix(leaf, (255, 255, 200), 0.20)
        canvas.local(
            base,
            [((-0.03 + 0.07 * math.cos(a)) * size, (-0.35 + 0.07 * math.sin(a)) * size) for a in _arc(0, 360)],
            light,
        )


def _palm(canvas: Canvas, base: Point, leaf: RGB, trunk: RGB) -> None:
    canvas.local(base, [(-0.034, 0.0), (0.030, 0.0), (0.036, -0.36), (0.006, -0.36)], trunk)
    for degrees in (-168.0, -128.0, -52.0, -12.0, 22.0, 158.0):
        angle = math.radians(degrees)
        dx, dy = math.cos(angle), math.sin(angle)
        tip = (0.02 + 0.20 * dx, -0.36 + 0.16 * dy + 0.035)
        middle = (0.02 + 0.11 * dx, -0.36 + 0.10 * dy)
        canvas.local(
            base,
            [(0.02, -0.375), (middle[0], middle[1] - 0.035), tip, (middle[0], middle[1] + 0.025), (0.02, -0.33)],
            leaf,
        )


def draw_birds(canvas: Canvas, scene: Scene) -> None:
    """Three birds in a row, high in the sky on the side away from the subject."""
    ink = mix(tint((40, 46, 66), "day"), (255, 255, 255), 0.75 if scene.time == "night" else 0.0)
    left = 0.62 if scene.layout[0] < 0.5 else 0.12
    for x, y in ((left, 0.14), (left + 0.13, 0.10), (left + 0.24, 0.16)):
        for side in (-1.0, 1.0):
            wing = [(0.0, 0.012), (0.028 * side, -0.022), (0.056 * side, -0.010), (0.028 * side, -0.006), (0.0, 0.026)]
            canvas.local((x, y), wing, ink)


def draw_shape(canvas: Canvas, scene: Scene) -> None:
    """A plain shape on a plain ground, both with a barely visible shading."""
    backdrop, colour = COLOURS[scene.backdrop], COLOURS[scene.colour]
    canvas.gradient((mix(backdrop, (255, 255, 255), 0.06), mix(backdrop, (0, 0, 0), 0.06)), 0.0, 1.0)
    size = 0.25 + 0.04 * scene.layout[1]
    centre = (0.42 + 0.16 * scene.layout[0], 0.46 + 0.08 * scene.layout[2])
    if scene.shape == "circle":
        canvas.disc(centre, size, colour)
    elif scene.shape == "square":
        canvas.box(centre, (-size * 0.9, -size * 0.9, size * 0.9, size * 0.9), colour)
    elif scene.shape == "triangle":
        canvas.local(centre, [(0.0, -1.05 * size), (1.1 * size, 0.85 * size), (-1.1 * size, 0.85 * size)], colour)
    else:
        canvas.local(centre, _heart(size), colour)


def _heart(size: float) -> list[Point]:
    """Points of the curve x = 16 sin^3 t, y = 13 cos t - 5 cos 2t - 2 cos 3t - cos 4t (MathWorld, heart curve)."""
    points = []
    for t in (2 * math.pi * i / 64 for i in range(64)):
        y = 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)
        points.append((16 * math.sin(t) ** 3 * size / 15.0, -(y + 2.0) * size / 15.0))
    return points
