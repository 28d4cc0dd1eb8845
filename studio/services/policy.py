"""The content policy: what may not be asked for. It refuses sexual content that involves minors, whatever the settings
say, and the terms that the admin adds (STUDIO_BANNED_TERMS).

The rule is a combination: a notion of a minor and a sexual notion in one request, in the prompt and its rewritten form
together. A few terms are refused alone. A negative prompt lists what is *not* wanted, so the rule does not apply to it:
"nude" there protects the child in the prompt. It is read for the terms that are refused alone, and for the two ways in
which it could bring about what the rule forbids: clothing unwanted beside a minor, adults unwanted beside a sexual
notion.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from studio.errors import PolicyRefused
from studio.services import policy_terms as terms
from studio.services.policy_ages import says_adult_age, says_minor_age
from studio.services.policy_spelling import MAX_WORD_CHARS, Readings, closed, native, read, unaccented

logger = logging.getLogger(__name__)

MINORS_SENTENCE = "The content policy refuses this: sexual content may not involve minors. Nothing was started."
TERMS_SENTENCE = "The content policy of this studio refuses a term in this prompt. Nothing was started."

_CJK = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_KATAKANA = "\u30a1-\u30fa\u30fc"
_GLUED_PART_CHARS = 3
"""Shortest half of two terms written as one word."""


@dataclass(frozen=True, kw_only=True)
class Notion:
    """A list of terms, ready to be looked for: `accented` by their exact accents, `cjk` in scripts without spaces."""

    words: frozenset[str] = frozenset()
    accented: frozenset[str] = frozenset()
    prefixes: tuple[str, ...] = ()
    phrases: tuple[str, ...] = ()
    cjk: re.Pattern[str] | None = None

    @classmethod
    def of(cls, listed: str, cjk: str = "") -> Notion:
        """From the lists of `policy_terms`."""
        plain, accented, prefixes, phrases = set(), set(), [], []
        for term in filter(None, (term.strip() for term in listed.split(","))):
            folded = _folded(term.strip("=*"))
            if term.startswith("="):
                accented.add(native(term[1:]))
            elif term.endswith("*"):
                prefixes.append(folded)
            elif " " in folded:
                phrases.append(f" {' '.join(folded.split())} ")
                plain.add(folded.replace(" ", ""))
            else:
                plain.add(folded)
        return cls(
            words=frozenset(plain),
            accented=frozenset(accented),
            prefixes=tuple(prefixes),
            phrases=tuple(phrases),
            cjk=_cjk_pattern(cjk),
        )

    def __or__(self, other: Notion) -> Notion:
        patterns = [notion.cjk.pattern for notion in (self, other) if notion.cjk is not None]
        return Notion(
            words=self.words | other.words,
            accented=self.accented | other.accented,
            prefixes=self.prefixes + other.prefixes,
            phrases=self.phrases + other.phrases,
            cjk=re.compile("|".join(patterns)) if patterns else None,
        )

    def is_in(self, text: Text) -> bool:
        """Whether `text` can be read as naming the notion."""
        readings = text.readings
        return bool(
            not self.words.isdisjoint(readings.words)
            or not self.accented.isdisjoint(readings.accented)
            or (self.prefixes and any(word.startswith(self.prefixes) for word in readings.words))
            or any(phrase in line for phrase in self.phrases for line in readings.lines)
            or any(mask.fullmatch(word) for mask in readings.masked for word in self.words)
            or (self.cjk is not None and self.cjk.search(text.squeezed))
        )


@dataclass(frozen=True)
class Text:
    """What a person wrote, and every way to read it."""

    written: str

    @cached_property
    def readings(self) -> Readings:
        return read(self.written, without=_HARMLESS)

    @cached_property
    def squeezed(self) -> str:
        """The text without anything between its characters, for scripts that put no spaces between words."""
        without_marks = re.sub(r"[\W_]+", "", self.readings.native)
        for phrase in terms.HARMLESS_CJK:
            without_marks = without_marks.replace(phrase, " ")
        return without_marks


class ContentPolicy:
    """Refuses what may not be asked for. `extra_terms` are the admin's: words or phrases, in any spelling."""

    def __init__(self, extra_terms: Sequence[str] = ()) -> None:
        latin_terms = [term for term in extra_terms if term.strip() and not _CJK.search(term)]
        own = ", ".join(" ".join(re.findall(r"[^\W_]+", unaccented(native(term)))) for term in latin_terms)
        self._extra = Notion.of(own, ", ".join(term for term in extra_terms if _CJK.search(term)))

    def check(self, prompt: str, negative_prompt: str = "", enhanced_prompt: str | None = None) -> None:
        """Raises PolicyRefused if the prompt, with its rewritten form, or the negative prompt may not be used.

        The sentence of the error repeats nothing of the prompt.
        """
        wanted = Text("\n".join(filter(None, (prompt, enhanced_prompt))))
        unwanted = Text(negative_prompt)
        rule = _broken_rule(wanted, unwanted)
        if rule is not None:
            logger.info("the content policy refused a request: %s", rule)
            raise PolicyRefused(MINORS_SENTENCE, field="prompt")
        if self._extra.is_in(wanted):
            logger.info("the content policy refused a request: a term of this installation")
            raise PolicyRefused(TERMS_SENTENCE, field="prompt")


