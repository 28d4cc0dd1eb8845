"""Films of the tiny world: a scene, what moves in it, and the scene of every frame.

What a caption leaves open (where a movement starts, how far it goes) is a function of the scene's eight layout numbers,
as in pictures.
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, replace
from typing import Final

from PIL import Image

from pipelines.tiny_world.renderer import render
from pipelines.tiny_world.scenes import SUBJECTS, Scene, random_scene

MOTIONS: Final = (
    "still",
    "left",
    "right",
    "up",
    "down",
    "sunset",
    "sunrise",
    "clouds_left",
    "clouds_right",
)
"""Movements of the subject, of the sun, and of the clouds; one a film."""
FILM_SIZES: Final = ((96, 64), (64, 96), (80, 80))
"""Width and height in pixels of the three trained film formats."""
FRAMES: Final = 17
FRAMES_PER_SECOND: Final = 8
HELD_OUT_SHARE: Final = 0.10
"""Share of the combinations of scene and motion that training never sees, besides the held-out scenes."""

_SUBJECT_WEIGHTS: Final[dict[str, float]] = {
    "none": 0.22,
    "balloon": 0.34,
    "boat": 0.24,
    "house": 0.06,
    "tree": 0.06,
    "house_tree": 0.03,
    "shape": 0.05,
}
_SKY_MOTIONS: Final = (
    ("still", 0.16),
    ("sunset", 0.22),
    ("sunrise", 0.22),
    ("clouds_left", 0.2),
    ("clouds_right", 0.2),
)
_MOTION_WEIGHTS: Final[dict[str, tuple[tuple[str, float], ...]]] = {
    "balloon": (("still", 0.12), ("left", 0.22), ("right", 0.22), ("up", 0.22), ("down", 0.22)),
    "boat": (("still", 0.12), ("left", 0.44), ("right", 0.44)),
    "shape": (("still", 1.0),),
}
_ACROSS: Final[dict[str, float]] = {"left": -1.0, "right": 1.0}
_SUN_HIGH, _SUN_LOW = 0.24, 0.70
_CLOUD_TRAVEL: Final = 0.44
_DARKEST: Final = 0.85
"""How much of the night's picture is blended in when the sun is down."""


@dataclass(frozen=True, kw_only=True)
class Film:
    """A scene at its start's time of day, and the one thing that moves in it."""

    scene: Scene
    motion: str = "still"

    @property
    def key(self) -> str:
        """The attributes that make two films the same combination."""
        return f"{self.scene.key}/{self.motion}"

    @property
    def held_out(self) -> bool:
        """Whether the combination is kept for measuring: a held-out scene, or a held-out motion in a trained one."""
        digest = hashlib.sha256(f"tiny-film-1/{self.key}".encode()).digest()
        return self.scene.held_out or int.from_bytes(digest[:4], "big") < HELD_OUT_SHARE * 2**32


def random_film(rng: random.Random, *, held_out: bool = False, motion: str | None = None) -> Film:
    """Draws a film from the training part, or from the held-out part."""
    while True:
        subject = rng.choices(SUBJECTS, [_SUBJECT_WEIGHTS[name] for name in SUBJECTS])[0]
        options = _MOTION_WEIGHTS.get(subject, _SKY_MOTIONS)
        chosen = rng.choices([name for name, _ in options], [weight for _, weight in options])[0]
        scene = random_scene(rng, held_out=held_out and subject != "none" and rng.random() < 0.5, subject=subject)
        film = _fitted(scene, chosen)
        if film.held_out == held_out and motion in (None, film.motion):
            return film


def _fitted(scene: Scene, motion: str) -> Film:
    """The scene changed where the motion needs it: clouds to drift, low sun to set or rise, no birds."""
    named = scene.named
    if motion in ("sunset", "sunrise"):
        scene = replace(scene, time="sunset" if motion == "sunset" else "dawn", clouds=False)
        named = named - {"clouds"}
    elif motion in ("clouds_left", "clouds_right"):
        scene = replace(scene, clouds=True)
        named = named - {"clouds"}
    return Film(scene=replace(scene, birds=False, named=named), motion=motion)


def scene_at(film: Film, moment: float) -> Scene:
    """The scene of a frame; ``moment`` runs from 0 (first) to 1 (last)."""
    scene, motion = film.scene, film.motion
    if motion in _ACROSS:
        return replace(scene, subject_place=(_across(scene, _ACROSS[motion], moment), _height(scene)))
    if motion in ("up", "down"):
        share = moment if motion == "up" else 1.0 - moment
        return replace(scene, subject_place=(0.28 + 0.44 * scene.layout[0], 0.63 - 0.37 * share))
    if motion in ("sunset", "sunrise"):
        share = moment if motion == "sunset" else 1.0 - moment
        return replace(
            scene, sun_place=(0.14 + 0.72 * scene.layout[2], _SUN_HIGH + (_SUN_LOW - _SUN_HIGH) * min(1.0, share * 1.1))
        )
    if motion in ("clouds_left", "clouds_right"):
        side = -1.0 if motion == "clouds_left" else 1.0
        return replace(scene, cloud_drift=side * _CLOUD_TRAVEL * (moment - 0.5))
    return scene


def _across(scene: Scene, side: float, moment: float) -> float:
    """Place across the picture: half of the width in all, starting near the edge that it leaves behind."""
    travelled = 0.17 + 0.14 * scene.layout[0] + 0.52 * moment
    return travelled if side > 0 else 1.0 - travelled


def _height(scene: Scene) -> float:
    return (0.34 + 0.06 * scene.layout[1]) if scene.subject == "balloon" else 0.80 + 0.05 * scene.layout[1]


def darkness_at(film: Film, moment: float) -> float:
    """How much of the night is blended over a frame, 0..1, while the sun sets or rises."""
    if film.motion not in ("sunset", "sunrise"):
        return 0.0
    share = moment if film.motion == "sunset" else 1.0 - moment
    return _DARKEST * min(1.0, max(0.0, (share - 0.35) / 0.65))


def render_frame(film: Film, moment: float, size: tuple[int, int]) -> Image.Image:
    """One frame as an RGB picture of ``size`` (width, height) pixels."""
    scene = scene_at(film, moment)
    picture = render(scene, size)
    darkness = darkness_at(film, moment)
    if darkness > 0.0:
        picture = Image.blend(picture, render(replace(scene, time="night"), size), darkness)
    return picture


def moments(frames: int = FRAMES) -> list[float]:
    """The moments of a film's frames; a single frame shows its first."""
    return [index / max(1, frames - 1) for index in range(frames)]


def render_film(film: Film, size: tuple[int, int] = FILM_SIZES[0], frames: int = FRAMES) -> list[Image.Image]:
    """Every frame of a film. The same film and size give the same pixels, always."""
    return [render_frame(film, moment, size) for moment in moments(frames)]
