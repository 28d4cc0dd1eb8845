"""Pairs of what a person types and the rich prompt that keeps every told fact and adds what is missing."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Final

from pipelines.tiny_world.rewriting_wishes import Wish, motion_words
from pipelines.tiny_world.rewriting_words import (
    ABOVE,
    CAMERAS,
    FRAMINGS,
    HELD_OUT_LEADS,
    LIGHT,
    RICH_STYLES,
    SKY_MOTIONS,
    STILL,
    TYPOS,
    terse,
)
from pipelines.tiny_world.words import (
    BACKDROP_PHRASES,
    CLEAR,
    CLOUDY,
    GROUND_NOUNS,
    NEAR,
)

_OPEN_GROUNDS: Final[dict[str, tuple[str, ...]]] = {
    "none": ("meadow", "sea", "mountains"),
    "balloon": ("meadow", "mountains", "sea"),
    "boat": ("sea",),
    "house": ("meadow", "snow"),
    "tree": ("meadow",),
    "house_tree": ("meadow",),
}
_OPEN_COLOURS: Final[dict[str, tuple[str, ...]]] = {
    "balloon": ("red", "yellow", "blue"),
    "boat": ("white", "red"),
    "house": ("white", "yellow"),
}
_TIMES, _TIME_WEIGHTS = ("day", "sunset", "dawn", "night"), (5, 3, 2, 2)
_ADDED_TIMES: Final = {
    "dawn": ("at dawn", "at sunrise", "in the early morning"),
    "day": ("on a sunny day", "on a clear day", "in the afternoon"),
    "sunset": ("at sunset", "at golden hour", "in the evening"),
    "night": ("at night", "under the moon"),
}


def _joined(parts: list[str], glue: str = " ") -> str:
    return glue.join(part for part in parts if part)


def _article(noun: str) -> str:
    return noun if noun.endswith("s") else f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


# --- what a person types -------------------------------------------------------------------------


def typed(wish: Wish, rng: random.Random, *, unseen: bool = False) -> str:
    """One of many ways to type the wish, careful or sloppy. ``unseen`` uses openings that training never shows."""
    order = [_typed_thing(wish, rng), wish.motion_text, _typed_place(wish, rng), wish.time_text]
    if wish.subject == "shape":
        order = [order[0], wish.backdrop_words]
    elif rng.random() < 0.25:
        rng.shuffle(order)
        order = [part.removeprefix("and ") for part in order]
    order.append(wish.clouds_text)
    order.append(wish.birds)
    text = _joined(order, " " if rng.random() < 0.75 else ", ")
    text = (rng.choice(HELD_OUT_LEADS) if unseen else wish.lead_text) + text
    return _sloppy(", ".join([text, *wish.styles]), rng)


def _typed_thing(wish: Wish, rng: random.Random) -> str:
    if not wish.nouns:
        return ""
    first = wish.nouns[0]
    if wish.subject == "boat" and wish.colour and rng.random() < 0.15:
        sails = rng.choice((f"with {wish.colour_word} sails", f"with a {wish.colour_word} sail"))
        return f"{rng.choice(('a ', ''))}{first} {sails}"
    things = [f"{wish.colour_word} {first}".strip(), *wish.nouns[1:]]
    chance = rng.random()
    if chance < 0.5:
        things = [_article(thing) for thing in things]
    elif chance < 0.56:
        things = [f"the {thing}" for thing in things]
    return rng.choice((" and ", " with ", " next to ", " beside ")).join(things)


def _typed_place(wish: Wish, rng: random.Random) -> str:
    if not wish.ground_text:
        return ""
    if wish.subject == "none":
        return wish.ground_text if rng.random() < 0.7 or not wish.motion else f"over {wish.ground_text}"
    return f"{wish.near_text} {wish.ground_text}" if wish.near_words or rng.random() < 0.7 else wish.ground_text


def _sloppy(text: str, rng: random.Random) -> str:
    if rng.random() < 0.07:
        for right, wrongs in TYPOS.items():
            if right in text:
                text = text.replace(right, rng.choice(wrongs))
    chance = rng.random()
    if chance < 0.25:
        text = text[0].upper() + text[1:]
    elif chance < 0.29:
        text = text.upper()
    elif chance < 0.32:
        text = text.title()
    return text + rng.choices(("", ".", "!", "!!", "...", " please"), (80, 12, 3, 2, 1, 2))[0]


# --- the rich prompt -----------------------------------------------------------------------------


def complete(wish: Wish, rng: random.Random) -> Wish:
    """The wish with everything that was left open chosen: ground, time, often a colour, and a motion for a film."""
    if wish.subject == "shape":
        if wish.backdrop_words:
            return wish
        backdrop = rng.choice([colour for colour in ("white", "blue", "yellow", "black") if colour != wish.colour])
        return replace(wish, backdrop_words=rng.choice(BACKDROP_PHRASES).format(b=backdrop))
    if not wish.ground:
        ground = rng.choice(_OPEN_GROUNDS[wish.subject])
        wish = replace(wish, ground=ground, ground_words=rng.choice(GROUND_NOUNS[ground]))
    if not wish.time:
        wish = replace(wish, time=rng.choices(_TIMES, _TIME_WEIGHTS)[0])
    if not wish.time_words:
        wish = replace(wish, time_words=rng.choice(_ADDED_TIMES[wish.time]))
    if not wish.colour and wish.subject in _OPEN_COLOURS and rng.random() < 0.5:
        colour = rng.choice(_OPEN_COLOURS[wish.subject])
        wish = replace(wish, colour=colour, colour_word=colour)
    if wish.film and not wish.motion:
        motion = _added_motion(wish, rng)
        words = motion_words(wish.subject, motion, wish.nouns, rng) if motion else rng.choice(STILL)
        wish = replace(wish, motion=motion, motion_words=words)
    return wish


def _added_motion(wish: Wish, rng: random.Random) -> str:
    if wish.subject == "boat":
        return rng.choice(("left", "right"))
    if wish.subject == "balloon":
        return rng.choice(("up", "up", "up", "left", "right"))
    if wish.time in {"dawn", "sunset"} and rng.random() < 0.8:
        return {"dawn": "sunrise", "sunset": "sunset"}[wish.time]
    return rng.choice(("clouds_left", "clouds_right")) if wish.clouds is not False else ""


def rich(wish: Wish, rng: random.Random) -> str:
    """A rich prompt of one or two sentences that keeps every fact of the wish."""
    full = complete(wish, rng)
    scene = _shape_scene(full, rng) if full.subject == "shape" else _view_scene(full, rng)
    # "In a painting of at night" would not do: a kept opening goes before the subject only.
    if wish.lead_words and scene.startswith(("a ", "an ", "the ")):
        scene = wish.lead_words + scene
    elif wish.lead_words:
        scene = f"{wish.lead_words.removesuffix(' of ')}, {scene}"
    extras = []
    if full.subject != "shape":
        if wish.clouds is not None:
            same = wish.clouds_text not in {"", "clouds", "cloudy"}
            words = wish.clouds_text if same else rng.choice(CLOUDY if wish.clouds else CLEAR)
            extras.append(words.removeprefix("and "))
        if wish.birds:
            extras.append("with birds" if wish.birds == "birds" else wish.birds.removeprefix("and "))
    camera = rng.choice(CAMERAS) if full.film else rng.choice(FRAMINGS)
    added = [word for word in rng.sample(RICH_STYLES, rng.choice((2, 2, 3))) if word not in wish.styles]
    look = [word for word in (*wish.styles, *added[len(wish.styles) :]) if word != camera]
    return _written(scene, extras, [camera, *look], rng)


def _written(scene: str, extras: list[str], look: list[str], rng: random.Random) -> str:
    text = _joined([scene, *extras], ", ")
    if rng.random() < 0.5:
        text = f"{text}, {', '.join(look)}."
    else:
        second = ", ".join(look)
        text = f"{text}. {second[0].upper()}{second[1:]}."
    return text[0].upper() + text[1:]


def _rich_thing(wish: Wish, rng: random.Random) -> str:
    first = wish.nouns[0]
    if wish.subject == "boat" and wish.colour and rng.random() < 0.3:
        thing = f"{_article(first)} with a {wish.colour_word} sail"
    else:
        thing = _article(f"{wish.colour_word} {first}".strip())
    return _joined([thing, *(_article(noun) for noun in wish.nouns[1:])], " and ")


def _light(wish: Wish, rng: random.Random) -> str:
    if rng.random() < 0.35:
        return ""
    told = terse(wish.time_words)
    words = [phrase for phrase in LIGHT[wish.time] if told not in phrase and terse(phrase) not in wish.time_words]
    return rng.choice([phrase for phrase in words if wish.clouds is None or "sky" not in phrase] or [""])


def _view_scene(wish: Wish, rng: random.Random) -> str:
    sky = wish.motion in SKY_MOTIONS or not wish.motion
    own = "" if sky else wish.motion_words
    light = _light(wish, rng)
    if not wish.nouns:
        return _landscape(wish, light, rng)
    near = ABOVE if wish.subject == "balloon" else NEAR[wish.ground]
    if own and wish.subject == "boat":
        near = ("on", "across", "over")
    if wish.near_words and not own:
        near = (wish.near_words,)
    thing, place = _rich_thing(wish, rng), f"{rng.choice(near)} {wish.ground_words}"
    moving = wish.motion_words if sky else ""
    if rng.random() < 0.2:
        return _joined([wish.time_words, _joined([thing, own, place]), light, moving], ", ")
    return _joined([_joined([thing, own, place, wish.time_words]), light, moving], ", ")


def _landscape(wish: Wish, light: str, rng: random.Random) -> str:
    view = rng.choice((wish.ground_words, f"a view of {wish.ground_words}", wish.ground_words))
    chance = rng.random()
    if wish.motion_words and chance < 0.5 and not wish.motion_words.startswith(("as ", "while ")):
        return _joined([_joined([wish.motion_words, "over", wish.ground_words, wish.time_words]), light], ", ")
    if chance < 0.15:
        return _joined([wish.time_words, view, light, wish.motion_words], ", ")
    return _joined([_joined([view, wish.time_words]), light, wish.motion_words], ", ")


def _shape_scene(wish: Wish, rng: random.Random) -> str:
    thing = _article(f"{rng.choice(('', 'simple ', 'big '))}{wish.colour_word} {wish.nouns[0]}")
    return f"{thing} {wish.backdrop_words}"


def pair(wish: Wish, rng: random.Random, *, unseen: bool = False) -> tuple[str, str]:
    """What is typed, and the rich prompt for it."""
    return typed(wish, rng, unseen=unseen), rich(wish, rng)
