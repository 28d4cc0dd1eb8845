"""The pairs keep what is told, the held-out part stays apart, and the tokenizer speaks ChatML in any language."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from transformers import AutoTokenizer, CLIPTokenizer, Qwen2Tokenizer

from pipelines.tiny_world.rewriting import END, START, build_tokenizer, corpus, prompt_ids, training_pair
from pipelines.tiny_world.rewriting_copies import copy_pair, held_out_word
from pipelines.tiny_world.rewriting_pairs import complete, pair, rich, typed
from pipelines.tiny_world.rewriting_wishes import Wish, random_wish
from pipelines.tiny_world.rewriting_words import HELD_OUT_LEADS

SDXL_TOKENIZER = Path(__file__).parents[4] / "pipelines" / "tiny_world" / "sdxl" / "tokenizer"


@pytest.fixture(scope="module")
def small_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Qwen2Tokenizer:
    folder = tmp_path_factory.mktemp("tokenizer")
    build_tokenizer(corpus(300, seed=1), 500).save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder)


def test_wishes_fall_into_two_parts() -> None:
    rng = random.Random(3)
    trained = {random_wish(rng).facts for _ in range(2_000)}
    held_out = {random_wish(rng, held_out=True).facts for _ in range(300)}
    assert len(held_out) > 100
    assert not trained & held_out
    assert all(len(facts) >= 3 for facts in held_out)


def test_held_out_openings_and_words_are_never_trained() -> None:
    rng = random.Random(4)
    texts = [training_pair(rng)[1] for _ in range(3_000)]
    assert not [text for text in texts if text.lower().startswith(HELD_OUT_LEADS)]
    assert not held_out_word("cat")
    assert held_out_word("robot") != any("robot" in text.lower().split() for text in texts)


def test_unseen_openings_are_used_when_measuring() -> None:
    rng = random.Random(5)
    texts = [typed(random_wish(rng), rng, unseen=True).lower() for _ in range(50)]
    assert all(text.startswith(HELD_OUT_LEADS) for text in texts)


def test_a_rich_prompt_keeps_the_words_that_were_typed() -> None:
    wish = Wish(
        film=True,
        subject="boat",
        nouns=("sailing ship",),
        colour="red",
        colour_word="crimson",
        time="night",
        time_text="midnight",
        time_words="at midnight",
        motion="left",
        motion_text="left",
        motion_words="sails left",
    )
    for seed in range(40):
        answer = rich(wish, random.Random(seed)).lower()
        assert all(words in answer for words in ("sailing ship", "crimson", "sails left", "at midnight", "camera"))


def test_what_is_left_open_is_chosen() -> None:
    rng = random.Random(6)
    films = [complete(Wish(film=True, subject="boat", nouns=("boat",)), rng) for _ in range(40)]
    assert {wish.motion for wish in films} == {"left", "right"}
    assert {wish.ground for wish in films} == {"sea"}
    assert len({wish.time for wish in films}) > 1
    assert not complete(Wish(film=False, subject="boat", nouns=("boat",)), rng).motion


def test_rich_prompts_fit_the_picture_model() -> None:
    tokenizer = CLIPTokenizer.from_pretrained(SDXL_TOKENIZER)
    rng = random.Random(7)
    lengths = sorted(len(tokenizer(pair(random_wish(rng), rng)[1]).input_ids) - 2 for _ in range(500))
    assert lengths[475] <= 45
    assert lengths[-1] < 60


def test_typed_prompts_vary() -> None:
    rng = random.Random(8)
    wish = random_wish(rng)
    assert len({typed(wish, rng) for _ in range(200)}) > 20
    assert len({typed(random_wish(rng), rng) for _ in range(200)}) > 190


def test_unknown_words_are_copied_word_for_word() -> None:
    rng = random.Random(9)
    for index in range(200):
        text, answer = copy_pair(rng, film=index % 2 == 0, held_out=index % 3 == 0)
        assert answer.startswith(text.rstrip(".!"))
        assert answer.endswith(".")
        assert ("camera" in answer) is (index % 2 == 0) or "camera" in text


@pytest.mark.parametrize("text", ["a red balloon", "Zörble  naïve 42!", "夜晚的船", "лодка ночью", "🎈 <b>\n\tok"])
def test_the_tokenizer_knows_everything(small_tokenizer: Qwen2Tokenizer, text: str) -> None:
    ids = small_tokenizer(text, add_special_tokens=False).input_ids
    assert small_tokenizer.decode(ids) == text
    assert small_tokenizer.unk_token is None


def test_the_template_reduces_the_system_text_to_a_mark(small_tokenizer: Qwen2Tokenizer) -> None:
    def written(system: str) -> str:
        messages = [{"role": "system", "content": system}, {"role": "user", "content": " boat at night "}]
        return small_tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)

    film = written("You write prompts for a Film of five seconds. 影片")
    assert film == f"{START}system\n<|film|>{END}\n{START}user\nboat at night{END}\n{START}assistant\n"
    assert written("You write prompts for pictures.") == film.replace("<|film|>", "<|picture|>")
    assert prompt_ids(small_tokenizer, True, "boat at night") == small_tokenizer(film).input_ids


def test_the_user_cannot_choose_the_mark(small_tokenizer: Qwen2Tokenizer) -> None:
    messages = [{"role": "user", "content": "a film of a boat"}]
    assert "<|picture|>" in small_tokenizer.apply_chat_template(messages, tokenize=False)
