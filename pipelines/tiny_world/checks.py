"""Does a picture show what its prompt says? Rules on pixels; nothing here is learned.

The references are the renderer's own colours and drawings: skies, grounds, silhouettes. Each check answers yes or no.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import Final

import numpy as np
from PIL import Image

from pipelines.tiny_world.palette import (
    COLOURS,
    GROUNDS,
    OBJECT_COLOURS,
    RGB,
    SHAPES,
    SKIES,
    TIMES,
    mix,
    tint,
    tint_object,
)
from pipelines.tiny_world.renderer import render
from pipelines.tiny_world.scenes import Scene
from pipelines.tiny_world.vision import (
    Area,
    Mask,
    Pixels,
    distance,
    largest_area,
    luminance,
    near_any,
    nearest_colour,
    overlap,
    pixels_of,
    silhouette,
)

NIGHT_LUMA: Final = 0.30
"""Night pictures are darker than this mean luma and all others lighter (rendered nights: 0.09 to 0.26)."""
REACH: Final = 42.0
"""How far, in 8-bit RGB distance, a pixel may lie from a colour and still count as that colour."""
_DARK_REACH: Final = 25.0
"""The same for roofs and leaves at night, which are nearly as dark as what is behind them."""
LEAST_OVERLAP: Final = 0.80
"""Least intersection over union of a plain shape with its reference silhouette."""
_BANDS: Final = (0.58, 0.64, 0.70, 0.76, 0.82, 0.88, 0.94, 1.0)
_AREA_RANGE: Final = (0.45, 1.8)
_SIDE_RANGE: Final = (0.6, 1.6)
_LAYOUTS: Final = tuple(
    (a, 0.5, b, 0.5, 0.2, 0.5, c, 0.5) for a, b, c in ((0.5, 0.1, 0.1), (0.5, 0.9, 0.5), (0.5, 0.4, 0.9))
)


def check_picture(image: Image.Image, scene: Scene) -> dict[str, bool]:
    """Answers by check: ``time, ground, subject, colour`` for views; ``backdrop, colour, shape`` for plain shapes.

    A check is left out where the picture cannot answer it, as for the colour of a white house in the snow.
    """
    pixels = pixels_of(image)
    if scene.subject == "shape":
        return _check_shape(pixels, scene)
    answers = {"time": _time_is(pixels, scene.time), "ground": _ground_of(pixels, scene.time) == scene.ground}
    if scene.subject == "none":
        return answers
    marker = _marker_area(pixels, scene)
    answers["subject"] = marker is not None and _fits(marker, _expected_marker(scene, image.size))
    if scene.colour and not _colour_is_hidden(scene):
        answers["colour"] = _colour_is(pixels, scene)
    return answers


def _time_is(pixels: Pixels, time: str) -> bool:
    """The sky's upper edge is nearest to that time's sky, and only nights are dark."""
    rows = max(1, round(0.08 * len(pixels)))
    top = np.median(pixels[:rows].reshape(-1, 3), axis=0)
    nearest = min(TIMES, key=lambda t: float(np.linalg.norm(top - np.array(mix(SKIES[t][0], SKIES[t][1], 0.08)))))
    return nearest == time and (luminance(pixels) < NIGHT_LUMA) == (time == "night")


def _bands(pixels: Pixels) -> Pixels:
    """Colour of horizontal bands of the lower picture: the median of each, so that objects hardly matter."""
    edges = [round(share * len(pixels)) for share in _BANDS]
    return np.array([np.median(pixels[a:b].reshape(-1, 3), axis=0) for a, b in pairwise(edges)])


@cache
def _ground_references(time: str, ground: str, size: tuple[int, int]) -> tuple[Pixels, ...]:
    scenes = [Scene(subject="none", time=time, ground=ground, layout=layout) for layout in _LAYOUTS]
    return tuple(_bands(pixels_of(render(scene, size))) for scene in scenes)


def _ground_of(pixels: Pixels, time: str) -> str:
    size = (pixels.shape[1], pixels.shape[0])
    seen = _bands(pixels)

    def gap(ground: str) -> float:
        return min(float(np.abs(seen - reference).mean()) for reference in _ground_references(time, ground, size))

    return min(GROUNDS, key=gap)


def body_colours(subject: str, colour: str, time: str) -> list[RGB]:
    """Both tones of a coloured subject, as the renderer mixes them."""
    plain = tint_object(COLOURS[colour], time)
    if subject == "balloon":
        return [plain, mix(plain, (150, 160, 190), 0.42) if colour == "white" else mix(plain, (255, 255, 255), 0.30)]
    if subject == "boat":
        return [plain, mix(plain, (120, 140, 180), 0.28) if colour == "white" else mix(plain, (255, 255, 255), 0.35)]
    return [plain]


def marker_colours(scene: Scene) -> list[RGB]:
    """Colours by which the subject's presence is judged: the balloon's body, the boat's hull, the roof, the leaves."""
    time = scene.time
    if scene.subject == "balloon":
        return body_colours("balloon", scene.colour, time)
    if scene.subject == "boat":
        return [tint_object((126, 74, 44), time)]
    if scene.subject in ("house", "house_tree"):
        warm = scene.colour in ("red", "orange", "pink", "purple")
        return [tint_object((70, 78, 108) if warm else (172, 66, 48), time)]
    base: RGB = {"snow": (26, 112, 82), "mountains": (26, 112, 82), "desert": (56, 150, 70)}.get(
        scene.ground, (46, 146, 66)
    )
    leaf = mix(tint(base, time), tint_object(base, time), 0.4)
    return [leaf, mix(leaf, (255, 255, 255), 0.12), mix(leaf, (255, 255, 255), 0.23), mix(leaf, (255, 255, 200), 0.20)]


