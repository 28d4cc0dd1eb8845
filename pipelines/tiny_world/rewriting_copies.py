"""Pairs whose prompt leaves the tiny world: everything typed is copied word for word, light and style are added."""

from __future__ import annotations

import hashlib
import random
from typing import Final

from pipelines.tiny_world.rewriting_words import CAMERAS, FRAMINGS, LIGHT, NEUTRAL_LIGHT, RICH_STYLES, TYPED_TIMES
from pipelines.tiny_world.words import COLOUR_WORDS, GROUND_NOUNS


def _listed(words: str) -> list[str]:
    return words.split()


_NOUNS: Final = _listed(
    """
    cat dog horse cow sheep pig lion tiger elephant monkey bear wolf fox rabbit mouse snake dragon unicorn
    robot astronaut knight princess king queen pirate ninja wizard witch ghost vampire zombie clown chef
    doctor nurse teacher farmer soldier dancer singer painter writer pilot sailor fisherman hunter child girl
    boy woman man baby grandmother couple family crowd friend stranger bicycle car truck bus train plane
    rocket helicopter motorcycle tram taxi submarine spaceship satellite castle tower bridge lighthouse
    temple church mosque palace pyramid market library museum station airport harbor factory hospital school
    kitchen bathroom bedroom garden forest jungle river waterfall volcano cave island beach canyon swamp
    glacier planet galaxy comet storm tornado lightning rainbow fire smoke guitar piano violin drum trumpet
    camera phone computer laptop television clock lamp candle mirror window door chair table sofa bed book
    newspaper letter map coin crown sword shield hammer axe knife fork spoon plate cup bottle glass coffee
    tea bread cake pizza burger sandwich apple banana cherry lemon grape strawberry carrot potato tomato
    mushroom pumpkin flower tulip sunflower daisy cactus bamboo leaf butterfly bee spider ant beetle fish
    shark whale dolphin octopus turtle frog duck swan eagle owl parrot penguin peacock flamingo chicken camel
    zebra giraffe kangaroo panda koala squirrel hedgehog umbrella hat coat dress shoe glove scarf necklace
    statue fountain carousel fireworks snowman skeleton mermaid angel demon alien dinosaur mammoth phoenix
    centaur goblin fairy giant dwarf elf hero villain detective spy thief judge
    """
)
_ACTIONS: Final = _listed(
    """
    riding eating drinking chasing holding playing building painting reading watching carrying fixing
    throwing catching kissing fighting hugging cooking washing driving flying pulling pushing climbing
    jumping dancing sleeping running singing laughing swimming smiling crying waiting walking writing
    """
)
_ADJECTIVES: Final = _listed(
    """
    happy sad angry tiny huge ancient modern broken rusty shiny wooden golden silver fluffy scary friendly
    lazy brave hungry magic floating glowing frozen burning wet dusty elegant ugly strange famous forgotten
    mechanical electric
    """
)
_PLACES: Final = _listed(
    """
    Paris London Berlin Tokyo Rome Madrid Moscow Cairo Sydney Venice Vienna Prague Chicago Boston Texas
    Africa India China Japan Iceland Norway Brazil Mexico Egypt Mars Jupiter Narnia Atlantis Amsterdam
    Istanbul Dubai Havana Kyoto
    """
)
_NAMES: Final = _listed(
    """
    Anna Bob Carlos Diana Emil Fatima George Hannah Igor Julia Kevin Lena Mario Nora Oscar Paula Quentin Rosa
    Stefan Tina Umberto Vera Walter Xenia Yuki Zoe Einstein Mozart Napoleon Cleopatra Dracula Sherlock Mickey
    Godzilla Batman
    """
)
_ONSETS: Final = (
    "b",
    "br",
    "c",
    "ch",
    "d",
    "dr",
    "f",
    "fl",
    "g",
    "gl",
    "h",
    "j",
    "k",
    "kr",
    "l",
    "m",
    "n",
    "p",
    "pl",
    "qu",
)
_MORE_ONSETS: Final = (
    "r",
    "s",
    "sh",
    "sk",
    "sp",
    "st",
    "t",
    "th",
    "tr",
    "v",
    "w",
    "x",
    "y",
    "z",
    "zw",
    "é",
    "ø",
    "ü",
    "ñ",
)
_VOWELS: Final = ("a", "e", "i", "o", "u", "ai", "ee", "oo", "ou", "y")
_CODAS: Final = (
    "",
    "",
    "b",
    "ck",
    "d",
    "g",
    "l",
    "ll",
    "m",
    "n",
    "ng",
    "p",
    "r",
    "rt",
    "s",
    "st",
    "t",
    "x",
    "z",
    "ble",
    "dle",
)
_HELD_OUT_SHARE: Final = 0.15


