"""WAN's prompts: the tensors WanPipeline makes, how often the encoder is called, and when it returns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pipelines.contract import GenerationRequest
from pipelines.wan import create
from pipelines.wan_prompts import WanPromptEncoder
from tests.unit.pipelines.tiny_wan import TEXT_TOKENS, build_vace
from tests.unit.pipelines.wan_runs import difference, loaded_pipe, pixels, run

MakeRequest = Callable[..., GenerationRequest]


def nothing() -> None:
    """The encoders of these tests never give way."""


@pytest.fixture
def encoder(wan: Any) -> WanPromptEncoder:
    return WanPromptEncoder(loaded_pipe(wan), "abc", torch.device("cpu"), nothing)


@pytest.mark.parametrize("negative", ["blurry", "", "  "])
def test_the_tensors_are_the_pipelines_own(negative: str, encoder: WanPromptEncoder, wan: Any) -> None:
    with torch.inference_mode():
        expected = loaded_pipe(wan).encode_prompt("a red boat", negative.strip(), max_sequence_length=TEXT_TOKENS)
    arguments = encoder.encode("a red boat", negative, guided=True).as_arguments(1)
    for name, tensor in zip(("prompt_embeds", "negative_prompt_embeds"), expected, strict=True):
        assert torch.equal(arguments[name], tensor), name


def test_embeddings_are_as_long_as_the_tokenizer_says_and_zero_past_the_text(encoder: WanPromptEncoder) -> None:
    short = encoder.encode("ab", "", guided=False).positive
    long = encoder.encode("ab" * 200, "", guided=False).positive
    assert short.shape == long.shape == (1, TEXT_TOKENS, 32)
    assert short[0, 0].any()
    assert not short[0, 4:].any()
    assert long[0, -1].any()


def test_a_batch_reads_one_embedding(encoder: WanPromptEncoder) -> None:
    arguments = encoder.encode("boat", "", guided=True).as_arguments(3)
    assert {tensor.shape[0] for tensor in arguments.values() if tensor is not None} == {3}
    assert encoder.encode("boat", "", guided=False).as_arguments(1)["negative_prompt_embeds"] is None


def test_layouts_that_clean_prompts_with_an_absent_library_are_read_too() -> None:
    encoder = WanPromptEncoder(build_vace(), "abc", torch.device("cpu"), nothing)
    assert encoder.encode("boat &amp; sea", "", guided=False).positive.any()


def test_a_repeated_prompt_costs_no_call_of_the_encoder(wan_folder: Path, make_request: MakeRequest) -> None:
    pipeline = create(checkpoint=str(wan_folder), device="cpu")
    calls = 0

    def count(*_: Any) -> None:
        nonlocal calls
        calls += 1

    loaded_pipe(pipeline).text_encoder.register_forward_pre_hook(count)
    receipts = [run(pipeline, make_request(prompt=prompt)).receipt for prompt in ("one", "one", "two")]
    assert calls == 3
    assert [receipt["encoder_calls"] for receipt in receipts] == [2, 0, 1]
    assert [receipt["prompt_cache_hits"] for receipt in receipts] == [0, 2, 1]
    assert (receipts[-1]["encoder_calls_total"], receipts[-1]["prompt_cache_hits_total"]) == (3, 3)


def test_the_encoder_gives_way_and_returns_for_a_new_prompt_only(
    wan_folder: Path, make_request: MakeRequest, wan: Any
) -> None:
    pipeline = create(checkpoint=str(wan_folder), device="cpu", dtype="float32")
    first = run(pipeline, make_request())
    pipeline.give_way(["text_encoder"])
    again = run(pipeline, make_request())
    assert "text_encoder" not in pipeline.occupied().parts
    assert difference(pixels(first)[0], pixels(again)[0]) == 0
    other = run(pipeline, make_request(prompt="a sea"))
    assert "text_encoder" in pipeline.occupied().parts
    assert difference(pixels(other)[0], pixels(run(wan, make_request(prompt="a sea")))[0]) == 0
