"""What becomes of a model's answer: realistic ones, good and bad, as Qwen2.5 and smaller models write them."""

from __future__ import annotations

import pytest

from pipelines.prompt_cleaning import LONGEST_CHARACTERS, LONGEST_WORDS, judge, tidy
from tests.unit.pipelines.more_rewriting_cases import MORE_CASES
from tests.unit.pipelines.rewriting_cases import CHINESE_CASES, ENGLISH_CASES, LIGHTHOUSE


@pytest.mark.parametrize(("prompt", "answer", "usable"), [*ENGLISH_CASES, *MORE_CASES])
def test_an_english_answer_is_used_or_not(prompt: str, answer: str, usable: bool) -> None:
    verdict = judge(prompt, answer, "en", finished=True)
    assert (verdict.prompt is not None) is usable, verdict
    assert (verdict.note is None) is usable
    if usable:
        assert verdict.prompt == answer


@pytest.mark.parametrize(("prompt", "answer", "usable"), CHINESE_CASES)
def test_a_chinese_answer_is_used_or_not(prompt: str, answer: str, usable: bool) -> None:
    verdict = judge(prompt, answer, "zh", finished=True)
    assert (verdict.prompt is not None) is usable, verdict


CLEAN = "A sailboat glides over dark water under a full moon. Soft light, wide shot."


@pytest.mark.parametrize(
    "answer",
    [
        CLEAN,
        f'"{CLEAN}"',
        f"“{CLEAN}”",
        f"Sure, here is the rewritten prompt:\n\n{CLEAN}",
        f"Sure! Here's a richer version of your prompt:\n\n**Prompt:** {CLEAN}",
        f"Certainly! Below is the enhanced prompt for your text-to-image model:\n\n> {CLEAN}\n",
        f"**Rewritten Prompt:**\n\n{CLEAN}",
        f"### Enhanced Prompt\n\n{CLEAN}",
        f"Prompt: {CLEAN}",
        f"```\n{CLEAN}\n```",
        f"```text\n{CLEAN}\n```",
        f"{CLEAN}\n\nNote: I kept the night setting and added light.",
        f"{CLEAN}\n\n---\n\nThis prompt keeps the boat and the night.",
        f"{CLEAN}\n\nLet me know if you would like changes!",
        f"{CLEAN} (14 words)",
        f"<think>\nThe user wants a boat. I should add light.\n</think>\n\n{CLEAN}",
        f"I should add light.\n</think>\n\n{CLEAN}",
        f"{CLEAN}<|im_end|>\n<|im_start|>user\nanother",
        f"<|im_start|>assistant\n{CLEAN}<|im_end|>",
        f"assistant\n{CLEAN}",
        "A sailboat glides over dark water under a full moon.\n\nSoft light, wide shot.",
        "- **Subject:** A sailboat glides over dark water under a full moon.\n- **Light:** Soft light, wide shot.",
        "1. A sailboat glides over dark water under a full moon.\n2. Soft light, wide shot.",
        "Subject: A sailboat glides over dark water under a full moon.\nStyle: Soft light, wide shot.",
        f"Option 1: {CLEAN}\n\nOption 2: A ship at anchor in a harbour at night.",
        "A **sailboat** glides over *dark water* under a full moon. Soft light, wide shot.",
        f"  {CLEAN}  \n",
    ],
)
def test_only_the_prompt_is_left_of_an_answer(answer: str) -> None:
    assert tidy(answer) == CLEAN
    assert judge("boat at night", answer, "en", finished=True).prompt == CLEAN


@pytest.mark.parametrize(
    "answer",
    [
        'A poster that reads "LOVE" beside one that reads "HATE"',
        "The word 'home' is painted on a door; behind it lies a 'garden'",
        "A boy's kite at f/2.8, 35 mm, snake_case and 2 * 3 * 4 on a blackboard.",
        "Here is where the river ends: a delta of silver channels.",
        "Sure-footed goats climb a cliff. Great herons watch.",
        "A note: the pianist's hands strike it.",
    ],
)
def test_a_prompt_that_looks_like_chatter_is_left_alone(answer: str) -> None:
    assert tidy(answer) == answer


