"""Reading a text the way a person would, whatever tricks its spelling plays.

`read` gives every word that a text can be read as: without accents and invisible characters, with digits and look-alike
letters as the letters they stand for, with gaps inside words closed and stretched letters shortened. It over-reads on
purpose; the rules in `policy.py` decide what the words mean.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, groupby, islice, product

MAX_SPELLINGS = 96
"""Most readings tried of one word."""
MAX_WORD_CHARS = 40
MAX_CLOSED_CHARS = 16
"""Longest word looked for inside a row of single letters."""
SHORTEST_IN_RUN = 4
"""Inside a longer row of single letters only words of this length count: 'c l a s s' holds a three-letter one."""

_SIGNS = {"0": "o", "1": "il", "3": "e", "4": "a", "5": "s", "6": "g", "7": "t", "8": "b", "9": "g", "@": "a", "$": "s"}
_SIGNS |= {"!": "il", "|": "il", "+": "t", "€": "e", "£": "l", "¡": "i", "¢": "c"}
_LOOK_ALIKES = """
аa вb еe ёe іi їi јj кk мm нh оo рp сc тt уy хx ѕs ԁd ԍg һh ӏl ґr ԛq ԝw ғf ҽe пn
αa βb γy εe ζz ηn ιi κk λl μm νv οo ρp σo τt υu χx ωw
ıi łl øo đd ħh ŧt ɑa ɡg ɪi ʟl ɴn ʀr ʙb ʜh ɢg ᴀa ᴄc ᴅd ᴇe ᴊj ᴋk ᴍm ᴏo ᴘp ꜱs ᴛt ᴜu ᴠv ᴡw ʏy ᴢz ƒf ɩi ɾr
"""
"""Cyrillic, Greek, and Latin letters that NFKD leaves whole, each before the letter it looks like."""
_LATIN_LIKE = str.maketrans({pair[0]: pair[1] for pair in _LOOK_ALIKES.split()})
_CYRILLIC_LIKE = str.maketrans("abcehkmoptxy3", "авсенкмортхуз")
_EMOJI = {"👶": "baby", "🧒": "child", "👦": "boy", "👧": "girl", "🔞": "nsfw"}
_SIGN_CLASS = re.escape("".join(sign for sign in _SIGNS if not sign.isdigit()))
_PART = re.compile(rf"[{_SIGN_CLASS}]*[^\W_]+(?:[{_SIGN_CLASS}]+[^\W_]+)*[{_SIGN_CLASS}]*")
_WORD = re.compile(r"[^\W_]+")
_CYRILLIC = re.compile("[а-яё]")
_MASKED = re.compile(r"[^\W\d_]+(?:\*+[^\W\d_]+)+")


@dataclass(frozen=True, kw_only=True)
class Readings:
    """What a text can be read as. `words` are all single words; `lines` the text as plain words with one space
    between, in every reading; `native` is the text in its own script with its accents, `accented` the words of it;
    `masked` holds words with letters crossed out, as regular expressions."""

    words: frozenset[str]
    accented: frozenset[str]
    lines: tuple[str, ...]
    native: str
    masked: tuple[re.Pattern[str], ...]


def native(text: str) -> str:
    """`text` in lower case and one form of each character, without invisible characters; accents stay."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", _letters(text)).casefold())
    return "".join(_visible(character) for character in folded)


def unaccented(text: str) -> str:
    """`text` without accents, after `native`."""
    apart = unicodedata.normalize("NFKD", text)
    return unicodedata.normalize("NFC", "".join(c for c in apart if unicodedata.category(c) not in ("Mn", "Me")))


def latin(text: str) -> str:
    """`text` with the letters of other scripts that look Latin as Latin ones, after `unaccented`."""
    return text.translate(_LATIN_LIKE)


