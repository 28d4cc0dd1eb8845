"""What a person's prompt tells: drawn at random, and split into trained and held-out combinations."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from typing import Final

from pipelines.tiny_world.palette import COLOURS, GROUNDS, OBJECT_COLOURS, SHAPES, TIMES
from pipelines.tiny_world.rewriting_words import (
    ABOVE,
    KEPT_MOTIONS,
    MOTIONS,
    SKY_MOTIONS,
    SKY_TIMES,
    TERSE_MOTIONS,
    TYPED_GROUNDS,
    TYPED_LEADS,
    TYPED_SKY_MOTIONS,
    TYPED_TIMES,
)
from pipelines.tiny_world.words import (
    BACKDROP_PHRASES,
    BIRD_PHRASES,
    CLEAR,
    CLOUDY,
    COLOUR_WORDS,
    LEADS,
    NEAR,
    SHAPE_NOUNS,
    STYLE_WORDS,
    SUBJECT_NOUNS,
    TREE_NOUNS,
)

HELD_OUT_SHARE: Final = 0.12
"""Share of the combinations of two or more told facts that training never sees."""

_SUBJECTS: Final = ("none", "balloon", "boat", "house", "tree", "house_tree", "shape")
_WEIGHTS: Final = (0.14, 0.25, 0.22, 0.14, 0.11, 0.05, 0.09)
_GROUNDS_OF: Final[dict[str, tuple[str, ...]]] = {
    "none": GROUNDS,
    "balloon": GROUNDS,
    "boat": ("sea",),
    "house": ("desert", "meadow", "snow", "mountains"),
    "tree": ("desert", "meadow", "snow", "mountains", "city"),
    "house_tree": ("meadow", "snow", "mountains"),
}
_COLOURED: Final = ("balloon", "boat", "house")
_MOVES_OF: Final[dict[str, tuple[str, ...]]] = {
    "balloon": ("up", "up", "down", "left", "right"),
    "boat": ("left", "right"),
}
_NO_COLOUR_WORDS: Final = ("dark", "snow-white")


@dataclass(frozen=True, kw_only=True)
class Wish:
    """Facts that a prompt tells; empty if untold. ``*_text`` is what is typed, ``*_words`` how the answer says it."""

    film: bool
    subject: str
    nouns: tuple[str, ...] = ()
    colour: str = ""
    colour_word: str = ""
    ground: str = ""
    ground_text: str = ""
    ground_words: str = ""
    near_text: str = ""
    near_words: str = ""
    time: str = ""
    time_text: str = ""
    time_words: str = ""
    clouds: bool | None = None
    clouds_text: str = ""
    birds: str = ""
    motion: str = ""
    motion_text: str = ""
    motion_words: str = ""
    shape: str = ""
    backdrop: str = ""
    backdrop_words: str = ""
    lead_text: str = ""
    lead_words: str = ""
    styles: tuple[str, ...] = ()

    @property
    def facts(self) -> tuple[str, ...]:
        """The told attributes that make two wishes the same combination, whatever their wording."""
        return tuple(
            filter(None, (self.shape or self.subject, self.colour, self.backdrop, self.ground, self.time, self.motion))
        )

    @property
    def held_out(self) -> bool:
        """Whether the combination is kept for measuring. Those of fewer than three facts never are."""
        if len(self.facts) < 3:
            return False
        digest = hashlib.sha256(f"tiny-qwen-1/{'/'.join(self.facts)}".encode()).digest()
        return int.from_bytes(digest[:4], "big") < HELD_OUT_SHARE * 2**32


def random_wish(rng: random.Random, *, held_out: bool = False, film: bool | None = None) -> Wish:
    """Draws a wish of the training part, or of the held-out part."""
    while True:
        as_film = rng.random() < 0.5 if film is None else film
        subject = rng.choices(_SUBJECTS, _WEIGHTS)[0]
        wish = _shape(rng, as_film) if subject == "shape" else _view(rng, as_film, subject)
        if wish.held_out == held_out:
            return wish


def _colour_word(colour: str, rng: random.Random) -> str:
    return rng.choice([word for word in COLOUR_WORDS[colour] if word not in _NO_COLOUR_WORDS])


def _styles(rng: random.Random) -> tuple[str, ...]:
    return tuple(rng.sample(STYLE_WORDS, rng.randint(1, 2))) if rng.random() < 0.08 else ()


def _shape(rng: random.Random, film: bool) -> Wish:
    colour, backdrop = rng.sample(tuple(COLOURS), 2)
    shape = rng.choice(SHAPES)
    lead_text, lead_words = _lead(film, rng)
    told = rng.random() < 0.75
    return Wish(
        film=film,
        subject="shape",
        nouns=(shape if rng.random() < 0.5 else rng.choice(SHAPE_NOUNS[shape]),),
        colour=colour,
        colour_word=_colour_word(colour, rng),
        shape=shape,
        styles=_styles(rng),
        backdrop=backdrop if told else "",
        backdrop_words=rng.choice(BACKDROP_PHRASES).format(b=backdrop) if told else "",
        lead_text=lead_text,
        lead_words=lead_words,
    )


def _nouns(subject: str, ground: str, rng: random.Random) -> tuple[str, ...]:
    names = () if subject == "none" else tuple(subject.split("_"))
    picked = []
    for name in names:
        options = TREE_NOUNS.get(ground, SUBJECT_NOUNS["tree"]) if name == "tree" else SUBJECT_NOUNS[name]
        plain = [noun for noun in options if "{colour}" not in noun]
        picked.append(name if rng.random() < 0.35 else rng.choice(plain))
    if len(picked) == 1 and rng.random() < 0.05:
        picked[0] += "s"
    return tuple(picked)


def _motion(subject: str, film: bool, rng: random.Random) -> str:
    if rng.random() > (0.6 if film else 0.3):
        return ""
    if subject in _MOVES_OF and rng.random() < 0.85:
        return rng.choice(_MOVES_OF[subject])
    return rng.choice(tuple(SKY_MOTIONS))


def is_plural(nouns: tuple[str, ...]) -> bool:
    """Whether several things are asked for."""
    return bool(nouns) and nouns[0].endswith("s")


def motion_words(subject: str, motion: str, nouns: tuple[str, ...], rng: random.Random) -> str:
    """One way for a rich prompt to say a motion; after a plural only participles fit."""
    if motion in SKY_MOTIONS:
        return rng.choice(SKY_MOTIONS[motion])
    plural = is_plural(nouns)
    return rng.choice([form for form in MOTIONS[subject, motion] if not (plural and form.split()[0].endswith("s"))])


def _typed_motion(subject: str, motion: str, nouns: tuple[str, ...], rng: random.Random) -> tuple[str, str]:
    words = motion_words(subject, motion, nouns, rng)
    if rng.random() < 0.5:
        return words, words
    if motion in SKY_MOTIONS:
        return rng.choice(TYPED_SKY_MOTIONS[motion])
    text = rng.choice(TERSE_MOTIONS[motion])
    return text, KEPT_MOTIONS.get(text, words)


def _near(subject: str, ground: str, rng: random.Random) -> tuple[str, str]:
    if subject == "none" or not ground:
        return "", ""
    if rng.random() < 0.3:
        return ("over" if subject == "balloon" else rng.choice(("in", "on"))), ""
    near = rng.choice(ABOVE if subject == "balloon" else NEAR[ground])
    return near, near


def _lead(film: bool, rng: random.Random) -> tuple[str, str]:
    chance = rng.random()
    if chance < 0.12:
        return rng.choice(TYPED_LEADS[film])
    if chance < 0.2:
        lead = rng.choice(LEADS)
        return lead, lead
    return "", ""


def _view(rng: random.Random, film: bool, subject: str) -> Wish:
    motion = _motion(subject, film, rng)
    time = SKY_TIMES.get(motion, "") or (rng.choice(TIMES) if rng.random() < 0.58 else "")
    ground = rng.choice(_GROUNDS_OF[subject]) if rng.random() < 0.52 else ""
    if subject == "none" and not (ground or time or motion):
        ground = rng.choice(GROUNDS)
    colour = rng.choice(OBJECT_COLOURS) if subject in _COLOURED and rng.random() < 0.5 else ""
    time_text, time_words = rng.choice(TYPED_TIMES[time]) if time else ("", "")
    if motion in SKY_TIMES and rng.random() < 0.75:
        time_text, time_words = "", ""
    ground_text, ground_words = rng.choice(TYPED_GROUNDS[ground]) if ground else ("", "")
    nouns = _nouns(subject, ground, rng)
    motion_text, words = _typed_motion(subject, motion, nouns, rng) if motion else ("", "")
    near_text, near_words = _near(subject, ground, rng)
    lead_text, lead_words = _lead(film, rng)
    clouds = None
    if not motion.startswith("clouds") and rng.random() < 0.1:
        clouds = rng.random() < 0.7
    clouds_text = "" if clouds is None else rng.choice((*CLOUDY, "clouds", "cloudy") if clouds else CLEAR)
    return Wish(
        film=film,
        subject=subject,
        nouns=nouns,
        colour=colour,
        colour_word=_colour_word(colour, rng) if colour else "",
        ground=ground,
        ground_text=ground_text,
        ground_words=ground_words,
        time=time,
        time_text=time_text,
        time_words=time_words,
        clouds=clouds,
        clouds_text=clouds_text,
        birds=rng.choice((*BIRD_PHRASES, "birds")) if rng.random() < 0.06 else "",
        styles=_styles(rng),
        near_text=near_text,
        near_words=near_words,
        lead_text=lead_text,
        lead_words=lead_words,
        motion=motion,
        motion_text=motion_text,
        motion_words=words,
    )
