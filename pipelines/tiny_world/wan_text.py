"""Tokenizer and text encoder of the tiny Wan: architecture and pretraining on naming a film's attributes."""

from __future__ import annotations

import random
import re
import string
import time
from collections.abc import Iterable
from typing import Final

import torch
from torch import Tensor, nn
from transformers import T5Tokenizer, UMT5Config, UMT5EncoderModel

from pipelines.tiny_world.film_captions import FILM_ATTRIBUTES, film_caption, told_by
from pipelines.tiny_world.motions import Film, random_film
from pipelines.tiny_world.scenes import random_scene
from pipelines.tiny_world.text import attribute_loss
from pipelines.tiny_world.training import (
    SAVE_EVERY_S,
    Log,
    Progress,
    load_stage,
    rate_factor,
    save_stage,
    set_rates,
)
from pipelines.tiny_world.wan_settings import TOKENS, WanSettings

LEARNING_RATE: Final = 1.5e-3
BATCH: Final = 64
PAD, END, UNKNOWN = "<pad>", "</s>", "<unk>"
_SPACE: Final = "\u2581"
_WORD: Final = re.compile(r"[a-z0-9][a-z0-9'-]*")
_WORD_SCORE, _CHARACTER_SCORE = -5.0, -14.0


def build_tokenizer(lines: Iterable[str]) -> T5Tokenizer:
    """A unigram tokenizer whose pieces are the lines' words, plain and capitalised, and single characters.

    A word that the lines do not hold falls into characters. The scores make whole words win over anything shorter.
    """
    words = sorted({word for line in lines for word in _WORD.findall(line.lower())})
    pieces = [*(f"{_SPACE}{word}" for word in words), *(f"{_SPACE}{word.capitalize()}" for word in words)]
    characters = [_SPACE, *string.ascii_letters, *string.digits, *",.-'"]
    vocabulary = [(piece, 0.0) for piece in (PAD, END, UNKNOWN)]
    vocabulary += [(piece, _WORD_SCORE) for piece in dict.fromkeys(pieces)]
    vocabulary += [(piece, _CHARACTER_SCORE) for piece in characters]
    return T5Tokenizer(
        vocab=vocabulary, eos_token=END, unk_token=UNKNOWN, pad_token=PAD, extra_ids=0, model_max_length=TOKENS
    )


def build_encoder(vocabulary: int, settings: WanSettings) -> UMT5EncoderModel:
    """A small UMT5 encoder with untrained weights."""
    return UMT5EncoderModel(
        UMT5Config(
            vocab_size=vocabulary,
            d_model=settings.text_width,
            d_kv=settings.text_width // 4,
            d_ff=2 * settings.text_width,
            num_layers=settings.text_layers,
            num_heads=4,
            dropout_rate=0.0,
            feed_forward_proj="gated-gelu",
            relative_attention_num_buckets=16,
            relative_attention_max_distance=32,
            pad_token_id=0,
            eos_token_id=1,
        )
    )


class FilmText(nn.Module):
    """The tokenizer and the encoder together, giving embeddings as ``WanPipeline`` makes them."""

    def __init__(self, tokenizer: T5Tokenizer, settings: WanSettings) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        self.encoder = build_encoder(len(tokenizer), settings)

    def tokens(self, captions: list[str]) -> tuple[Tensor, Tensor]:
        """Token ids and attention mask ``(n, TOKENS)``."""
        batch = self.tokenizer(captions, padding="max_length", max_length=TOKENS, truncation=True, return_tensors="pt")
        return batch.input_ids, batch.attention_mask

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Embeddings ``(n, length, width)``, zero past the prompt's end."""
        states: Tensor = self.encoder(ids, mask).last_hidden_state
        return states * mask[..., None]