@pytest.mark.parametrize(
    ("answer", "clean"),
    [
        ("好的，以下是改写后的提示词：\n\n“夜色中的小船漂在湖面上。月光如水。”", "夜色中的小船漂在湖面上。月光如水。"),
        ("提示词：夜色中的小船漂在湖面上。\n\n注：保留了原意。", "夜色中的小船漂在湖面上。"),
        ("主体：夜色中的小船\n光线：月光如水。", "夜色中的小船，月光如水。"),
    ],
)
def test_chinese_chatter_goes_too(answer: str, clean: str) -> None:
    assert tidy(answer) == clean


def test_an_answer_cut_in_the_middle_ends_with_its_last_whole_sentence() -> None:
    verdict = judge("boat at night", f"{CLEAN} A lantern at f/2.8 swings from the", "en", finished=False)
    assert verdict.prompt == CLEAN


def test_an_answer_without_one_whole_sentence_is_not_used() -> None:
    verdict = judge("boat at night", "A sailboat at night that drifts across the", "en", finished=False)
    assert (verdict.prompt, verdict.note) == (None, "The prompt was used as written: the rewriting broke off.")


def test_an_answer_that_never_stops_thinking_is_not_used() -> None:
    verdict = judge("boat at night", "<think>The user wants a boat at night. I should", "en", finished=False)
    assert verdict.prompt is None


def test_a_very_long_answer_is_cut_at_the_end_of_a_sentence() -> None:
    sentences = " ".join(f"Lantern number {i + 20} glows above the {'quiet ' * (i % 3)}harbour." for i in range(80))
    verdict = judge("boat at night", f"{CLEAN} {sentences}", "en", finished=True)
    assert verdict.prompt is not None
    assert verdict.prompt.endswith("harbour.")
    assert LONGEST_WORDS - 10 <= len(verdict.prompt.split()) <= LONGEST_WORDS


def test_no_prompt_is_longer_than_the_studio_takes() -> None:
    original = " ".join(f"lantern{i}" for i in range(440))
    answer = f"{CLEAN} {original}. {original}."
    verdict = judge(f"boat at night {original}", answer, "en", finished=True)
    assert verdict.prompt is None or len(verdict.prompt) <= LONGEST_CHARACTERS


def test_a_long_prompt_may_be_tightened_but_not_stripped() -> None:
    original = " ".join([LIGHTHOUSE, LIGHTHOUSE.replace("white", "tall"), "A keeper waves from the gallery."])
    assert judge(original, f"{LIGHTHOUSE} A keeper waves. {LIGHTHOUSE}", "en", finished=True).prompt
    verdict = judge(
        original, "A white lighthouse on a cliff in a storm at sea, with waves and clouds.", "en", finished=True
    )
    assert verdict.note == "The prompt was used as written: the rewriting was shorter than the prompt."


@pytest.mark.parametrize(
    ("prompt", "answer", "language", "note"),
    [
        ("boat at night", "", "en", "the model answered nothing"),
        ("boat at night", "I cannot help with that.", "en", "the model answered it instead of rewriting it"),
        ("boat at night", CLEAN, "zh", "the rewriting was not in Chinese"),
        ("boat at night", "夜色中的小船漂在湖面上。", "en", "the rewriting was not in English"),
        ("boat at night", "A red balloon at night over the sea.", "en", "the rewriting had lost its subject"),
        ("boat at night", "A boat at noon over the bright sea.", "en", "the rewriting had lost the time of day"),
        ("red boat", "A blue boat on the sea.", "en", "the rewriting had lost the colour red"),
        ("three boats", "A lone boat on the sea.", "en", "the rewriting had lost the number 3"),
        ('sign "BAR" on a house', "A sign on a house by the sea.", "en", "the rewriting had lost the text “BAR”"),
        ("a boat in Venice", "A boat in a canal in Amsterdam.", "en", "the rewriting had lost “Venice”"),
        ("boat sails left", "A boat sails right on the sea.", "en", "the rewriting had lost the direction"),
    ],
)
def test_the_note_tells_a_person_why(prompt: str, answer: str, language: str, note: str) -> None:
    assert judge(prompt, answer, language, finished=True).note == f"The prompt was used as written: {note}."


def test_a_growing_answer_can_be_shown_at_any_length() -> None:
    answer = f"Sure, here is the prompt:\n\n**{CLEAN}**"
    for length in range(len(answer)):
        assert "\n" not in tidy(answer[:length])