def _window(subject: str, height: int) -> tuple[int, int]:
    """Rows in which the subject's marker may lie."""
    top, bottom = {"balloon": (0.08, 0.66), "boat": (0.66, 0.92), "tree": (0.3, 0.9)}.get(subject, (0.38, 0.74))
    return round(top * height), round(bottom * height)


def _marker_area(pixels: Pixels, scene: Scene) -> Area | None:
    top, bottom = _window(scene.subject, len(pixels))
    reach = _DARK_REACH if scene.time == "night" and scene.subject not in ("balloon", "boat") else REACH
    mask = np.zeros(pixels.shape[:2], dtype=np.bool_)
    mask[top:bottom] = near_any(pixels[top:bottom], marker_colours(scene), reach)
    return largest_area(mask)


@cache
def _expected_marker(scene: Scene, size: tuple[int, int]) -> Area | None:
    plain = replace(scene, layout=(0.5,) * 8, clouds=False, birds=False)
    return _marker_area(pixels_of(render(plain, size)), plain)


def _fits(seen: Area, expected: Area | None) -> bool:
    """Whether an area has about the expected size and proportions."""
    if expected is None:
        return False
    sides = (seen.width / expected.width, seen.height / expected.height)
    low, high = _AREA_RANGE
    return low < seen.pixels / expected.pixels < high and all(_SIDE_RANGE[0] < side < _SIDE_RANGE[1] for side in sides)


def _colour_is_hidden(scene: Scene) -> bool:
    """White walls cannot be told from snow."""
    return scene.subject in ("house", "house_tree") and scene.colour == "white" and scene.ground == "snow"


def _colour_is(pixels: Pixels, scene: Scene) -> bool:
    """The named colour covers about what the subject should show, and more than any colour that has no place here.

    Pixels are counted at the subject's height, less those of the same view without the subject.
    """
    wanted, behind = _expected_colours(scene, (pixels.shape[1], pixels.shape[0]))
    seen = _colour_counts(pixels, scene)
    own = seen[scene.colour] - behind[scene.colour]
    rivals = [seen[name] - behind[name] for name in OBJECT_COLOURS if name != scene.colour]
    low, high = _AREA_RANGE
    return low < own / wanted < high and own > max(rivals)


def _colour_counts(pixels: Pixels, scene: Scene) -> dict[str, int]:
    height = len(pixels)
    top, bottom = {"balloon": (0.08, 0.62), "boat": (0.32, 0.74)}.get(scene.subject, (0.58, 0.90))
    part = pixels[round(top * height) : round(bottom * height)]
    tones = {name: body_colours(scene.subject, name, scene.time)[0] for name in OBJECT_COLOURS}
    return {name: int((distance(part, tone) < REACH).sum()) for name, tone in tones.items()}


@cache
def _expected_colours(scene: Scene, size: tuple[int, int]) -> tuple[int, dict[str, int]]:
    """Pixels that the subject adds to its colour, and how many of each colour there are without it."""
    plain = replace(scene, layout=(0.5,) * 8, birds=False)
    views = [render(replace(plain, subject="none", clouds=clouds), size) for clouds in (False, True)]
    counts = [_colour_counts(pixels_of(view), scene) for view in views]
    behind = {name: max(count[name] for count in counts) for name in OBJECT_COLOURS}
    behind[scene.colour] = round(sum(count[scene.colour] for count in counts) / 2)
    wanted = _colour_counts(pixels_of(render(plain, size)), scene)[scene.colour] - counts[plain.clouds][scene.colour]
    return max(1, wanted), behind


def _check_shape(pixels: Pixels, scene: Scene) -> dict[str, bool]:
    names: Sequence[str] = tuple(COLOURS)
    table = [COLOURS[name] for name in names]
    edge = max(2, round(0.05 * min(pixels.shape[:2])))
    rim = np.concatenate(
        [part.reshape(-1, 3) for part in (pixels[:edge], pixels[-edge:], pixels[:, :edge], pixels[:, -edge:])]
    )
    backdrop = names[int(nearest_colour(np.median(rim, axis=0)[None], table)[0])]
    inside = distance(pixels, COLOURS[scene.backdrop]) > distance(pixels, COLOURS[scene.colour])
    area = largest_area(inside)
    if area is None or area.pixels > 0.6 * inside.size or area.pixels < 0.05 * inside.size:
        return {"backdrop": backdrop == scene.backdrop, "colour": False, "shape": False}
    body = np.median(pixels[area.mask], axis=0)
    colour = names[int(nearest_colour(body[None], table)[0])]
    scores = {shape: overlap(silhouette(area), _shape_reference(shape)) for shape in SHAPES}
    shape = max(scores, key=lambda name: scores[name])
    return {
        "backdrop": backdrop == scene.backdrop,
        "colour": colour == scene.colour,
        "shape": shape == scene.shape and scores[shape] >= LEAST_OVERLAP,
    }


@cache
def _shape_reference(shape: str) -> Mask:
    scene = Scene(subject="shape", shape=shape, colour="black", backdrop="white")
    area = largest_area(distance(pixels_of(render(scene)), COLOURS["black"]) < 200.0)
    if area is None:
        raise ValueError(f"the reference of {shape} is empty")
    return silhouette(area)