def _broken_rule(wanted: Text, unwanted: Text) -> str | None:
    """The rule about minors that a request breaks, in words for the log."""
    if _ALONE.is_in(wanted) or (unwanted.written and _ALONE.is_in(unwanted)):
        return "a term that is refused alone"
    minor = _MINOR.is_in(wanted) or says_minor_age(wanted.readings)
    sexual = _EXPLICIT.is_in(wanted) or _SUGGESTIVE.is_in(wanted)
    if (minor and sexual) or _glued(wanted) or _in_one_language(wanted):
        return "a minor and a sexual notion"
    undressed = _lists(unwanted, _CLOTHING) or not set(terms.CLOTHING_CJK).isdisjoint(_items(unwanted))
    if minor and undressed:
        return "a minor, and clothing unwanted"
    if sexual and _lists(unwanted, _UNWANTED_ADULTS):
        return "a sexual notion, and adults unwanted"
    adult = _ADULT.is_in(wanted) or says_adult_age(wanted.readings)
    if _MAYBE_MINOR.is_in(wanted) and not adult and (_EXPLICIT.is_in(wanted) or undressed):
        return "perhaps a minor, and an explicit notion"
    return None


def _folded(term: str) -> str:
    """A term as the readings spell it: without accents, in its own script."""
    return unaccented(native(term))


def _glued(text: Text) -> bool:
    """Whether one word is made of a minor and a sexual term."""
    minor, sexual = _MINOR.words | _MAYBE_MINOR.words, _EXPLICIT.words | _SUGGESTIVE.words
    for word in text.readings.words:
        if len(word) > MAX_WORD_CHARS:
            continue
        for at in range(_GLUED_PART_CHARS, len(word) - _GLUED_PART_CHARS + 1):
            head, tail = word[:at], word[at:]
            if (head in minor and tail in sexual) or (head in sexual and tail in minor):
                return True
    return False


def _in_one_language(text: Text) -> bool:
    """Whether words that count beside others of their own language alone do so here."""
    if any(minor.is_in(text) and sexual.is_in(text) for minor, sexual in (*_WEAK_MINOR_PAIRS, *_WEAK_EXPLICIT_PAIRS)):
        return True
    return says_minor_age(text.readings) and any(sexual.is_in(text) for sexual in _WEAK_EXPLICIT.values())


def _items(text: Text) -> list[str]:
    """The entries of a negative prompt, without weights and brackets."""
    entries = re.split(r"[,;|\n。、，]", text.written)
    return [re.sub(r":\s*[\d.]+|[()\[\]{}]", " ", entry).strip() for entry in entries]


def _lists(text: Text, notion: Notion) -> bool:
    """Whether an entry of a negative prompt says the notion and nothing else: "clothes", not "torn clothes"."""
    for item in filter(None, _items(text)):
        tokens = [token for token in item.split() if token.casefold() not in _FILLERS]
        if tokens and all(not notion.words.isdisjoint(closed(token)) for token in tokens):
            return True
        if not notion.words.isdisjoint(closed("".join(tokens))):
            return True
    return False


def _cjk_pattern(listed: str) -> re.Pattern[str] | None:
    """The terms as they stand. One of katakana alone must not be part of a longer katakana word: エロ in ピエロ."""
    found = []
    for term in filter(None, (native(term.strip()) for term in listed.split(","))):
        katakana = re.fullmatch(f"[{_KATAKANA}]+", term)
        found.append(f"(?<![{_KATAKANA}]){term}(?![{_KATAKANA}])" if katakana else re.escape(term))
    return re.compile("|".join(found)) if found else None


def _harmless_pattern() -> re.Pattern[str]:
    joined = re.sub(r"\n(?!\s)", " | ", terms.HARMLESS.strip())
    phrases = [part.strip() for part in re.sub(r"\s*\|\s*", "|", joined.replace("\n", " ")).split(" | ")]
    gaps = re.sub(r"\s+", r"[\\s_'’-]+", "|".join(phrases))
    return re.compile(rf"(?<![^\W_])(?:{gaps})(?![^\W_])")


def _pairs(
    minor: Mapping[str, Notion], sexual: Mapping[str, Notion], languages: Mapping[str, str]
) -> tuple[tuple[Notion, Notion], ...]:
    return tuple((minor[language], sexual[language]) for language in languages)


_MINOR_BY_LANGUAGE = {language: Notion.of(listed) for language, listed in terms.MINOR.items()}
_EXPLICIT_BY_LANGUAGE = {language: Notion.of(listed) for language, listed in terms.EXPLICIT.items()}
_WEAK_MINOR = {language: Notion.of(listed) for language, listed in terms.MINOR_IF_SAME_LANGUAGE.items()}
_WEAK_EXPLICIT = {language: Notion.of(listed) for language, listed in terms.EXPLICIT_IF_SAME_LANGUAGE.items()}
_WEAK_MINOR_PAIRS = _pairs(_WEAK_MINOR, _EXPLICIT_BY_LANGUAGE, terms.MINOR_IF_SAME_LANGUAGE)
_WEAK_EXPLICIT_PAIRS = _pairs(_MINOR_BY_LANGUAGE, _WEAK_EXPLICIT, terms.EXPLICIT_IF_SAME_LANGUAGE)
_ALONE = Notion.of(terms.ALONE, terms.ALONE_CJK)
_MINOR = Notion.of(",".join(terms.MINOR.values()), terms.MINOR_CJK)
_EXPLICIT = Notion.of(",".join(terms.EXPLICIT.values()), terms.EXPLICIT_CJK)
_SUGGESTIVE = Notion.of(terms.SUGGESTIVE, terms.SUGGESTIVE_CJK)
_MAYBE_MINOR = Notion.of(terms.MAYBE_MINOR)
_ADULT = Notion.of(terms.ADULT)
_CLOTHING = Notion.of(terms.CLOTHING)
_UNWANTED_ADULTS = Notion.of(terms.UNWANTED_ADULTS)
_FILLERS = frozenset(terms.FILLERS.replace(",", " ").split())
_HARMLESS = _harmless_pattern()