def read(text: str, *, without: re.Pattern[str] | None = None) -> Readings:
    """Every reading of `text`. `without` matches harmless phrases, which are cut out of the Latin reading first."""
    own = native(text)
    bare = unaccented(own)
    cut = bare if without is None else without.sub(" , ", bare)
    views = [cut, latin(cut)]
    if _CYRILLIC.search(bare):
        views.append(" ".join(_to_cyrillic(token) for token in bare.split()))
    words: set[str] = set()
    lines: list[str] = []
    for view in dict.fromkeys(views):
        found, parts = _words(view)
        words |= found
        lines += [f" {' '.join(_first(parts, prefer))} " for prefer in ("i", "l")]
        lines.append(f" {' '.join(_WORD.findall(view))} ")
    masked = {token for view in views for token in _MASKED.findall(view)}
    return Readings(
        words=frozenset(words),
        accented=frozenset(_WORD.findall(own)),
        lines=tuple(dict.fromkeys(lines)),
        native=own,
        masked=tuple(re.compile(token.replace("*", ".")) for token in sorted(masked)[:MAX_SPELLINGS]),
    )


def spellings(word: str) -> Iterator[str]:
    """The words that one written word can stand for: signs as letters, stretched letters shortened."""
    if len(word) > MAX_WORD_CHARS or not any(character.isalpha() for character in word):
        yield word
        return
    yield word
    yield word.strip("0123456789")
    choices = [_SIGNS.get(character, character) for character in word]
    for letters in islice(product(*choices), MAX_SPELLINGS // 6):
        yield from islice(_shortened("".join(letters)), 8)


def _shortened(word: str) -> Iterator[str]:
    runs = [(letter, len(list(run))) for letter, run in groupby(word)]
    choices = [(letter,) if count == 1 else (letter, letter * 2) for letter, count in runs]
    return ("".join(letters) for letters in product(*choices))


def closed(text: str) -> set[str]:
    """What `text` can be read as where everything between its characters is left out."""
    folded = unaccented(native(text))
    return {
        reading
        for view in {folded, latin(folded)}
        for pattern in (_PART, _WORD)
        for reading in spellings("".join(pattern.findall(view)))
    }


def _words(view: str) -> tuple[set[str], list[str]]:
    """All single-word readings of a view, and its plain parts in order."""
    found: set[str] = set()
    parts: list[str] = []
    for token in view.split():
        pieces = _PART.findall(token)
        parts.extend(pieces)
        whole = _WORD.findall(token)
        for candidate in {*pieces, "".join(pieces), *whole, "".join(whole)}:
            found.update(spellings(candidate))
    for run in _single_letter_runs(parts):
        found.update(chain.from_iterable(spellings(piece) for piece in _inside(run)))
    return found, parts


def _single_letter_runs(parts: Iterable[str]) -> Iterator[str]:
    for single, group in groupby(parts, key=lambda part: len(part) == 1):
        letters = list(group)
        if single and len(letters) >= 3:
            yield "".join(letters)


def _inside(run: str) -> Iterator[str]:
    yield run
    for start in range(len(run)):
        for end in range(start + SHORTEST_IN_RUN, min(len(run), start + MAX_CLOSED_CHARS) + 1):
            yield run[start:end]


def _first(parts: Iterable[str], prefer: str) -> Iterator[str]:
    """Each part in its likeliest reading: signs as letters (1 as `prefer`), stretched letters as one."""
    for part in parts:
        if part.isalpha():
            yield re.sub(r"(.)\1{2,}", r"\1", part)
        elif not any(character.isalpha() for character in part):
            yield part
        else:
            letters = (_SIGNS.get(character, character) for character in part)
            yield "".join(prefer if choice == "il" else choice for choice in letters)


def _to_cyrillic(token: str) -> str:
    return token.translate(_CYRILLIC_LIKE) if _CYRILLIC.search(token) else token


def _visible(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Cc":
        return " "
    return "" if category in ("Cf", "Mn", "Me") and _is_decoration(character) else character


def _is_decoration(character: str) -> bool:
    """Invisible characters and the marks piled onto letters. After NFKC an accent of a living language is part of its
    letter; only Indic, Arabic, Hebrew and Thai keep theirs apart, and those are none of the policy's languages."""
    return unicodedata.category(character) == "Cf" or "\u0300" <= character <= "\u036f" or character >= "\ufe00"


def _letters(text: str) -> str:
    """Letters in circles, squares and flags as letters, which NFKC leaves as they are; pictures of people as words."""
    return "".join(_unboxed(character) for character in text)


def _unboxed(character: str) -> str:
    if character in _EMOJI:
        return f" {_EMOJI[character]} "
    code = ord(character)
    for start in (0x1F150, 0x1F170, 0x1F1E6):
        if start <= code < start + 26:
            return chr(ord("a") + code - start)
    return character
