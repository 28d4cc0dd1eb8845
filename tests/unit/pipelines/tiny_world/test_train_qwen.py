"""Training the rewriter at a minuscule size: it learns, resumes, and exports a folder that loads as any Qwen2 does."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, Qwen2ForCausalLM

from pipelines.tiny_world.rewriting import answer
from pipelines.tiny_world.train_qwen import RewriterSettings, answer_loss, batches, learned_tokenizer, train


@pytest.fixture(scope="module")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> RewriterSettings:
    return RewriterSettings(
        state=tmp_path_factory.mktemp("state"),
        width=32,
        layers=2,
        vocabulary=400,
        tokenizer_pairs=150,
        batch=8,
        most_steps=50,
    )


@pytest.fixture(scope="module")
def small_checkpoint(small_run: RewriterSettings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("models") / "qwen"
    train(small_run, out)
    return out


def _events(settings: RewriterSettings, stage: str) -> list[dict[str, object]]:
    lines = (settings.state / "training_log.jsonl").read_text(encoding="utf-8").splitlines()
    return [event for event in map(json.loads, lines) if event["stage"] == stage]


def test_only_answers_are_learned(small_run: RewriterSettings, small_checkpoint: Path) -> None:
    tokenizer = learned_tokenizer(small_run)
    ids, labels, _ = next(batches(tokenizer, 4, seed=1))
    for row, wanted in zip(ids.tolist(), labels.tolist(), strict=True):
        told = [token for token in wanted if token != -100]
        assert told[-1] == tokenizer.eos_token_id
        start = wanted.index(told[0])
        assert row[start : start + len(told)] == told
        assert tokenizer.decode(row[:start]).endswith("assistant\n")
        assert set(row[start + len(told) :]) <= {tokenizer.pad_token_id}


def test_training_lowers_the_loss(small_run: RewriterSettings, small_checkpoint: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(small_checkpoint, dtype=torch.float32)
    torch.manual_seed(0)
    fresh = Qwen2ForCausalLM(model.config)
    batch = next(batches(learned_tokenizer(small_run), 16, seed=2))
    with torch.no_grad():
        assert float(answer_loss(model, *batch)) < float(answer_loss(fresh, *batch)) - 0.3


def test_the_export_is_an_ordinary_folder(small_checkpoint: Path) -> None:
    config = json.loads((small_checkpoint / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == ["Qwen2ForCausalLM"]
    assert None not in {config["bos_token_id"], config["eos_token_id"], config["pad_token_id"]}
    files = {file.name: file.stat() for file in small_checkpoint.iterdir()}
    assert set(files) >= {"model.safetensors", "generation_config.json", "tokenizer.json", "chat_template.jinja"}
    assert all(stat.st_size < 10_000_000 and stat.st_mode & 0o777 == 0o644 for stat in files.values())


def test_it_answers_like_any_chat_model(small_checkpoint: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(small_checkpoint, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(small_checkpoint)
    messages = [{"role": "system", "content": "Write for a film."}, {"role": "user", "content": "boat at night"}]
    inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    torch.manual_seed(1)
    output = model.generate(**inputs, max_new_tokens=5)
    assert output.shape[1] <= inputs["input_ids"].shape[1] + 5
    assert model.generation_config.do_sample


def test_a_batch_answers_as_single_requests_do(small_checkpoint: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(small_checkpoint, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(small_checkpoint)
    requests = [(True, "boat"), (False, "a red balloon over the sea at sunset, highly detailed")]
    greedy = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None, "most_tokens": 12}
    together = answer(model, tokenizer, requests, **greedy)
    assert together == [answer(model, tokenizer, [request], **greedy)[0] for request in requests]


def test_training_resumes_where_it_stopped(small_run: RewriterSettings, small_checkpoint: Path) -> None:
    random.seed(0)
    train(replace(small_run, most_steps=53), small_checkpoint)
    assert [event["step"] for event in _events(small_run, "export")] == [50, 53]
    assert (small_checkpoint / "training_log.jsonl").read_text(encoding="utf-8").count('"export"') == 2
