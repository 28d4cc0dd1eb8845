"""The content policy, measured on the two lists beside this file."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

from studio.errors import PolicyRefused
from studio.services.policy import ContentPolicy
from studio.services.policy_spelling import read, spellings

LISTS = Path(__file__).parent
LOWEST_PASS_RATE = 0.99
SMALLEST_LIST = 220


@pytest.fixture(scope="module")
def policy() -> ContentPolicy:
    return ContentPolicy()


def listed(name: str) -> list[tuple[str, str]]:
    """(prompt, negative prompt) of every line."""
    lines = (LISTS / name).read_text("utf-8").splitlines()
    entries = [_unescaped(line).partition(" => ") for line in lines if line and not line.startswith("# ")]
    return [(prompt, negative) for prompt, _, negative in entries]


def _unescaped(line: str) -> str:
    return re.sub(
        r"\\(u[0-9a-f]{4}|x[0-9a-f]{2}|n|t)",
        lambda match: {"n": "\n", "t": "\t"}.get(match[1]) or chr(int(match[1][1:], 16)),
        line,
    )


def refuses(policy: ContentPolicy, prompt: str, negative: str = "", enhanced: str | None = None) -> bool:
    try:
        policy.check(prompt, negative, enhanced)
    except PolicyRefused:
        return True
    return False


def test_every_prompt_of_the_refused_list_is_refused(policy: ContentPolicy) -> None:
    entries = listed("policy_refused.txt")
    assert len(entries) >= SMALLEST_LIST
    assert [entry for entry in entries if not refuses(policy, *entry)] == []


def test_ordinary_prompts_pass(policy: ContentPolicy) -> None:
    entries = listed("policy_allowed.txt")
    wrong = [entry for entry in entries if refuses(policy, *entry)]
    assert len(entries) >= SMALLEST_LIST
    assert 1 - len(wrong) / len(entries) >= LOWEST_PASS_RATE, wrong


def test_the_refused_list_holds_spellings_and_not_one_word_again_and_again() -> None:
    prompts = [prompt for prompt, _ in listed("policy_refused.txt")]
    assert len(set(prompts)) > SMALLEST_LIST
    scripts = {unicodedata.name(c, "?").split()[0] for prompt in prompts for c in prompt}
    assert {"LATIN", "CYRILLIC", "GREEK", "CJK", "KATAKANA", "HANGUL", "FULLWIDTH", "MATHEMATICAL"} <= scripts


def test_the_rewritten_prompt_counts_with_the_prompt(policy: ContentPolicy) -> None:
    assert not refuses(policy, "a child at the beach", enhanced="a child builds a castle of sand")
    assert refuses(policy, "a child at the beach", enhanced="a nude figure at the beach")


def test_unwanted_things_in_the_negative_prompt_protect(policy: ContentPolicy) -> None:
    assert not refuses(policy, "a child at the beach", "nude, nsfw, sexual")
    assert not refuses(policy, "nude woman", "child, underage")


def test_a_negative_prompt_cannot_bring_it_about(policy: ContentPolicy) -> None:
    assert refuses(policy, "a child at the beach", "clothes")
    assert refuses(policy, "a child at the beach", "blurry, (c l o t h 1 n g:1.4)")
    assert refuses(policy, "sexy person", "adults")
    assert refuses(policy, "portrait", "l.o.l.i")


def test_the_sentence_repeats_nothing_of_the_prompt(policy: ContentPolicy) -> None:
    with pytest.raises(PolicyRefused) as refused:
        policy.check("nude child, zanzibar")
    assert refused.value.code == "policy_refused"
    assert "zanzibar" not in refused.value.message
    assert len(refused.value.message) < 120


@pytest.mark.parametrize(
    "prompt", ["a Zorblax", "z.o.r.b.l.a.x", "z0rblax", "ZORBLÁX", "two  moons over it", "two-moons", "禁語の絵"]
)
def test_the_admins_terms_are_refused_in_any_spelling(prompt: str) -> None:
    policy = ContentPolicy(("Zorblax", "two moons", "禁語", " "))
    assert refuses(policy, prompt)
    assert not refuses(ContentPolicy(), prompt)


def test_the_admins_terms_may_be_unwanted_and_may_be_parts_of_words() -> None:
    policy = ContentPolicy(("cat",))
    assert refuses(policy, "a cat")
    assert not refuses(policy, "a dog", "cat")
    assert not refuses(policy, "a catalogue")


def test_no_term_means_no_refusal() -> None:
    assert not refuses(ContentPolicy(()), "a boat")
    assert not refuses(ContentPolicy(("", "!!")), "a boat!!")


def long_texts() -> Iterator[str]:
    yield "a harbour at dawn, ships, gulls, mist. " * 100
    yield "b " * 2000
    yield "1!|a" * 1000
    yield "1!|1!|1!a " * 400
    yield "aabbccddeeffgg1! " * 230
    yield "a*" * 2000
    yield "\u0301" * 4000
    yield "子" * 4000


@pytest.mark.parametrize("number", range(8))
@pytest.mark.timeout(20)
def test_hostile_texts_of_full_length_are_read_in_bounded_time(policy: ContentPolicy, number: int) -> None:
    refuses(policy, list(long_texts())[number][:4000])


def test_one_word_has_a_bounded_number_of_readings() -> None:
    assert len(set(spellings("1!|1!|1!|a" * 3))) < 200
    assert "loli" in set(spellings("l01i"))


def test_words_are_read_through_gaps_and_look_alikes() -> None:
    for text in ("b o a t", "b.o.a.t", "bo\u200bat", "boаt", "ｂｏａｔ", "b0at", "booooat", "bóat", "🅱🅾🅰🆃"):
        assert "boat" in read(text).words, text
