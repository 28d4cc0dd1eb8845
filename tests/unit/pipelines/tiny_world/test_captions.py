"""Captions name what they must, in many ways, and nothing else."""

from __future__ import annotations

import random

from pipelines.tiny_world.captions import caption
from pipelines.tiny_world.palette import COLOURS
from pipelines.tiny_world.scenes import Scene, random_scene
from pipelines.tiny_world.words import (
    COLOUR_WORDS,
    GROUND_NOUNS,
    SHAPE_NOUNS,
    TIME_ADJECTIVES,
    TIME_PHRASES,
    TIME_WORDS,
)


def _has(text: str, words: tuple[str, ...]) -> bool:
    return any(word.lower() in text.lower() for word in words)


def _bare(nouns: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(noun.removeprefix("the ").removeprefix("a ") for noun in nouns)


def test_named_attributes_are_mentioned() -> None:
    rng = random.Random(1)
    for _ in range(1500):
        scene = random_scene(rng)
        text = caption(scene, rng)
        if scene.subject == "shape":
            assert _has(text, (scene.shape, *SHAPE_NOUNS[scene.shape])), text
            assert _has(text, COLOUR_WORDS[scene.backdrop]), text
        elif scene.subject != "none":
            if "time" in scene.named:
                assert _has(text, TIME_PHRASES[scene.time] + TIME_WORDS[scene.time]), text
            if "ground" in scene.named:
                assert _has(text, _bare(GROUND_NOUNS[scene.ground])), text
        elif "time" in scene.named:
            assert _has(text, TIME_PHRASES[scene.time] + TIME_WORDS[scene.time] + TIME_ADJECTIVES[scene.time]), text
        if "colour" in scene.named and scene.colour:
            assert _has(text, COLOUR_WORDS[scene.colour]), text


def test_open_attributes_are_not_mentioned() -> None:
    rng = random.Random(2)
    scene = Scene(subject="balloon", colour="red", named=frozenset())
    for _ in range(300):
        words = set(caption(scene, rng).lower().replace(",", " ").split())
        assert not words & set(COLOURS), words
        assert not words & {"sunset", "night", "dawn", "sea", "desert", "city"}, words


def test_wording_varies() -> None:
    rng = random.Random(3)
    scene = Scene(
        subject="balloon", time="sunset", ground="sea", colour="red", named=frozenset({"time", "ground", "colour"})
    )
    texts = {caption(scene, rng) for _ in range(300)}
    assert len(texts) > 250
    for word in ("dusk", "evening", "golden hour", "ocean", "water"):
        assert any(word in text for text in texts), word


def test_the_same_seed_gives_the_same_caption() -> None:
    scene = random_scene(random.Random(8))
    assert caption(scene, random.Random(5)) == caption(scene, random.Random(5))
