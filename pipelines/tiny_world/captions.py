"""Varied sentences about scenes. A caption names what ``Scene.named`` lists, and never contradicts the picture."""

from __future__ import annotations

import random

from pipelines.tiny_world.scenes import Scene
from pipelines.tiny_world.words import (
    BACKDROP_PHRASES,
    BIRD_PHRASES,
    CLEAR,
    CLOUDY,
    COLOUR_WORDS,
    GROUND_NOUNS,
    LEADS,
    NEAR,
    OVER,
    SHAPE_NOUNS,
    STYLE_WORDS,
    SUBJECT_NOUNS,
    TIME_ADJECTIVES,
    TIME_PHRASES,
    TIME_WORDS,
    TREE_NOUNS,
)


def caption(scene: Scene, rng: random.Random) -> str:
    """One of many sentences for the scene."""
    return polished(_shape_parts(scene, rng) if scene.subject == "shape" else _view_parts(scene, rng), rng)


def polished(parts: list[str], rng: random.Random) -> str:
    """The parts as one sentence, at times with an opening, style words, a capital or a full stop."""
    text = " ".join(parts) if rng.random() < 0.8 else ", ".join(parts)
    if rng.random() < 0.12:
        text = rng.choice(LEADS) + text
    if rng.random() < 0.35:
        text = ", ".join([text, *rng.sample(STYLE_WORDS, rng.randint(1, 3))])
    if rng.random() < 0.12:
        text = text[0].upper() + text[1:]
    return text + ("." if rng.random() < 0.08 else "")


def _article(noun: str, rng: random.Random) -> str:
    chance = rng.random()
    if chance < 0.12:
        return noun
    if chance < 0.20:
        return f"the {noun}"
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _thing(scene: Scene, subject: str, rng: random.Random) -> str:
    nouns = TREE_NOUNS[scene.ground] if subject == "tree" and rng.random() < 0.7 else SUBJECT_NOUNS[subject]
    colour = (
        rng.choice(COLOUR_WORDS[scene.colour]) if "colour" in scene.named and scene.colour and subject != "tree" else ""
    )
    noun = rng.choice([n for n in nouns if colour or "{colour}" not in n])
    if "{colour}" in noun:
        return _article(noun.format(colour=colour), rng)
    if colour and rng.random() < 0.06:
        return f"{_article(noun, rng)} that is {colour}"
    return _article(f"{colour} {noun}".strip(), rng)


def subject_words(scene: Scene, rng: random.Random) -> str:
    """The subject with its article and, where it must be named, its colour."""
    if scene.subject != "house_tree":
        return _thing(scene, scene.subject, rng)
    house, tree = _thing(scene, "house", rng), _thing(scene, "tree", rng)
    return rng.choice(
        (
            f"{house} and {tree}",
            f"{house} beside {tree}",
            f"{tree} next to {house}",
            f"{house} with {tree}",
            f"{house} near {tree}",
        )
    )


def _view_parts(scene: Scene, rng: random.Random) -> list[str]:
    ground = rng.choice(GROUND_NOUNS[scene.ground]) if "ground" in scene.named else ""
    time = rng.choice(TIME_PHRASES[scene.time]) if "time" in scene.named else ""
    if scene.subject == "none":
        parts = _landscape(scene, ground, time, rng)
    else:
        place = ""
        if ground:
            words = OVER if scene.subject == "balloon" else NEAR[scene.ground]
            place = f"{rng.choice(words)} {ground}"
        parts = [subject_words(scene, rng), place, time]
        if time and rng.random() < 0.15:
            parts = [time, parts[0], place]
        elif time and rng.random() < 0.10:
            parts = [rng.choice(TIME_WORDS[scene.time]), parts[0], place]
    if "clouds" in scene.named:
        parts.append(rng.choice(CLOUDY if scene.clouds else CLEAR))
    if scene.birds:
        parts.append(rng.choice(BIRD_PHRASES))
    return [part for part in parts if part]


def _landscape(scene: Scene, ground: str, time: str, rng: random.Random) -> list[str]:
    if not ground:
        return [rng.choice((*TIME_WORDS[scene.time], time))]
    if not time:
        return [ground if rng.random() < 0.8 else f"a landscape with {ground}"]
    noun = ground.removeprefix("the ").removeprefix("a ")
    options = (
        [ground, time],
        [rng.choice(TIME_WORDS[scene.time]), f"over {ground}"],
        [f"{rng.choice(TIME_ADJECTIVES[scene.time])} {noun}"],
        [time, ground],
    )
    return rng.choices(options, (5, 2, 2, 1))[0]


def _shape_parts(scene: Scene, rng: random.Random) -> list[str]:
    colour, backdrop = rng.choice(COLOUR_WORDS[scene.colour]), rng.choice(COLOUR_WORDS[scene.backdrop])
    noun = rng.choice(SHAPE_NOUNS[scene.shape])
    if rng.random() < 0.5:
        noun = scene.shape
    thing = _article(f"{rng.choice(('', '', '', 'big ', 'plain ', 'simple '))}{colour} {noun}", rng)
    ground = rng.choice(BACKDROP_PHRASES).format(b=backdrop)
    if rng.random() < 0.06:
        return [f"a {backdrop} background with {thing}"]
    return [thing, ground]
