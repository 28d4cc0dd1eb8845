"""The demo rewriter's tokenizer, chat template and model, and the folder they are shipped in."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from torch import Tensor
from transformers import GenerationConfig, Qwen2Config, Qwen2ForCausalLM, Qwen2Tokenizer

from pipelines.tiny_world.export import LARGEST_SHARD
from pipelines.tiny_world.rewriting_copies import copy_pair
from pipelines.tiny_world.rewriting_pairs import pair
from pipelines.tiny_world.rewriting_wishes import random_wish

PAD, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
PICTURE, FILM = "<|picture|>", "<|film|>"
VOCABULARY: Final = 1280
MAX_POSITIONS: Final = 512
COPY_SHARE: Final = 0.27
"""Share of the training pairs whose unknown words must be copied."""

CHAT_TEMPLATE: Final = """\
{#- ChatML as Qwen2 has it, but any system message becomes one of two marks: whether it speaks of a film or not. -#}
{%- set kind = namespace(mark='<|picture|>') -%}
{%- for message in messages if message.role == 'system' and 'film' in message.content | lower -%}
{%- set kind.mark = '<|film|>' -%}
{%- endfor -%}
{{- '<|im_start|>system\\n' + kind.mark + '<|im_end|>\\n' -}}
{%- for message in messages if message.role != 'system' -%}
{{- '<|im_start|>' + message.role + '\\n' + message.content | trim + '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}
"""
_READABLE: Final = 0o644


def training_pair(rng: random.Random) -> tuple[bool, str, str]:
    """Whether a film is asked for, what is typed, and the answer to learn."""
    if rng.random() < COPY_SHARE:
        film = rng.random() < 0.5
        return film, *copy_pair(rng, film=film)
    wish = random_wish(rng)
    return wish.film, *pair(wish, rng)


def build_tokenizer(lines: Iterable[str], size: int = VOCABULARY) -> Qwen2Tokenizer:
    """A byte-level Qwen2 tokenizer with merges learned from ``lines``: nothing is unknown to it."""
    learner = Tokenizer(BPE())
    no_unknown: Any = None
    learner.pre_tokenizer = Qwen2Tokenizer(unk_token=no_unknown).backend_tokenizer.pre_tokenizer
    learner.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    learner.train_from_iterator(lines, BpeTrainer(vocab_size=size - 5, initial_alphabet=alphabet, show_progress=False))
    model: dict[str, Any] = json.loads(learner.to_str())["model"]
    merges: Any = [tuple(merge) for merge in model["merges"]]
    tokenizer = Qwen2Tokenizer(
        vocab=model["vocab"],
        merges=merges,
        unk_token=no_unknown,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=[START, END, PICTURE, FILM],
        model_max_length=MAX_POSITIONS,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def corpus(count: int, seed: int) -> list[str]:
    """Text to learn merges from: typed prompts, answers and the words of the chat template."""
    rng = random.Random(seed)
    lines = []
    for _ in range(count):
        _, text, answer = training_pair(rng)
        lines += [text, answer, "system\n", "user\n", "assistant\n"]
    return lines


def build_model(tokenizer: Qwen2Tokenizer, width: int, layers: int) -> Qwen2ForCausalLM:
    """A small Qwen2 with heads of 32, a third as many key-value heads as heads, and tied embeddings."""
    pad: Any = tokenizer.convert_tokens_to_ids(PAD)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=width * 8 // 3,
        num_hidden_layers=layers,
        num_attention_heads=width // 32,
        num_key_value_heads=max(1, width // 96),
        max_position_embeddings=MAX_POSITIONS,
        tie_word_embeddings=True,
        use_sliding_window=False,
        bos_token_id=pad,
        eos_token_id=tokenizer.convert_tokens_to_ids(END),
        pad_token_id=pad,
    )
    model = Qwen2ForCausalLM(config)
    # On a CPU the backward of the fused attention is the slower one.
    model.set_attn_implementation("eager")
    for layer in model.model.layers:
        # Residual branches start small, as in the other demo models: it saves steps.
        layer.self_attn.o_proj.weight.data.mul_(0.3)
        layer.mlp.down_proj.weight.data.mul_(0.3)
    return model


def conversation(film: bool, text: str) -> list[dict[str, str]]:
    """The messages of one request, with the shortest system text that tells the kind."""
    return [{"role": "system", "content": "film" if film else "picture"}, {"role": "user", "content": text}]


def prompt_ids(tokenizer: Qwen2Tokenizer, film: bool, text: str) -> list[int]:
    """The tokens before the answer."""
    written = tokenizer.apply_chat_template(conversation(film, text), add_generation_prompt=True, tokenize=False)
    ids: list[int] = tokenizer(written, add_special_tokens=False).input_ids
    return ids


@torch.no_grad()
def answer(
    model: Any,
    tokenizer: Any,
    requests: Sequence[tuple[bool, str]],
    *,
    most_tokens: int = 120,
    **sampling: Any,
) -> list[tuple[str, bool]]:
    """The model's answers to ``(film, text)`` requests, in one batch, and whether each came to its end."""
    rows = [prompt_ids(tokenizer, film, text) for film, text in requests]
    longest = max(map(len, rows))
    pad = model.config.pad_token_id
    ids = torch.tensor([[pad] * (longest - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
    output: Tensor = model.generate(ids, attention_mask=mask, max_new_tokens=most_tokens, **sampling)
    written = output[:, longest:]
    ended = (written == model.config.eos_token_id).any(dim=1).tolist()
    texts = tokenizer.batch_decode(written, skip_special_tokens=True)
    return list(zip(texts, ended, strict=True))


def export(model: Qwen2ForCausalLM, weights: dict[str, Tensor], tokenizer: Qwen2Tokenizer, folder: Path) -> None:
    """Writes an ordinary transformers folder in bf16, readable by everyone; other files in it are kept."""
    scratch = folder.with_name(folder.name + ".part")
    shutil.rmtree(scratch, ignore_errors=True)
    copy: Any = Qwen2ForCausalLM(model.config)
    copy.load_state_dict(weights)
    copy.generation_config = GenerationConfig(
        do_sample=True,
        temperature=0.7,
        top_p=0.8,
        top_k=20,
        max_new_tokens=120,
        bos_token_id=model.config.bos_token_id,
        eos_token_id=[model.config.eos_token_id, model.config.pad_token_id],
        pad_token_id=model.config.pad_token_id,
    )
    copy.to(torch.bfloat16).save_pretrained(scratch, max_shard_size=LARGEST_SHARD)
    tokenizer.save_pretrained(scratch)
    folder.mkdir(parents=True, exist_ok=True)
    for part in scratch.iterdir():
        part.replace(folder / part.name)
    scratch.rmdir()
    for file in folder.iterdir():
        file.chmod(_READABLE)
