"""Prompt encoding against the pipeline's own, and past 77 tokens."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from pipelines.prompts import PromptEncoder, token_chunks

# The tiny tokenizers spend a token a letter; spaces cost nothing.
LONG = (
    "a small house on a green hill under a wide blue sky with three white clouds and a big old tree beside a quiet lake"
)


def nothing() -> None:
    """The encoders of these tests never give way."""


@pytest.fixture
def encoder(tiny_pipe: Any) -> PromptEncoder:
    return PromptEncoder(tiny_pipe, "abc", nothing)


@pytest.mark.parametrize("prompt", ["a red circle", "", "C++ (very) odd, [text] ++", "x" * 75])
@pytest.mark.parametrize("negative", ["blurry", ""])
def test_a_short_prompt_gives_the_pipelines_own_tensors(
    prompt: str, negative: str, encoder: PromptEncoder, tiny_pipe: Any
) -> None:
    with torch.inference_mode():
        expected = tiny_pipe.encode_prompt(prompt, negative_prompt=negative or None)
    arguments = encoder.encode(prompt, negative, guided=True).as_arguments()
    names = ("prompt_embeds", "negative_prompt_embeds", "pooled_prompt_embeds", "negative_pooled_prompt_embeds")
    for name, tensor in zip(names, expected, strict=True):
        assert torch.equal(arguments[name], tensor), name


def test_a_word_past_the_77th_token_counts(encoder: PromptEncoder) -> None:
    assert len(LONG.replace(" ", "")) > 80
    lake = encoder.encode(LONG, "", guided=False).positive
    road = encoder.encode(LONG.replace("lake", "road"), "", guided=False).positive
    assert lake.chunks == 2
    assert lake.hidden.shape == (1, 154, 80)
    assert torch.equal(lake.hidden[:, :77], road.hidden[:, :77])
    assert not torch.allclose(lake.hidden[:, 77:], road.hidden[:, 77:])
    assert torch.equal(lake.pooled, road.pooled)


def test_no_token_is_lost_and_no_word_is_cut(tiny_pipe: Any) -> None:
    tokenizer = tiny_pipe.tokenizer
    rows = token_chunks(tokenizer, LONG)
    ends = [row.index(tokenizer.eos_token_id) for row in rows]
    joined = [token for row, end in zip(rows, ends, strict=True) for token in row[1:end]]
    assert joined == tokenizer(LONG, add_special_tokens=False).input_ids
    assert all(len(row) == 77 and row[0] == tokenizer.bos_token_id for row in rows)
    assert tokenizer.convert_ids_to_tokens(rows[0][ends[0] - 1]).endswith("</w>")


def test_a_word_longer_than_a_chunk_is_cut(tiny_pipe: Any) -> None:
    assert [row.count(tiny_pipe.tokenizer.bos_token_id) for row in token_chunks(tiny_pipe.tokenizer, "y" * 200)] == [
        1
    ] * 3


@pytest.mark.parametrize(("prompt", "negative"), [(LONG, "blurry"), ("short", LONG), (LONG, "")])
def test_both_prompts_have_one_length(prompt: str, negative: str, encoder: PromptEncoder) -> None:
    embeddings = encoder.encode(prompt, negative, guided=True)
    assert embeddings.negative is not None
    assert embeddings.positive.hidden.shape == embeddings.negative.hidden.shape == (1, 154, 80)


def test_a_blank_negative_is_zeros_only_where_the_checkpoint_says_so(tiny_pipe: Any) -> None:
    zeros = PromptEncoder(tiny_pipe, "abc", nothing).encode("dog", " ", guided=True).negative
    assert zeros is not None
    assert not zeros.hidden.any()
    assert not zeros.pooled.any()
    other = copy.copy(tiny_pipe)
    other.register_to_config(force_zeros_for_empty_prompt=False)
    encoded = PromptEncoder(other, "abc", nothing).encode("dog", " ", guided=True).negative
    assert encoded is not None
    assert encoded.hidden.any()


def test_without_guidance_the_negative_is_not_encoded(encoder: PromptEncoder) -> None:
    embeddings = encoder.encode("dog", "blurry", guided=False)
    assert embeddings.negative is None
    assert "negative_prompt_embeds" not in embeddings.as_arguments()
    assert encoder.misses == 1


def test_a_repeated_prompt_is_found_and_the_oldest_is_forgotten(tiny_pipe: Any) -> None:
    encoder = PromptEncoder(tiny_pipe, "abc", nothing, capacity=2)
    first = encoder.encode("one", "", guided=False).positive
    encoder.encode("two", "", guided=False)
    assert encoder.encode("one", "", guided=False).positive is first
    encoder.encode("three", "", guided=False)
    encoder.encode("two", "", guided=False)
    assert (encoder.hits, encoder.misses) == (1, 4)


def test_the_text_encoders_are_brought_for_a_new_text_only(tiny_pipe: Any) -> None:
    brought: list[int] = []
    encoder = PromptEncoder(tiny_pipe, "abc", lambda: brought.append(1))
    encoder.encode("cat", "blurry", guided=True)
    assert len(brought) == 2
    encoder.encode("cat", "blurry", guided=True)
    assert len(brought) == 2
