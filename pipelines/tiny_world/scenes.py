"""What a picture of the tiny world shows: attributes named by captions, and a layout made of eight numbers.

Everything random that a caption leaves open is a function of ``Scene.layout``: eight independent uniform numbers. That
keeps the world's entropy low, and lets training tie those numbers to the initial noise (see ``coupling``).
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from typing import Final

from pipelines.tiny_world.palette import COLOURS, GROUNDS, OBJECT_COLOURS, SHAPES, TIMES

LAYOUT_SIZE: Final = 8
"""Object x, object y, sun x, sun y, clouds, cloud x, ground phase, choice of what the caption leaves open."""

HELD_OUT_SHARE: Final = 0.12
"""Share of the attribute combinations that training never sees."""

SUBJECTS: Final = ("none", "balloon", "boat", "house", "tree", "house_tree", "shape")
_SUBJECT_WEIGHTS: Final = (0.11, 0.27, 0.14, 0.14, 0.10, 0.06, 0.18)
_LANDS_OF: Final[dict[str, tuple[str, ...]]] = {
    "none": GROUNDS,
    "balloon": GROUNDS,
    "boat": ("sea",),
    "house": ("desert", "meadow", "snow", "mountains"),
    "tree": ("desert", "meadow", "snow", "mountains", "city"),
    "house_tree": ("meadow", "snow", "mountains"),
}
_OPEN_GROUNDS: Final[dict[str, tuple[str, ...]]] = {
    "none": ("meadow", "sea", "mountains"),
    "balloon": ("meadow", "mountains"),
    "boat": ("sea",),
    "house": ("meadow",),
    "tree": ("meadow",),
    "house_tree": ("meadow",),
}
_OPEN_COLOURS: Final[dict[str, tuple[str, ...]]] = {
    "balloon": ("red", "yellow", "blue"),
    "boat": ("white", "red"),
    "house": ("white", "yellow"),
    "house_tree": ("white", "yellow"),
}
CLOUDY_FROM: Final = 0.4
"""Layout number 4 above this draws clouds, where the caption says nothing of them."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One picture's content. ``named`` lists the optional attributes that its caption must mention."""

    subject: str
    time: str = "day"
    ground: str = "meadow"
    colour: str = ""
    shape: str = ""
    backdrop: str = ""
    clouds: bool = False
    birds: bool = False
    named: frozenset[str] = frozenset()
    layout: tuple[float, ...] = (0.5,) * LAYOUT_SIZE
    subject_place: tuple[float, float] | None = None
    """Where a film has moved the subject, as shares of width and height; None leaves it to the layout."""
    sun_place: tuple[float, float] | None = None
    """The same for sun or moon."""
    cloud_drift: float = 0.0
    """How far a film has moved the clouds to the right, as a share of the width."""

    @property
    def key(self) -> str:
        """The attributes that make two scenes the same combination, whatever their layout or wording."""
        if self.subject == "shape":
            return f"shape/{self.shape}/{self.colour}/{self.backdrop}"
        return f"{self.subject}/{self.time}/{self.ground}/{self.colour}"

    @property
    def held_out(self) -> bool:
        """Whether the combination is kept for measuring and never trained on. Bare landscapes never are."""
        if self.subject == "none":
            return False
        digest = hashlib.sha256(f"tiny-world-3/{self.key}".encode()).digest()
        return int.from_bytes(digest[:4], "big") < HELD_OUT_SHARE * 2**32


def random_scene(rng: random.Random, *, held_out: bool = False, subject: str | None = None) -> Scene:
    """Draws a scene from the training part, or from the held-out part."""
    while True:
        chosen = subject or rng.choices(SUBJECTS, _SUBJECT_WEIGHTS)[0]
        scene = _shape_scene(rng) if chosen == "shape" else _view_scene(rng, chosen)
        if scene.held_out == held_out:
            return scene


def _layout(rng: random.Random) -> tuple[float, ...]:
    return tuple(rng.random() for _ in range(LAYOUT_SIZE))


def _pick(options: tuple[str, ...], number: float) -> str:
    return options[min(int(number * len(options)), len(options) - 1)]


def _shape_scene(rng: random.Random) -> Scene:
    colour = rng.choice(tuple(COLOURS))
    backdrop = rng.choice([name for name in COLOURS if name != colour])
    return Scene(
        subject="shape",
        colour=colour,
        backdrop=backdrop,
        shape=rng.choice(SHAPES),
        layout=_layout(rng),
        named=frozenset({"colour"}),
    )


def _view_scene(rng: random.Random, subject: str) -> Scene:
    layout = _layout(rng)
    named = {
        name
        for name, chance in (("time", 0.9), ("ground", 0.92), ("colour", 0.85), ("clouds", 0.2))
        if rng.random() < chance
    }
    if subject == "none":
        named.add("ground" if rng.random() < 0.85 else "time")
    time = rng.choice(TIMES) if "time" in named else "day"
    ground = rng.choice(_LANDS_OF[subject]) if "ground" in named else _pick(_OPEN_GROUNDS[subject], layout[7])
    colour = ""
    if subject in _OPEN_COLOURS:
        colour = rng.choice(OBJECT_COLOURS) if "colour" in named else _pick(_OPEN_COLOURS[subject], layout[7])
    clouds = rng.random() < 0.75 if "clouds" in named else layout[4] > CLOUDY_FROM
    birds = rng.random() < (0.25 if subject == "none" else 0.08)
    return Scene(
        subject=subject,
        time=time,
        ground=ground,
        colour=colour,
        clouds=clouds,
        birds=birds,
        layout=layout,
        named=frozenset(named),
    )
