"""Varied sentences about films: what ``captions`` says of a scene, and what moves."""

from __future__ import annotations

import random
from typing import Final

from pipelines.tiny_world.captions import caption, polished, subject_words
from pipelines.tiny_world.motion_words import (
    CLOUD_PHRASES,
    EITHER_WAY,
    STILL_PHRASES,
    SUBJECT_MOTION_PHRASES,
    SUN_LINKS,
    SUN_PHRASES,
    TELLS_OF_THE_SUN,
)
from pipelines.tiny_world.motions import Film
from pipelines.tiny_world.text import ATTRIBUTES, attributes_of
from pipelines.tiny_world.words import GROUND_NOUNS, NEAR, TIME_PHRASES, TIME_WORDS

FILM_LEADS: Final = ("a video of ", "a film of ", "a clip of ", "an animation of ", "video, ")
CAMERA_WORDS: Final = ("static camera", "steady camera", "wide shot", "smooth motion", "slow motion", "in soft light")
SOME_DIRECTION: Final = "across"
"""The motion of captions that promise one without its direction."""

FILM_ATTRIBUTES: Final[dict[str, tuple[str, ...]]] = {
    **ATTRIBUTES,
    "motion": (
        "still",
        "left",
        "right",
        "up",
        "down",
        "sunset",
        "sunrise",
        "clouds_left",
        "clouds_right",
        SOME_DIRECTION,
    ),
}
"""What a film's caption tells, for pretraining the text encoder."""

_ON_THE_WATER: Final = ("on", "on", "across", "out on", "over", "along")
_IN_THE_AIR: Final = ("over", "over", "above", "above", "across", "in the sky over")
_MOVING_PLACES: Final = frozenset(
    {"floating over", "flying over", "drifting above", "hovering over", "sailing on", "floating on", "drifting on"}
)
_UNDIRECTED: Final[dict[str, tuple[str, ...]]] = {
    "boat": ("sailing", "sails", "drifting", "moving", "sailing along"),
    "balloon": ("flying", "drifting", "floats", "moving", "flies"),
}


def film_caption(film: Film, rng: random.Random) -> tuple[str, str]:
    """One of many sentences for the film, and the motion that it tells (a value of ``FILM_ATTRIBUTES``)."""
    if film.motion == "still":
        return _still(film, rng), "still"
    if film.motion in SUN_PHRASES:
        parts, told = _sun(film, rng), film.motion
    elif film.motion in CLOUD_PHRASES:
        parts, told = _clouds(film, rng)
    else:
        parts, told = _moving_subject(film, rng)
    if rng.random() < 0.12:
        parts = [*parts[:-1], f"{parts[-1]}, {rng.choice(CAMERA_WORDS)}"]
    text = polished(parts, rng)
    return (rng.choice(FILM_LEADS) + text if rng.random() < 0.06 else text), told


def told_by(film: Film, motion: str) -> dict[str, str]:
    """What a caption of the film tells, where it tells ``motion``; sun and clouds come with their own light."""
    told = attributes_of(film.scene)
    return {**told, "motion": motion}


def _still(film: Film, rng: random.Random) -> str:
    while True:
        text = caption(film.scene, rng)
        if not any(phrase in text for phrase in (*TELLS_OF_THE_SUN, *_MOVING_PLACES)):
            break
    if rng.random() < 0.12:
        text = f"{text.rstrip('.')}, {rng.choice(STILL_PHRASES)}"
    return text


def _time(film: Film, rng: random.Random) -> str:
    if "time" not in film.scene.named:
        return ""
    return rng.choice([phrase for phrase in TIME_PHRASES[film.scene.time] if phrase not in TELLS_OF_THE_SUN])


def _place(film: Film, words: tuple[str, ...], rng: random.Random) -> str:
    if "ground" not in film.scene.named:
        return ""
    return f"{rng.choice(words)} {rng.choice(GROUND_NOUNS[film.scene.ground])}"


def _moving_subject(film: Film, rng: random.Random) -> tuple[list[str], str]:
    scene = film.scene
    thing, time = subject_words(scene, rng), _time(film, rng)
    place = _place(film, _ON_THE_WATER if scene.subject == "boat" else _IN_THE_AIR, rng)
    told, words = film.motion, rng.choice(SUBJECT_MOTION_PHRASES[scene.subject][film.motion])
    if film.motion in ("left", "right") and rng.random() < 0.07:
        told, words = SOME_DIRECTION, rng.choice(_UNDIRECTED[scene.subject])
    options = [thing, words, place, time], [thing, place, words, time], [time, thing, words, place]
    parts = rng.choices((*options, [thing, place, time, words]), (60, 18, 12, 10))[0]
    if film.motion == "up" and not place and rng.random() < 0.3:
        parts.insert(2, "into the sky")
    return [part for part in parts if part], told


def _view(film: Film, rng: random.Random) -> str:
    """The subject in its place, or the place alone."""
    scene = film.scene
    if scene.subject == "none":
        return rng.choice(GROUND_NOUNS[scene.ground]) if "ground" in scene.named else ""
    return " ".join(part for part in (subject_words(scene, rng), _place(film, NEAR[scene.ground], rng)) if part)


def _sun(film: Film, rng: random.Random) -> list[str]:
    sun = rng.choice(SUN_PHRASES[film.motion])
    view = _view(film, rng)
    if not view:
        return [sun]
    if film.scene.subject == "none":
        over = f"{sun} {rng.choice(('over', 'over', 'behind', 'above', 'at'))} {view}"
        parts = rng.choices(([over], [view, rng.choice(SUN_LINKS), sun]), (70, 30))[0]
    elif rng.random() < 0.3:
        parts = [f"{sun} {rng.choice(('behind', 'over', 'above'))} {view}"]
    else:
        parts = [view, rng.choice(SUN_LINKS), sun]
    if rng.random() < 0.1:
        parts.append(rng.choice([p for p in TIME_PHRASES[film.scene.time] if p not in TELLS_OF_THE_SUN]))
    return parts


def _clouds(film: Film, rng: random.Random) -> tuple[list[str], str]:
    told, clouds = film.motion, rng.choice(CLOUD_PHRASES[film.motion])
    if rng.random() < 0.06:
        told, clouds = SOME_DIRECTION, rng.choice(EITHER_WAY)
    view, time = _view(film, rng), _time(film, rng)
    if not view:
        return [part for part in (clouds, time or rng.choice(TIME_WORDS[film.scene.time])) if part], told
    over = f"{clouds} {rng.choice(('over', 'over', 'above'))} {view}"
    options = [over, time], [f"{view},", clouds, time], [view, time, f"and {clouds}"], [view, time, f"with {clouds}"]
    parts = rng.choices(options, (55, 20, 12, 13))[0]
    return [part for part in parts if part], told