class FilmHeads(nn.Module):
    """Linear readers of every attribute, from the mean embedding and from the end token's."""

    def __init__(self, width: int) -> None:
        super().__init__()
        total = sum(len(values) for values in FILM_ATTRIBUTES.values())
        self.mean = nn.Linear(width, total)
        self.end = nn.Linear(width, total)

    def forward(self, states: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Logits ``(n, all values)`` of both readers."""
        lengths = mask.sum(dim=1)
        mean = states.sum(dim=1) / lengths[:, None]
        return self.mean(mean), self.end(states[torch.arange(len(states)), lengths - 1])


_TITLE_SHARE: Final = 0.04


def random_caption(rng: random.Random) -> tuple[str, dict[str, str]]:
    """A caption of a random film, or (one in three) of a picture, and what it tells."""
    film = Film(scene=random_scene(rng)) if rng.random() < 0.33 else random_film(rng)
    text, motion = film_caption(film, rng)
    if rng.random() < _TITLE_SHARE:
        text = text.title()
    return text, told_by(film, motion)


def _targets(told: list[dict[str, str]]) -> Tensor:
    return torch.tensor([[FILM_ATTRIBUTES[name].index(value) for name, value in one.items()] for one in told])


def new_film_text(settings: WanSettings, seed: int = 5) -> FilmText:
    """An untrained encoder. The tokenizer is learned once and kept, so that changed captions cannot renumber it."""
    folder = settings.state / "tokenizer"
    if not folder.exists():
        rng = random.Random(seed)
        build_tokenizer(random_caption(rng)[0] for _ in range(settings.tokenizer_captions)).save_pretrained(folder)
    return FilmText(T5Tokenizer.from_pretrained(folder), settings)


def train_film_text(settings: WanSettings, log: Log) -> FilmText:
    """Trains, or continues to train, the encoder to carry the attributes that a caption names."""
    torch.manual_seed(2)
    text = new_film_text(settings)
    heads = FilmHeads(settings.text_width)
    optimizer = torch.optim.AdamW([*text.parameters(), *heads.parameters()], lr=LEARNING_RATE, weight_decay=0.01)
    progress = Progress(settings.text_minutes, settings.most_steps)
    file = settings.state / "text.pt"
    if parts := load_stage(file, progress, optimizer):
        text.load_state_dict(parts["text"])
        heads.load_state_dict(parts["heads"])
    saved = time.monotonic()
    rng = random.Random(progress.step)
    while progress.share < 1.0:
        set_rates(optimizer, [LEARNING_RATE], min(1.0, (progress.step + 1) / 100) * rate_factor(progress.share))
        values = _step(text, heads, optimizer, rng)
        progress.step += 1
        if progress.step % 50 == 0:
            log.write("text", step=progress.step, seconds=round(progress.seconds, 1), **values)
        if time.monotonic() - saved > SAVE_EVERY_S or progress.share >= 1.0:
            save_stage(file, progress, optimizer, text=text.state_dict(), heads=heads.state_dict())
            saved = time.monotonic()
    return text.eval()


def _step(text: FilmText, heads: FilmHeads, optimizer: torch.optim.Optimizer, rng: random.Random) -> dict[str, float]:
    captions, told = zip(*(random_caption(rng) for _ in range(BATCH)), strict=True)
    ids, mask = text.tokens(list(captions))
    longest = int(mask.sum(dim=1).max())
    ids, mask = ids[:, :longest], mask[:, :longest]
    targets = _targets(list(told))
    from_mean, from_end = heads(text(ids, mask), mask)
    loss, right = attribute_loss(from_mean, targets, FILM_ATTRIBUTES)
    loss_end, right_end = attribute_loss(from_end, targets, FILM_ATTRIBUTES)
    optimizer.zero_grad()
    (loss + loss_end).backward()
    nn.utils.clip_grad_norm_(text.parameters(), 1.0)
    optimizer.step()
    return {
        "loss": round(float(loss.detach()), 4),
        "understood": round(float(right.float().mean()), 3),
        "understood_end": round(float(right_end.float().mean()), 3),
    }
