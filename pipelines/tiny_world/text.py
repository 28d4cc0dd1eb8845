"""Tokenizer and the two text encoders: architecture and pretraining on naming a scene's attributes."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

import torch
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from pipelines.tiny_world.captions import caption
from pipelines.tiny_world.palette import COLOURS, GROUNDS, SHAPES, TIMES
from pipelines.tiny_world.scenes import SUBJECTS, Scene, random_scene
from pipelines.tiny_world.training import (
    SAVE_EVERY_S,
    Log,
    Progress,
    Settings,
    load_stage,
    rate_factor,
    save_stage,
    set_rates,
)

MAX_TOKENS: Final = 77
VOCABULARY: Final = 1100
PROJECTION: Final = 128
LEARNING_RATE: Final = 1e-3
START, END = "<|startoftext|>", "<|endoftext|>"

_OPEN: Final = "open"
ATTRIBUTES: Final[dict[str, tuple[str, ...]]] = {
    "subject": SUBJECTS,
    "time": ("", *TIMES),
    "ground": ("", _OPEN, *GROUNDS),
    "colour": ("", _OPEN, *COLOURS),
    "shape": ("", *SHAPES),
    "backdrop": ("", *COLOURS),
    "clouds": (_OPEN, "yes", "no"),
    "birds": ("no", "yes"),
}


def attributes_of(scene: Scene) -> dict[str, str]:
    """What the scene's caption tells, as values of ``ATTRIBUTES``."""
    view = scene.subject != "shape"
    named = scene.named
    colour = scene.colour if "colour" in named or not scene.colour else _OPEN
    return {
        "subject": scene.subject,
        "time": scene.time if view else "",
        "ground": (scene.ground if "ground" in named else _OPEN) if view else "",
        "colour": colour,
        "shape": scene.shape,
        "backdrop": scene.backdrop,
        "clouds": ("yes" if scene.clouds else "no") if "clouds" in named else _OPEN,
        "birds": "yes" if scene.birds else "no",
    }


def build_tokenizer(lines: Iterable[str], size: int = VOCABULARY) -> CLIPTokenizer:
    """A CLIP tokenizer with byte-pair merges learned from ``lines`` and every single byte as a fallback."""
    learner = Tokenizer(BPE(end_of_word_suffix="</w>"))
    learner.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = BpeTrainer(
        vocab_size=size - 258, initial_alphabet=alphabet, end_of_word_suffix="</w>", show_progress=False
    )
    learner.train_from_iterator((line.lower() for line in lines), trainer)
    merges: Any = [tuple(pair) for pair in json.loads(learner.to_str())["model"]["merges"]]
    tokens = [START, END, *alphabet, *(f"{letter}</w>" for letter in alphabet), *("".join(pair) for pair in merges)]
    vocabulary = {token: index for index, token in enumerate(dict.fromkeys(tokens))}
    return CLIPTokenizer(
        vocab=vocabulary,
        merges=merges,
        bos_token=START,
        eos_token=END,
        unk_token=END,
        pad_token=END,
        model_max_length=MAX_TOKENS,
    )


def build_encoders(vocabulary: int, widths: tuple[int, int]) -> tuple[CLIPTextModel, CLIPTextModelWithProjection]:
    """Two small CLIP text models of three layers; the second projects its summary to ``PROJECTION`` numbers."""
    configs = [
        CLIPTextConfig(
            vocab_size=vocabulary,
            hidden_size=width,
            intermediate_size=4 * width,
            projection_dim=PROJECTION,
            num_hidden_layers=3,
            num_attention_heads=4,
            max_position_embeddings=MAX_TOKENS,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=1,
        )
        for width in widths
    ]
    return CLIPTextModel(configs[0]), CLIPTextModelWithProjection(configs[1])


class TextTower(nn.Module):
    """Both encoders and what SDXL takes from them."""

    def __init__(self, tokenizer: CLIPTokenizer, widths: tuple[int, int]) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        self.first, self.second = build_encoders(len(tokenizer), widths)
        self.widths = widths

    def tokens(self, captions: list[str]) -> Tensor:
        """Token ids ``(n, 77)``, padded with the end token."""
        ids: Tensor = self.tokenizer(
            captions, padding="max_length", max_length=MAX_TOKENS, truncation=True, return_tensors="pt"
        ).input_ids
        return ids

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Context ``(n, 77, sum of widths)`` from the penultimate layers, and the pooled ``(n, PROJECTION)``."""
        first = self.first(ids, output_hidden_states=True)
        second = self.second(ids, output_hidden_states=True)
        return torch.cat([first.hidden_states[-2], second.hidden_states[-2]], dim=-1), second.text_embeds


class AttributeHeads(nn.Module):
    """Linear readers of every attribute, from the pooled embedding and from the context at the end token."""

    def __init__(self, context: int) -> None:
        super().__init__()
        total = sum(len(values) for values in ATTRIBUTES.values())
        self.pooled = nn.Linear(PROJECTION, total)
        self.context = nn.Linear(context, total)

    def forward(self, context: Tensor, pooled: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Logits ``(n, all values)`` from the pooled embedding and from the context's end token."""
        end = (ids == 1).int().argmax(dim=1)
        return self.pooled(pooled), self.context(context[torch.arange(len(ids)), end])


