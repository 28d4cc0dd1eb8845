"""Ages in prompts, in the languages of the policy: "12 years old", "twelve-year-old", "12yo", "12 ans", "12岁"."""

from __future__ import annotations

import re
from collections.abc import Iterator

from studio.services.policy_spelling import Readings

ADULT_YEARS = 18

_VALUE = {
    **{"zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9},
    **{"ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16},
    **{"seventeen": 17, "eighteen": 18, "nineteen": 19, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50},
    **{"sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90},
}
_NUMBER = rf"(\d{{1,3}}|{'|'.join(sorted(_VALUE, key=len, reverse=True))})"
_NOT_UNITS = "".join(f"(?<!{tens} )" for tens, value in _VALUE.items() if value >= 20)
"""Before a number word: "forty two years old" is not two years old."""
_YEARS = re.compile(
    rf"{_NOT_UNITS}(?<![\d.])(?<![^\W\d_]){_NUMBER} ?(?:years? old|years? of age|yrs? old|year olds?|y ?o|yrs?|y|"
    r"jahrige?[rsnm]?|jahre|ans|anos|anni|"
    r"лет|года?|годик\w*|летн\w*|살)(?![^\W_])"
    rf"|(?<![^\W_])(?:aged?|ages|age of|edad|agee? de|alter) (?:of )?{_NUMBER}(?![\d%])"
    rf"|(?<![^\W_])(?:im|i am|she is|shes|he is|hes|turned|turning) {_NUMBER} (?:and|now|today)(?![^\W_])"
)
_EAST_ASIAN = re.compile(r"(\d{1,3})(?:岁|歳|歲|才|살|세)")
_EAST_ASIAN_WORDS = re.compile("(?<![一二三四五六七八九十百])(?:十[一二三四五六七]?|[一二三四五六七八九])(?:岁|歳|歲)")
_YOUNG = re.compile(
    r"(?<![^\W_])(?:\d+|few|some|several|six|nine|eighteen) (?:months?|weeks?|days?) olds?(?![^\W_])"
    r"|(?<![^\W_])(?:under|below|younger than|less than|not yet|sub) (?:the age of )?"
    r"(?:1[0-8]|[5-9]|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen)"
    r"(?! (?:seconds?|minutes?|hours?|days?|meters?|metres?|feet|degrees?|dollars?|euros?|percent|cm|km|mm|years ago))"
    r"(?![^\W_])"
    r"|(?<![^\W_])(?:[1-9]|1[0-2]) ?(?:st|nd|rd|th) grade(?:rs?)?(?![^\W_])"
    r"|(?<![^\W_])grade (?:[1-9]|1[0-2])(?![^\W_])"
    r"|(?<![^\W_])(?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth) grade(?:rs?)?(?![^\W_])"
)


def says_minor_age(readings: Readings) -> bool:
    """Whether the text names an age under 18, or a school grade."""
    return (
        any(age < ADULT_YEARS for age in _ages(readings))
        or any(_YOUNG.search(line) for line in readings.lines)
        or _EAST_ASIAN_WORDS.search(readings.native) is not None
    )


def says_adult_age(readings: Readings) -> bool:
    """Whether the text names an age of 18 or more."""
    return any(age >= ADULT_YEARS for age in _ages(readings))


def _ages(readings: Readings) -> Iterator[int]:
    for line in readings.lines:
        for match in _YEARS.finditer(line):
            yield from (_number(group) for group in match.groups() if group)
    for match in _EAST_ASIAN.finditer(readings.native.replace(" ", "")):
        yield int(match.group(1))


def _number(text: str) -> int:
    return int(text) if text.isdigit() else _VALUE[text]
