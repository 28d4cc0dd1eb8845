"""What people type about the tiny world, and the words with which rich prompts answer."""

from __future__ import annotations

import re
from typing import Final

from pipelines.tiny_world.words import GROUND_NOUNS, TIME_PHRASES

SUN_PHRASES: Final = ("as the sun rises", "as the sun goes down")
"""Times of day that are motions in a film."""

_PREPOSITIONS: Final = re.compile(r"^(?:at|in|on|by|as|with|under|beneath|during) (?:the |a )?|^(?:the|a) ")


def terse(phrase: str) -> str:
    """A time or ground phrase without its preposition and article: ``night`` of ``at night``."""
    return _PREPOSITIONS.sub("", phrase)


_MORE_TIMES: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "dawn": (
        ("early", "in the early morning"),
        ("sun up", "at sunrise"),
        ("dawn", "at dawn"),
        ("sunrise", "at sunrise"),
    ),
    "day": (("sunny", "on a sunny day"), ("day", "by day"), ("sunshine", "in the sunshine"), ("daytime", "by day")),
    "sunset": (
        ("sunset", "at sunset"),
        ("evening", "in the evening"),
        ("dusk", "at dusk"),
        ("red sky", "under a red sky"),
    ),
    "night": (
        ("night", "at night"),
        ("night", "at night"),
        ("moon", "under the moon"),
        ("stars", "under the stars"),
        ("night time", "at night"),
        ("moonlight", "in the moonlight"),
        ("dark", "in the dark"),
    ),
}
TYPED_TIMES: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    time: (
        *((phrase, phrase) for phrase in phrases if phrase not in SUN_PHRASES),
        *((terse(phrase), phrase) for phrase in phrases if phrase not in SUN_PHRASES),
        *_MORE_TIMES[time],
    )
    for time, phrases in TIME_PHRASES.items()
}
"""What is typed for a time of day, and how the rich prompt says it."""

_MORE_GROUNDS: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "snow": (("winter", "a winter landscape"), ("snowy", "a snowy landscape"), ("snow", "the snow")),
    "sea": (("sea", "the sea"), ("ocean", "the ocean")),
    "city": (("city skyline", "the skyline"), ("city", "the city")),
}
TYPED_GROUNDS: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    ground: (
        *((noun, noun) for noun in nouns),
        *((terse(noun), noun) for noun in nouns),
        *_MORE_GROUNDS.get(ground, ()),
    )
    for ground, nouns in GROUND_NOUNS.items()
}
"""What is typed for a ground, and how the rich prompt says it."""

LIGHT: Final[dict[str, tuple[str, ...]]] = {
    "dawn": ("in soft morning light", "at first light"),
    "day": ("under a blue sky", "in bright daylight", "in the sunshine"),
    "sunset": ("in warm evening light", "under a red sky", "during the golden hour"),
    "night": ("under a starry sky", "in the moonlight", "under the stars", "with a full moon"),
}
RICH_STYLES: Final = (
    "cinematic",
    "highly detailed",
    "beautiful",
    "soft light",
    "vivid colors",
    "peaceful",
    "high quality",
    "dramatic lighting",
    "sharp focus",
    "calm mood",
)
NEUTRAL_LIGHT: Final = ("", "in soft light")
FRAMINGS: Final = ("wide shot", "a wide shot")
ABOVE: Final = ("over", "above", "high above")
CAMERAS: Final = ("static camera", "steady camera")
_PLAIN_LEADS: Final = (
    "i want ",
    "I want ",
    "i want to see ",
    "can you make ",
    "could you draw ",
    "would you show ",
    "show me ",
    "give me ",
    "make me ",
    "create ",
    "generate ",
    "let me see ",
    "i'd like ",
    "we want ",
    "please make ",
    "picture this: ",
)
TYPED_LEADS: Final[dict[bool, tuple[tuple[str, str], ...]]] = {
    False: (
        *((lead, "") for lead in (*_PLAIN_LEADS, "picture of ", "draw ", "draw me ", "please draw ")),
        ("photo of ", "a photo of "),
        ("painting of ", "a painting of "),
        ("drawing of ", "a drawing of "),
    ),
    True: tuple(
        (lead, "") for lead in (*_PLAIN_LEADS, "a video of ", "video of ", "film ", "a film of ", "make a video of ")
    ),
}
"""Openings, and what the rich prompt keeps of them."""
HELD_OUT_LEADS: Final = ("i need ", "could you do ", "i would like to see ", "imagine ")
"""Openings that only measuring uses."""

_SIDEWAYS: Final[dict[str, tuple[str, ...]]] = {
    "boat": (
        "sails {s}",
        "sailing {s}",
        "moving {s}",
        "moves {s}",
        "drifts to the {s}",
        "going {s}",
        "heading {s}",
        "gliding to the {s}",
        "moving towards the {s}",
        "sailing to the {s}",
    ),
    "balloon": (
        "drifts {s}",
        "drifting {s}",
        "drifts to the {s}",
        "floating to the {s}",
        "moving {s}",
        "gliding to the {s}",
    ),
}


