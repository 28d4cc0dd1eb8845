"""Draws a scene. The same scene and size give the same pixels, always."""

from __future__ import annotations

from typing import Final

from PIL import Image

from pipelines.tiny_world.backgrounds import draw_ground, draw_sky
from pipelines.tiny_world.canvas import Canvas
from pipelines.tiny_world.objects import draw_birds, draw_shape, draw_subject
from pipelines.tiny_world.scenes import Scene

SIZES: Final = ((128, 128), (160, 96), (96, 160))
"""Width and height in pixels of the three trained formats."""


def render(scene: Scene, size: tuple[int, int] = SIZES[0]) -> Image.Image:
    """The scene as an RGB picture of ``size`` (width, height) pixels."""
    canvas = Canvas(*size)
    if scene.subject == "shape":
        draw_shape(canvas, scene)
        return canvas.picture()
    draw_sky(canvas, scene)
    if scene.birds:
        draw_birds(canvas, scene)
    draw_ground(canvas, scene)
    draw_subject(canvas, scene)
    return canvas.picture()
