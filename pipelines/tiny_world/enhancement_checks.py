"""Reads the facts of a prompt back from its words, and judges whether a rewritten prompt kept what was told.

Every word of the tiny world is looked up, longest phrase first: ``blue sky`` is a time of day, not a colour. A fact
counts as kept only if it is told and no other value of its kind is: "at night" in a rewritten sunset is a mistake.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from pipelines.tiny_world.rewriting_wishes import Wish
from pipelines.tiny_world.rewriting_words import (
    KEPT_MOTIONS,
    LIGHT,
    MOTIONS,
    SKY_MOTIONS,
    TERSE_MOTIONS,
    TYPED_SKY_MOTIONS,
    TYPED_TIMES,
    terse,
)
from pipelines.tiny_world.words import (
    BIRD_PHRASES,
    CLEAR,
    CLOUDY,
    COLOUR_WORDS,
    GROUND_NOUNS,
    SHAPE_NOUNS,
    SUBJECT_NOUNS,
    TIME_ADJECTIVES,
    TIME_PHRASES,
    TIME_WORDS,
    TREE_NOUNS,
)

SUBJECT, COLOUR, GROUND, TIME, MOTION, CLOUDS, BIRDS, ENDING, COPY, MOVES = (
    "subject",
    "colour",
    "ground",
    "time of day",
    "motion direction",
    "clouds",
    "birds",
    "ends properly",
    "unknown words copied",
    "film has a motion or a still view",
)
_SAYS_NOTHING: Final = ("dark", "bright", "landscape", "early")
_STILL: Final = ("still view", "nothing moves")


def _lexicon() -> dict[str, tuple[str, str]]:
    """Phrase to (kind, value)."""
    words: dict[str, tuple[str, str]] = {}
    for kind, value, phrases in _entries():
        for phrase in phrases:
            if phrase and phrase not in _SAYS_NOTHING:
                words.setdefault(phrase, (kind, value))
    return words


def _entries() -> Iterator[tuple[str, str, Iterable[str]]]:
    for motion, phrases in (
        *SKY_MOTIONS.items(),
        *((motion, sum(pairs, ())) for motion, pairs in TYPED_SKY_MOTIONS.items()),
    ):
        yield MOTION, motion, [re.sub(r"^(?:as|while) (?:the )?|^the ", "", phrase) for phrase in phrases]
    for (_, motion), phrases in MOTIONS.items():
        yield MOTION, motion, phrases
    for motion, phrases in TERSE_MOTIONS.items():
        yield MOTION, motion, phrases
        yield MOTION, motion, [KEPT_MOTIONS[phrase] for phrase in phrases if phrase in KEPT_MOTIONS]
    yield MOTION, "still", _STILL
    for noun, value in [(noun, value) for value, nouns in SUBJECT_NOUNS.items() for noun in nouns if "{" not in noun]:
        yield SUBJECT, value, (noun, f"{noun}s")
    for noun in {noun for nouns in TREE_NOUNS.values() for noun in nouns}:
        yield SUBJECT, "tree", (noun, f"{noun}s")
    for value, nouns in SHAPE_NOUNS.items():
        yield SUBJECT, value, (value, *nouns)
    for value, phrases in TIME_PHRASES.items():
        yield TIME, value, [terse(phrase) for phrase in (*phrases, *LIGHT[value])]
        yield TIME, value, [typed for typed, _ in TYPED_TIMES[value]]
        yield TIME, value, (*TIME_WORDS[value], *TIME_ADJECTIVES[value])
    for value, phrases in GROUND_NOUNS.items():
        yield GROUND, value, [terse(phrase) for phrase in phrases]
    for value, phrases in COLOUR_WORDS.items():
        yield COLOUR, value, phrases
    yield CLOUDS, "yes", (*[terse(phrase.removeprefix("and ")) for phrase in CLOUDY], "clouds", "cloudy")
    yield CLOUDS, "no", [terse(phrase) for phrase in CLEAR]
    yield BIRDS, "yes", (*[terse(phrase.removeprefix("and ")) for phrase in BIRD_PHRASES], "birds", "flock of birds")


_WORDS: Final = _lexicon()
_PATTERN: Final = re.compile(
    r"(?<![\w-])(?:" + "|".join(re.escape(phrase) for phrase in sorted(_WORDS, key=len, reverse=True)) + r")(?![\w-])"
)


def read_facts(text: str) -> dict[str, set[str]]:
    """The values told in a text, by kind."""
    found: dict[str, set[str]] = {SUBJECT: set(), COLOUR: set(), GROUND: set(), TIME: set(), MOTION: set()}
    for match in _PATTERN.finditer(text.lower()):
        kind, value = _WORDS[match.group()]
        found.setdefault(kind, set()).add(value)
    return found


def check_rewriting(wish: Wish, text: str, ended: bool) -> dict[str, bool]:
    """Whether each told fact is kept and nothing contradicts it; facts that were not told have no entry."""
    found = read_facts(text)
    subjects = {"shape": {wish.shape}, "none": set()}.get(wish.subject, set(wish.subject.split("_")))
    answers = {SUBJECT: found[SUBJECT] == subjects}
    if wish.colour:
        colours = {wish.colour, wish.backdrop} if wish.backdrop else {wish.colour}
        answers[COLOUR] = (
            colours == found[COLOUR] if wish.backdrop or wish.subject != "shape" else colours <= found[COLOUR]
        )
    if wish.ground:
        answers[GROUND] = found[GROUND] == {wish.ground}
    if wish.time:
        answers[TIME] = found[TIME] <= {wish.time} and (bool(found[TIME]) or _sun_tells(found, wish))
    if wish.motion:
        answers[MOTION] = found[MOTION] == {wish.motion}
    elif wish.film and wish.subject != "shape":
        answers[MOVES] = len(found[MOTION]) == 1
    if wish.clouds is not None:
        answers[CLOUDS] = found.get(CLOUDS) == {"yes" if wish.clouds else "no"}
    if wish.birds:
        answers[BIRDS] = BIRDS in found
    answers[ENDING] = ended and text.endswith(".") and text == text.strip()
    return answers


def _sun_tells(found: dict[str, set[str]], wish: Wish) -> bool:
    return bool(found[MOTION] & {"sunset", "sunrise"}) and wish.time in {"sunset", "dawn"}


def check_copy(text: str, answer: str, ended: bool) -> dict[str, bool]:
    """Whether the prompt's own words are all there, in order and untouched, with something added."""
    own = text.strip().rstrip(".!")
    return {COPY: own.lower() in answer.lower() and len(answer) > len(own) + 5, ENDING: ended and answer.endswith(".")}
