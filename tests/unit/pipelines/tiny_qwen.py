"""Qwen2 instruct checkpoints at a tiny size, in the layout that Qwen2.5 is published in.

They have learned nothing: their weights are written so that they say what a test wants to hear. Attention and
feed-forward layers add zero, so the next token follows from the last one alone, by the output layer's matrix.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer
from transformers import GenerationConfig, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

END_OF_TEXT, TURN_BEGINS, TURN_ENDS = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
CHATML = (
    # Of the instructions the beginning alone: these models do not read them, and bytes are many tokens.
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'][:60] }}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
ENDLESS = "…"
"""As the last piece of an answer: the piece before it is said again and again."""


def tokenizer(pieces: Sequence[str] = ()) -> PreTrainedTokenizerFast:
    """Return a byte-level BPE tokenizer with the ChatML template; each of `pieces` is one token, nothing is unknown."""
    core = Tokenizer(BPE())
    core.pre_tokenizer = ByteLevel(add_prefix_space=False)
    core.decoder = ByteLevelDecoder()
    specials = [END_OF_TEXT, TURN_BEGINS, TURN_ENDS]
    trainer = BpeTrainer(
        vocab_size=300,
        initial_alphabet=sorted(ByteLevel.alphabet()),
        special_tokens=specials,
        show_progress=False,
    )
    core.train_from_iterator(["a boat at night and a balloon at dawn"], trainer)
    core.add_tokens(list(pieces))
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token=TURN_ENDS,
        pad_token=END_OF_TEXT,
        unk_token=None,
        additional_special_tokens=[TURN_BEGINS],
        chat_template=CHATML,
        model_max_length=8192,
    )


def save(folder: Path, *answers: Sequence[str], positions: int = 8192, do_sample: bool = True) -> Path:
    """Write a checkpoint that gives one of `answers`, by chance, to every prompt, and return its folder.

    An answer is a sequence of pieces, each of which may occur in one answer and once only.
    """
    words = tokenizer([piece for answer in answers for piece in answer if piece != ENDLESS])
    width = -(-len(words) // 64) * 64
    model = Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=len(words),
            hidden_size=width,
            intermediate_size=64,
            num_hidden_layers=1,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=positions,
            tie_word_embeddings=False,
            bos_token_id=words.pad_token_id,
            eos_token_id=words.eos_token_id,
            pad_token_id=words.pad_token_id,
        )
    )
    with torch.no_grad():
        layer = model.model.layers[0]
        layer.self_attn.o_proj.weight.zero_()
        layer.mlp.down_proj.weight.zero_()
        model.model.embed_tokens.weight.copy_(torch.eye(len(words), width))
        model.lm_head.weight.copy_(_next_tokens(words, answers, width))
    model.generation_config = GenerationConfig(
        **({"do_sample": True, "temperature": 0.7, "top_p": 0.8, "top_k": 20} if do_sample else {"do_sample": False}),
        repetition_penalty=1.05,
        bos_token_id=words.pad_token_id,
        eos_token_id=[words.eos_token_id, words.pad_token_id],
        pad_token_id=words.pad_token_id,
    )
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def _next_tokens(words: PreTrainedTokenizerFast, answers: Sequence[Sequence[str]], width: int) -> torch.Tensor:
    """Return [vocabulary, width]: column i holds 1 for what may follow token i."""
    matrix = torch.zeros(len(words), width)
    # What ends the prompt: the line break after "assistant".
    start = words("\n").input_ids[-1]
    for answer in answers:
        pieces = [piece for piece in answer if piece != ENDLESS]
        ids = [start, *words.convert_tokens_to_ids(pieces)]
        for last, following in itertools.pairwise(ids):
            matrix[following, last] = 1.0
        matrix[ids[-1] if ENDLESS in answer else words.eos_token_id, ids[-1]] = 1.0
    return matrix