def _sideways(subject: str, side: str) -> tuple[str, ...]:
    return tuple(form.format(s=side) for form in _SIDEWAYS[subject])


MOTIONS: Final[dict[tuple[str, str], tuple[str, ...]]] = {
    ("boat", "left"): _sideways("boat", "left"),
    ("boat", "right"): _sideways("boat", "right"),
    ("balloon", "left"): _sideways("balloon", "left"),
    ("balloon", "right"): _sideways("balloon", "right"),
    ("balloon", "up"): (
        "rises",
        "rising",
        "goes up",
        "floats up",
        "ascending",
        "climbing into the sky",
        "lifts off",
        "floating upwards",
    ),
    ("balloon", "down"): (
        "sinks",
        "descends",
        "coming down",
        "going down",
        "floating down",
        "descending",
        "lands",
        "floating downwards",
    ),
}
"""How the subject moves, by subject and direction."""

TERSE_MOTIONS: Final[dict[str, tuple[str, ...]]] = {
    "left": ("left", "to the left", "goes left", "move left", "from right to left", "leftwards", "towards left"),
    "right": ("right", "to the right", "goes right", "move right", "from left to right", "rightwards", "towards right"),
    "up": ("up", "flies up", "flying up", "takes off", "taking off", "going up", "up into the sky", "upwards", "rise"),
    "down": ("down", "comes down", "landing", "goes down", "sinking", "downwards", "flies down", "coming back down"),
}
KEPT_MOTIONS: Final = {
    "move left": "moves left",
    "move right": "moves right",
    "takes off": "takes off and rises",
    "taking off": "taking off and rising",
    "flies up": "flies up",
    "flying up": "flying up",
    "flies down": "flies down",
    "landing": "landing",
    "comes down": "comes down",
    "sinking": "sinking",
}
"""Terse motions whose very words the rich prompt keeps; the others become any motion of that direction."""
SKY_MOTIONS: Final[dict[str, tuple[str, ...]]] = {
    "sunset": (
        "the sun sets",
        "as the sun sets",
        "the sun goes down",
        "as the sun goes down",
        "while the sun sinks",
        "day turns to night",
    ),
    "sunrise": ("the sun rises", "as the sun rises", "as the sun comes up", "day breaks", "the sun climbs"),
    "clouds_left": (
        "clouds drift left",
        "clouds drifting to the left",
        "as clouds drift to the left",
        "clouds move left",
    ),
    "clouds_right": (
        "clouds drift right",
        "clouds drifting to the right",
        "as clouds drift to the right",
        "clouds move right",
    ),
}
"""What moves in the sky."""


def _clouds(side: str) -> tuple[tuple[str, str], ...]:
    return (
        (f"clouds moving {side}", f"clouds move {side}"),
        (f"clouds going {side}", f"clouds going {side}"),
        (f"clouds to the {side}", f"clouds drift to the {side}"),
        (f"clouds drift {side}", f"clouds drift {side}"),
    )


TYPED_SKY_MOTIONS: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "sunset": (
        ("sun going down", "as the sun goes down"),
        ("sun setting", "as the sun sets"),
        ("sun sets", "the sun sets"),
        ("sun goes down", "the sun goes down"),
        ("the sun is setting", "the sun sets"),
        ("sun sinks", "while the sun sinks"),
    ),
    "sunrise": (
        ("sun rising", "as the sun rises"),
        ("sun coming up", "as the sun comes up"),
        ("sun rises", "the sun rises"),
        ("sun comes up", "as the sun comes up"),
        ("the sun is rising", "the sun rises"),
        ("sun climbs", "the sun climbs"),
    ),
    "clouds_left": _clouds("left"),
    "clouds_right": _clouds("right"),
}
"""What is typed for a motion in the sky, and how the rich prompt says it."""
SKY_TIMES: Final = {"sunset": "sunset", "sunrise": "dawn"}
"""The time of day that a motion of the sun implies."""

STILL: Final = ("a still view", "nothing moves")
TYPOS: Final = {
    "balloon": ("ballon", "baloon", "baloon"),
    "house": ("hosue", "houes"),
    "night": ("nigth", "nite"),
    "sunset": ("sunst", "sun set"),
    "mountains": ("mountians", "montains"),
    "desert": ("dessert", "desrt"),
    "yellow": ("yelow", "yello"),
    "purple": ("purpel",),
    "sailboat": ("sail boat", "saliboat"),
    "meadow": ("medow",),
    "sky": ("skye",),
    "ocean": ("ocaen",),
    "beautiful": ("beatiful",),
}
