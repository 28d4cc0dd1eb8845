"""The checks pass true answers, fail other prompts' answers, and blame only what is wrong."""

from __future__ import annotations

import pytest

from pipelines.tiny_world.enhancement import (
    ACCEPTED,
    EVERYTHING,
    Trial,
    checker_results,
    held_out_trials,
    report,
    score,
)
from pipelines.tiny_world.enhancement_checks import (
    CLOUDS,
    COLOUR,
    COPY,
    ENDING,
    GROUND,
    MOTION,
    SUBJECT,
    TIME,
    check_copy,
    check_rewriting,
    read_facts,
)
from pipelines.tiny_world.rewriting_wishes import Wish

RED_BALLOON = Wish(
    film=True,
    subject="balloon",
    nouns=("balloon",),
    colour="red",
    ground="sea",
    time="sunset",
    motion="up",
    clouds=True,
)
RIGHT = "A red balloon rises over the sea at sunset, under a cloudy sky. Static camera, cinematic."


def test_true_answers_pass_and_others_fail() -> None:
    results = checker_results(held_out_trials(200, 40))
    true = {name: counts for name, counts in results["true targets"].items() if name != ACCEPTED}
    assert all(right == total for right, total in true.values())
    right, total = results["true targets"][ACCEPTED]
    assert right / total >= 0.85
    right, total = results["targets of other prompts"][EVERYTHING]
    assert right / total <= 0.05
    assert results["targets of other prompts"][COPY] == (0, 40)


@pytest.mark.parametrize(
    ("said", "instead", "blamed"),
    [
        ("balloon", "boat", SUBJECT),
        ("A red balloon", "A red balloon and a house", SUBJECT),
        ("red", "blue", COLOUR),
        ("red", "", COLOUR),
        ("the sea", "the desert", GROUND),
        ("at sunset", "at sunset under a starry sky", TIME),
        ("at sunset", "", TIME),
        ("rises", "sinks", MOTION),
        ("rises", "rises and drifts left", MOTION),
        ("under a cloudy sky", "with a cloudless sky", CLOUDS),
        ("cinematic.", "cinematic", ENDING),
    ],
)
def test_only_the_wrong_fact_is_blamed(said: str, instead: str, blamed: str) -> None:
    assert all(check_rewriting(RED_BALLOON, RIGHT, True).values())
    answers = check_rewriting(RED_BALLOON, RIGHT.replace(said, instead), True)
    assert [name for name, right in answers.items() if not right] == [blamed]


def test_an_answer_that_was_cut_off_fails() -> None:
    assert not check_rewriting(RED_BALLOON, RIGHT, False)[ENDING]


def test_longer_phrases_are_read_first() -> None:
    found = read_facts("A white house under a blue sky in snowy mountains, the sun goes down")
    assert found[COLOUR] == {"white"}
    assert found[GROUND] == {"mountains"}
    assert found[TIME] == {"day"}
    assert found[MOTION] == {"sunset"}


def test_copies_have_to_be_exact_and_longer() -> None:
    text = "a cat riding a bicycle in Paris!"
    assert check_copy(text, "a cat riding a bicycle in Paris, wide shot.", True) == {COPY: True, ENDING: True}
    assert not check_copy(text, "a cat riding a balloon in Paris, wide shot.", True)[COPY]
    assert not check_copy(text, "a cat riding a bicycle in Paris.", True)[COPY]


def test_trials_are_held_out_mixed_and_repeatable() -> None:
    trials = held_out_trials(60, 10)
    assert trials == held_out_trials(60, 10)
    assert sum(trial.film for trial in trials[:60]) == 30
    assert all(trial.wish is None or trial.wish.held_out for trial in trials)
    assert sum(trial.wish is None for trial in trials) == 10


def test_the_report_has_a_row_a_check() -> None:
    trials = [Trial(film=True, text="x", target=RIGHT, wish=RED_BALLOON)]
    table = report({"greedy": score(trials, [(RIGHT, True)])}).splitlines()
    assert table[0] == "| check | greedy |"
    assert f"| {EVERYTHING} | 100.0 % (1 of 1) |" in table