def targets_of(scenes: list[Scene]) -> Tensor:
    """Indices ``(n, attributes)`` of the scenes' values."""
    rows = [[ATTRIBUTES[name].index(value) for name, value in attributes_of(scene).items()] for scene in scenes]
    return torch.tensor(rows)


def attribute_loss(
    logits: Tensor, targets: Tensor, attributes: Mapping[str, tuple[str, ...]] = ATTRIBUTES
) -> tuple[Tensor, Tensor]:
    """Summed cross entropy, and which captions ``(n,)`` were understood in every attribute."""
    sections = logits.split([len(values) for values in attributes.values()], dim=1)
    losses = [functional.cross_entropy(part, targets[:, i], label_smoothing=0.02) for i, part in enumerate(sections)]
    right = torch.stack([part.argmax(1) == targets[:, i] for i, part in enumerate(sections)]).all(dim=0)
    return torch.stack(losses).sum(), right


def new_tower(settings: Settings, seed: int = 5) -> TextTower:
    """An untrained tower. The tokenizer is learned once and kept, so that changed captions cannot renumber it."""
    folder = settings.state / "tokenizer"
    if not folder.exists():
        rng = random.Random(seed)
        lines = [caption(random_scene(rng), rng) for _ in range(settings.tokenizer_captions)]
        build_tokenizer(lines).save_pretrained(folder)
    return TextTower(CLIPTokenizer.from_pretrained(folder), settings.text_widths)


def train_text(settings: Settings, log: Log) -> TextTower:
    """Trains, or continues to train, both encoders to carry the attributes that a caption names."""
    torch.manual_seed(2)
    tower = new_tower(settings)
    heads = AttributeHeads(sum(settings.text_widths))
    optimizer = torch.optim.AdamW([*tower.parameters(), *heads.parameters()], lr=LEARNING_RATE, weight_decay=0.01)
    progress = Progress(settings.text_minutes, settings.most_steps)
    file = settings.state / "text.pt"
    if parts := load_stage(file, progress, optimizer):
        tower.load_state_dict(parts["tower"])
        heads.load_state_dict(parts["heads"])
    saved = time.monotonic()
    rng = random.Random(progress.step)
    while progress.share < 1.0:
        set_rates(optimizer, [LEARNING_RATE], min(1.0, (progress.step + 1) / 100) * rate_factor(progress.share))
        values = _text_step(tower, heads, optimizer, rng, settings.batch * 2)
        progress.step += 1
        if progress.step % 50 == 0:
            log.write("text", step=progress.step, seconds=round(progress.seconds, 1), **values)
        if time.monotonic() - saved > SAVE_EVERY_S or progress.share >= 1.0:
            save_stage(file, progress, optimizer, tower=tower.state_dict(), heads=heads.state_dict())
            saved = time.monotonic()
    return tower.eval()


def _text_step(
    tower: TextTower, heads: AttributeHeads, optimizer: torch.optim.Optimizer, rng: random.Random, batch: int
) -> dict[str, Any]:
    scenes = [random_scene(rng) for _ in range(batch)]
    ids = tower.tokens([caption(scene, rng) for scene in scenes])
    ids = ids[:, : int((ids != 1).sum(dim=1).max()) + 1]
    pooled, context = heads(*tower(ids), ids)
    targets = targets_of(scenes)
    loss, right = attribute_loss(pooled, targets)
    loss_context, right_context = attribute_loss(context, targets)
    optimizer.zero_grad()
    (loss + loss_context).backward()
    nn.utils.clip_grad_norm_(tower.parameters(), 1.0)
    optimizer.step()
    return {
        "loss": round(float(loss.detach()), 4),
        "understood": round(float(right.float().mean()), 3),
        "understood_context": round(float(right_context.float().mean()), 3),
    }
