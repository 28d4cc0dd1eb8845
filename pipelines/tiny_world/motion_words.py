"""Many ways to say what moves. The prompt helper's training pairs use these words as well."""

from __future__ import annotations

from typing import Final

_SIDES: Final = (
    "to the left",
    "to the left",
    "towards the left",
    "left",
    "from right to left",
)
_RISING: Final = ("upwards", "up", "into the sky", "higher and higher", "up into the air")
_FALLING: Final = ("downwards", "down", "to the ground", "lower and lower")


def _mirrored(phrases: tuple[str, ...]) -> tuple[str, ...]:
    swap = {"left": "right", "right": "left", "leftward": "rightward", "leftwards": "rightwards"}
    return tuple(" ".join(swap.get(word, word) for word in phrase.split(" ")) for phrase in phrases)


def _paired(verbs: tuple[str, ...], ends: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{verb} {end}" for verb in verbs for end in ends)


_BOAT_LEFT: Final = (
    *_paired(("sails", "sailing", "moves", "moving", "glides", "gliding", "goes", "going"), _SIDES),
    *_paired(("drifts", "drifting", "heads", "heading", "travels", "floating"), _SIDES[2:4]),
    "sails left",
    "sailing left",
    "leftwards",
    "moving leftward",
    "crossing from right to left",
)
_BALLOON_LEFT: Final = (
    *_paired(("drifts", "drifting", "floats", "floating", "flies", "flying", "moves", "moving"), _SIDES),
    *_paired(("glides", "gliding", "travels", "goes", "going", "heading"), _SIDES[2:4]),
    "drifts left",
    "flying left",
    "leftwards",
    "crossing from right to left",
)

SUBJECT_MOTION_PHRASES: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "boat": {"left": _BOAT_LEFT, "right": _mirrored(_BOAT_LEFT)},
    "balloon": {
        "left": _BALLOON_LEFT,
        "right": _mirrored(_BALLOON_LEFT),
        "up": (
            "rises",
            "rising",
            "is rising",
            "ascends",
            "ascending",
            "climbs",
            "climbing",
            "lifts off",
            "lifting off",
            "takes off",
            "taking off",
            "going up",
            "goes up",
            "soars",
            *_paired(("rises", "rising", "floats", "floating", "flies", "drifts", "moving"), _RISING),
        ),
        "down": (
            "sinks",
            "sinking",
            "descends",
            "descending",
            "is descending",
            "lands",
            "landing",
            "comes down",
            "coming down",
            "going down",
            "goes down",
            "falls",
            *_paired(("floats", "floating", "sinks", "sinking", "drifts", "moving", "flies"), _FALLING),
        ),
    },
}
"""What follows the subject, by subject and motion."""

SUN_PHRASES: Final[dict[str, tuple[str, ...]]] = {
    "sunset": (
        "the sun sets",
        "the sun is setting",
        "the sun goes down",
        "the sun going down",
        "the setting sun",
        "the sun sinks",
        "the sun sinking",
        "the sun disappears",
        "day turns to night",
        "night falls",
        "it gets dark",
        "the sun slowly sets",
        "the sun sinks below the horizon",
    ),
    "sunrise": (
        "the sun rises",
        "the sun is rising",
        "the sun comes up",
        "the sun coming up",
        "the rising sun",
        "the sun climbs",
        "the sun climbing",
        "the sun appears",
        "night turns to day",
        "day breaks",
        "it gets light",
        "the sun slowly rises",
        "the sun climbs above the horizon",
    ),
}
"""A clause of its own, which may begin the caption or follow "as", "while" or "and"."""

SUN_LINKS: Final = ("as", "while", "and", "when")

_CLOUDS_LEFT: Final = (
    *_paired(("clouds drift", "clouds drifting", "drifting clouds moving", "clouds move", "clouds moving"), _SIDES),
    *_paired(("clouds float", "clouds glide", "clouds going", "clouds pass", "white clouds drift"), _SIDES[2:4]),
    "clouds drift left",
    "clouds drifting left",
    "the wind blows the clouds to the left",
)
CLOUD_PHRASES: Final[dict[str, tuple[str, ...]]] = {
    "clouds_left": _CLOUDS_LEFT,
    "clouds_right": _mirrored(_CLOUDS_LEFT),
}
"""A clause of its own."""
EITHER_WAY: Final = ("drifting clouds", "moving clouds", "clouds drift by", "passing clouds", "clouds drifting")
"""Moving clouds without a direction: either is right."""

STILL_PHRASES: Final = (
    "a still view",
    "nothing moves",
    "standing still",
    "motionless",
    "a still picture",
    "a static shot",
    "not moving",
)

MOTION_PHRASES: Final[dict[str, tuple[str, ...]]] = {
    "left": _BOAT_LEFT,
    "right": _mirrored(_BOAT_LEFT),
    "up": SUBJECT_MOTION_PHRASES["balloon"]["up"],
    "down": SUBJECT_MOTION_PHRASES["balloon"]["down"],
    **SUN_PHRASES,
    **CLOUD_PHRASES,
    "still": STILL_PHRASES,
}
"""Everything by motion, whatever the subject."""

TELLS_OF_THE_SUN: Final = frozenset(
    {"as the sun rises", "as the sun goes down", "with a setting sun", "sunrise", "at sunrise"}
)
"""Phrases for a time of day that would promise a moving sun; captions of other films avoid them."""