_JOINTS: Final = ("and", "with", "looking at", "who is near", "next to", "behind", "wearing", "made of", "that has")
_COLOURS: Final = ("", "", *COLOUR_WORDS)
_KNOWN: Final = (
    "balloon",
    "boat",
    "house",
    "tree",
    "sailboat",
    "ship",
    "cottage",
    "hot air balloon",
    "sun",
    "moon",
    "birds",
)
_LINKS: Final = ("and", "with", "with", "over", "in", "near", "made of", "full of", "on", "that looks like")
_SCRIPTS: Final = ((0x4E00, 20_000), (0x3042, 80), (0x0430, 32), (0x03B1, 24))
"""First code point and count: Chinese, Hiragana, Cyrillic, Greek."""


def held_out_word(word: str) -> bool:
    """Whether training never shows the word."""
    return hashlib.sha256(f"tiny-qwen-word/{word.lower()}".encode()).digest()[0] < 256 * _HELD_OUT_SHARE


def invented(rng: random.Random) -> str:
    """A pronounceable word of no language, now and then with an accent, capitals, digits or from another script."""
    chance = rng.random()
    if chance < 0.07:
        first, count = rng.choice(_SCRIPTS)
        return "".join(chr(first + rng.randrange(count)) for _ in range(rng.randint(2, 6)))
    word = "".join(
        rng.choice((*_ONSETS, *_MORE_ONSETS)) + rng.choice(_VOWELS) + rng.choice(_CODAS)
        for _ in range(rng.randint(1, 3))
    )
    if chance < 0.2:
        word = word.capitalize()
    return f"{word}{rng.randint(2, 99)}" if 0.2 <= chance < 0.24 else word


def _word(words: list[str], rng: random.Random, held_out: bool) -> str:
    while True:
        word = rng.choice(words) if rng.random() < 0.6 else invented(rng)
        if held_out_word(word) == held_out:
            return word


def _thing(rng: random.Random, held_out: bool) -> str:
    noun = _word(_NOUNS, rng, held_out)
    chance = rng.random()
    if chance < 0.2:
        noun = f"{_word(_ADJECTIVES, rng, held_out)} {noun}"
    elif chance < 0.3:
        noun = f"{rng.choice(rng.choice(tuple(COLOUR_WORDS.values())))} {noun}"
    return rng.choice(("a ", "a ", "the ", "two ", "", "", "my ")) + noun


def _place(rng: random.Random, held_out: bool) -> str:
    if rng.random() < 0.3:
        return f"{rng.choice(('in', 'over', 'on', 'near'))} {rng.choice(GROUND_NOUNS[rng.choice(tuple(GROUND_NOUNS))])}"
    if rng.random() < 0.5:
        return f"in {_word(_PLACES, rng, held_out)}"
    return f"{rng.choice(('in', 'on', 'under', 'behind', 'inside', 'near'))} {_thing(rng, held_out)}"


def copy_pair(rng: random.Random, *, film: bool, held_out: bool = False) -> tuple[str, str]:
    """A prompt of unknown words, and itself with light, camera and style words added.

    With ``held_out`` every unknown word is one that training never shows.
    """
    parts = [_word(_NAMES, rng, held_out) if rng.random() < 0.12 else _thing(rng, held_out)]
    if rng.random() < 0.45:
        parts.append(f"{_word(_ACTIONS, rng, held_out)} {_thing(rng, held_out)}")
    while rng.random() < 0.25:
        parts.append(f"{rng.choice(_JOINTS)} {_thing(rng, held_out)}")
    if rng.random() < 0.35:
        known = f"{rng.choice(_COLOURS)} {rng.choice(_KNOWN)}".strip()
        parts = [rng.choice(("a ", "the ", "a small ", "")) + known, rng.choice(_LINKS), *parts]
    if rng.random() < 0.06:
        parts.append(f'with the word "{_word(_NOUNS, rng, held_out).upper()}" on it')
    if rng.random() < 0.35:
        parts.append(_place(rng, held_out))
    time = ""
    if rng.random() < 0.3:
        time = rng.choice(tuple(TYPED_TIMES))
        parts.append(rng.choice(TYPED_TIMES[time])[0])
    text = " ".join(parts)
    if rng.random() < 0.15:
        text = text[0].upper() + text[1:]
    ending = rng.choices(("", ".", "!"), (85, 12, 3))[0]
    light = rng.choice(LIGHT[time]) if time else rng.choice(NEUTRAL_LIGHT)
    camera = rng.choice(CAMERAS if film else FRAMINGS)
    look = [light, camera, *rng.sample([word for word in RICH_STYLES if word not in light], 2)]
    return text + ending, f"{text}, {', '.join(part for part in look if part)}."
