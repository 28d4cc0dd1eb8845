"""Whether a rewritten prompt still says what its person asked for. Torch-free.

Counts, colours, times of day and text in quotation marks must all be kept, a direction must not turn round, and of the
other content words the subject and most of the rest must be found again, in the same or a related word.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Iterable

from pipelines.prompt_words import (
    ENGLISH_WORDS,
    FACTS,
    FILLERS,
    IRREGULAR,
    MEASURE,
    OPPOSITES,
    OTHER_LATIN_WORDS,
    SYNONYMS,
    Fact,
)

SUBJECT = "its subject"
LOST_SHARE = 0.5
"""Of the content words, modifiers counted half: 1 of 3, 2 of 5 or 3 of 7 nouns may go, 1 of 2 or 2 of 4 may not."""
SMALLEST_KEPT_CHARACTERS = 0.4
"""Of the characters of a Chinese prompt in a Chinese rewriting, which says many things in other words."""

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*|\d+[a-z]*", re.ASCII | re.IGNORECASE)
_QUOTED = re.compile(r"\"([^\"]{1,200})\"|“([^”]{1,200})”|「([^」]{1,200})」|(?<!\w)['‘]([^'‘’]{2,200})['’](?!\w)")
_ABSENT = re.compile(r"\b(?:no|not|without|never|neither|nor)\s+(?:any\s+|a\s+|an\s+|the\s+)?[\w'’-]+", re.IGNORECASE)
_MODIFIER = re.compile(r"(?:ing|ed|ful|ous|ic|al|less|ern|ish|ive|ly|able|ible|y|en)$")
_CJK = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]")
_CHINESE_FILLERS = frozenset("的了在和与是一个只条张幅位名着有上下里中我你他她它这那请画生成图片视频拍给")
_PUNCTUATION = re.compile(r"[\s\W_]+")
_TYPO_LETTERS, _TYPO_LIKENESS = 5, 0.83
_PART, _SHARED_STEM = 4, 5


def lost(prompt: str, answer: str, language: str) -> str | None:
    """Return what of `prompt` is missing in `answer`, which is in `language`: an end for "the rewriting had lost …".

    None where nothing is.
    """
    answer_text = answer.lower()
    for text in _quoted(prompt):
        if _letters(text) not in _letters(answer):
            return f"the text “{text}”"
    told = _ABSENT.sub(" ", _QUOTED.sub(" ", prompt))
    missing = _lost_fact(told.lower(), answer_text, language)
    if missing or language == "zh":
        return missing or _lost_characters(told, answer)
    if is_other_latin(told):
        return None
    return _lost_name(told, answer) or (None if _kept_words(MEASURE.sub(" ", told), answer) else SUBJECT)


def is_other_latin(text: str) -> bool:
    """Return whether `text` reads like a language in Latin letters other than English."""
    words = [word.lower() for word in re.findall(r"[^\W\d_]+", text)]
    return sum(word in OTHER_LATIN_WORDS for word in words) > sum(word in ENGLISH_WORDS for word in words)


def cjk_characters(text: str) -> int:
    """Return how many Chinese characters `text` holds."""
    return len(_CJK.findall(text))


def _quoted(prompt: str) -> Iterable[str]:
    for groups in _QUOTED.findall(prompt):
        text = next(filter(None, groups), "").strip(" ,.!?。，！？")
        # A prompt may be one long quotation: then its words are looked for, not its wording.
        if text and len(text) < 0.8 * len(prompt):
            yield text


def _letters(text: str) -> str:
    return _PUNCTUATION.sub("", text).lower()


def _kept(fact: Fact, answer: str, language: str) -> bool:
    return bool((fact.kept_in_chinese if language == "zh" else fact.kept_in_english).search(answer))


def _lost_fact(told: str, answer: str, language: str) -> str | None:
    for fact in FACTS:
        if fact.told.search(told) and not _kept(fact, answer, language):
            return fact.name
    for pair in OPPOSITES:
        for fact, opposite in (pair, pair[::-1]):
            turned = _kept(opposite, answer, language) and not _kept(fact, answer, language)
            if turned and fact.told.search(told) and not opposite.told.search(told):
                return fact.name
    return None


def _lost_characters(told: str, answer: str) -> str | None:
    wanted = [character for character in _CJK.findall(told) if character not in _CHINESE_FILLERS]
    if not wanted:
        return None
    kept = sum(character in answer for character in wanted)
    return None if kept >= SMALLEST_KEPT_CHARACTERS * len(wanted) else SUBJECT


def _content(text: str) -> list[list[str]]:
    """The content words of `text` in runs that no small word interrupts."""
    runs: list[list[str]] = [[]]
    end = 0
    for match in _WORD.finditer(text):
        word = match[0].lower()
        interrupted = re.search(r"[,.;:!?]", text[end : match.start()])
        end = match.end()
        if interrupted:
            runs.append([])
        if word in FILLERS or len(word) < 2 or _is_fact(word):
            if not _is_fact(word):
                runs.append([])
            continue
        runs[-1].append(word)
    return [run for run in runs if run]


def _is_fact(word: str) -> bool:
    return any(fact.told.fullmatch(word) for fact in FACTS)


def _head(run: list[str]) -> str:
    """The word of a first run that names the subject: before a verb, after adjectives."""
    nouns = run
    for i, word in enumerate(run[1:], start=1):
        if word.endswith(("ing", "ed")):
            nouns = run[:i]
            break
    # "boat sails", "dog runs": as likely a verb as a plural, so the word before it counts.
    return nouns[-2] if len(nouns) > 1 and nouns[-1].endswith("s") and not _MODIFIER.search(nouns[-2]) else nouns[-1]


def _kept_words(told: str, answer: str) -> bool:
    runs = _content(told)
    if not runs:
        return True
    found = {match[0].lower() for match in _WORD.finditer(answer)}
    words = list(dict.fromkeys(word for run in runs for word in run))
    kept = {word: _is_among(word, found) for word in words}
    weights = {word: 0.5 if _MODIFIER.search(word) else 1.0 for word in words}
    share = sum(weights[word] for word in words if not kept[word]) / sum(weights.values())
    return kept[_head(runs[0])] and share < LOST_SHARE


def _lost_name(told: str, answer: str) -> str | None:
    """A capitalised word inside a prompt that is otherwise in small letters."""
    words = [match[0] for match in _WORD.finditer(told)]
    capitals = [word for word in words[1:] if word[0].isupper() and word.lower() not in FILLERS and len(word) > 1]
    if not capitals or 2 * len(capitals) > len([word for word in words if word.lower() not in FILLERS]):
        return None
    found = {match[0].lower() for match in _WORD.finditer(answer)}
    return next((f"“{word}”" for word in capitals if not _is_among(word.lower(), found)), None)


def _is_among(word: str, found: set[str]) -> bool:
    if word in found:
        return True
    stem, related = _stem(word), _related(_stem(word))
    return any(_stem(other) in related or _same(word, stem, other) for other in found)


@functools.cache
def _synonym_stems() -> tuple[frozenset[str], ...]:
    return tuple(frozenset(map(_stem, group)) for group in SYNONYMS)


def _related(stem: str) -> frozenset[str]:
    return frozenset[str]().union(*(group for group in _synonym_stems() if stem in group))


def _same(word: str, stem: str, other: str) -> bool:
    other_stem = _stem(other)
    shorter, longer = sorted((stem, other_stem), key=len)
    if stem == other_stem or (len(shorter) >= _PART and shorter in longer):
        return True
    if len(shorter) >= _SHARED_STEM and stem[:_SHARED_STEM] == other_stem[:_SHARED_STEM]:
        return True
    # People mistype, and models mend it; the first letter is mostly right.
    close = word[0] == other[0] and min(len(word), len(other)) >= _TYPO_LETTERS and abs(len(word) - len(other)) <= 2
    return close and difflib.SequenceMatcher(None, word, other).ratio() >= _TYPO_LIKENESS


@functools.lru_cache(maxsize=4096)
def _stem(word: str) -> str:
    word = re.sub(r"['’]s?$", "", word)
    if word in IRREGULAR:
        return IRREGULAR[word].removesuffix("e") if len(IRREGULAR[word]) > 3 else IRREGULAR[word]
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith("s") and len(word) > 3 and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
        if word.endswith(("she", "che", "xe", "sse")):
            word = word[:-1]
    for ending in ("ing", "ed"):
        bare = word.removesuffix(ending)
        if bare != word and len(bare) >= 3 and re.search("[aeiouy]", bare):
            word = bare[:-1] if len(bare) > 3 and bare[-1] == bare[-2] and bare[-1] not in "ls" else bare
            break
    return word.removesuffix("e") if len(word) > 3 else word
