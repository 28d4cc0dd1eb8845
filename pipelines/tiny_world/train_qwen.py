"""Trains the demo prompt rewriter from nothing: tokenizer, a small Qwen2, export.

    python -m pipelines.tiny_world.train_qwen --out pipelines/tiny_world/qwen --minutes 15

Interrupted, the same command continues where it stopped.
"""

from __future__ import annotations

import argparse
import random
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import Qwen2ForCausalLM, Qwen2Tokenizer

from pipelines.tiny_world.muon import Muon, muon_groups
from pipelines.tiny_world.rewriting import (
    VOCABULARY,
    answer,
    build_model,
    build_tokenizer,
    corpus,
    export,
    prompt_ids,
    training_pair,
)
from pipelines.tiny_world.training import Average, Log, Progress, load_stage, rate_factor, save_stage, set_rates

DEFAULT_STATE: Final = Path(__file__).resolve().parents[2] / ".training" / "tiny_world_qwen"
LEARNING_RATE: Final = 2e-3
WARM_UP_STEPS: Final = 60
AVERAGE_DECAY: Final = 0.98
SAVE_EVERY_S: Final = 120.0
TOLD_WEIGHT: Final = 4.0
"""Weight in the loss of an answer's tokens that the prompt holds too: they are the facts, the rest is taste."""
DIRECTION_WEIGHT: Final = 20.0
"""Weight of left and right that the prompt holds: alike in every other respect, they are told apart last."""
_POOL_BATCHES: Final = 16
_SAMPLES: Final = (
    (False, "boat at night"),
    (True, "red balloon over the sea"),
    (False, "a cat riding a bicycle in Paris"),
)


@dataclass(frozen=True, kw_only=True)
class RewriterSettings:
    """Sizes of a training run. The defaults make the shipped checkpoint; tests shrink them."""

    state: Path
    minutes: float = 15.0
    width: int = 192
    layers: int = 6
    vocabulary: int = VOCABULARY
    tokenizer_pairs: int = 20_000
    batch: int = 32
    most_steps: int = 1_000_000
    """Training ends after this many steps even if its minutes are not over (for tests)."""


def batches(tokenizer: Qwen2Tokenizer, size: int, seed: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Endless tokens, labels, weights ``(size, length)``: pairs of like length; labels are -100 but for answers."""
    rng = random.Random(seed)
    end, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
    directions = {tokenizer(word, add_special_tokens=False).input_ids[0] for word in (" left", " right")}
    while True:
        rows = []
        for _ in range(size * _POOL_BATCHES):
            film, text, reply = training_pair(rng)
            before = prompt_ids(tokenizer, film, text)
            after = [*tokenizer(reply, add_special_tokens=False).input_ids, end]
            told = {token: DIRECTION_WEIGHT if token in directions else TOLD_WEIGHT for token in before}
            weighed = [told.get(token, 1.0) for token in after]
            rows.append((before + after, [-100] * len(before) + after, [0.0] * len(before) + weighed))
        rows.sort(key=lambda row: len(row[0]))
        groups = [rows[start : start + size] for start in range(0, len(rows), size)]
        rng.shuffle(groups)
        for group in groups:
            longest = max(len(row[0]) for row in group)
            columns = zip(*group, strict=True)
            ids, labels, weights = (
                torch.tensor([values + [fill] * (longest - len(values)) for values in column])
                for column, fill in zip(columns, (pad, -100, 0.0), strict=True)
            )
            yield ids, labels, weights


def answer_loss(model: Qwen2ForCausalLM, ids: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean cross entropy of the answers' tokens; only their positions go through the output layer."""
    with torch.autocast("cpu", torch.bfloat16):
        hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
        told = labels[:, 1:] != -100
        logits = model.lm_head(hidden[told])
    losses = functional.cross_entropy(logits.float(), labels[:, 1:][told], reduction="none")
    weights = weights[:, 1:][told]
    return (losses * weights).sum() / weights.sum()


def learned_tokenizer(settings: RewriterSettings) -> Qwen2Tokenizer:
    """The tokenizer, learned once and kept, so that changed pairs cannot renumber it."""
    folder = settings.state / "tokenizer"
    if not folder.exists():
        build_tokenizer(corpus(settings.tokenizer_pairs, seed=7), settings.vocabulary).save_pretrained(folder)
    return Qwen2Tokenizer.from_pretrained(folder)


def train(settings: RewriterSettings, out: Path) -> None:
    """Trains until the time is over and writes the checkpoint of averaged weights to ``out``."""
    log = Log(settings.state)
    tokenizer = learned_tokenizer(settings)
    torch.manual_seed(3)
    model = build_model(tokenizer, settings.width, settings.layers)
    average = Average(model, AVERAGE_DECAY)
    optimizer = Muon(muon_groups(model, LEARNING_RATE))
    progress = Progress(settings.minutes, settings.most_steps)
    file = settings.state / "qwen.pt"
    if parts := load_stage(file, progress, optimizer):
        model.load_state_dict(parts["model"])
        average.values = parts["average"]
    source = batches(tokenizer, settings.batch, seed=progress.step)
    losses: list[float] = []
    saved = time.monotonic()
    while progress.share < 1.0:
        losses.append(_step(model, optimizer, progress, next(source)))
        average.update(model, progress.step)
        progress.step += 1
        if progress.step % 50 == 0:
            mean = round(sum(losses) / len(losses), 4)
            log.write("qwen", step=progress.step, seconds=round(progress.seconds, 1), loss=mean)
            losses = []
        if time.monotonic() - saved > SAVE_EVERY_S or progress.share >= 1.0:
            save_stage(file, progress, optimizer, model=model.state_dict(), average=average.values)
            _log_samples(model, average, tokenizer, log, progress.step)
            saved = time.monotonic()
    export(model, average.values, tokenizer, out)
    log.write("export", step=progress.step, parameters=sum(p.numel() for p in model.parameters()))
    shutil.copyfile(log.file, out / log.file.name)


def _step(
    model: Qwen2ForCausalLM, optimizer: torch.optim.Optimizer, progress: Progress, batch: tuple[Tensor, Tensor, Tensor]
) -> float:
    factor = min(1.0, (progress.step + 1) / WARM_UP_STEPS) * rate_factor(progress.share)
    set_rates(optimizer, [LEARNING_RATE] * len(optimizer.param_groups), factor)
    loss = answer_loss(model, *batch)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return float(loss.detach())


def _log_samples(model: Qwen2ForCausalLM, average: Average, tokenizer: Qwen2Tokenizer, log: Log, step: int) -> None:
    copy = Qwen2ForCausalLM(model.config).eval()
    copy.load_state_dict(average.values)
    for (_, text), (reply, _) in zip(_SAMPLES, answer(copy, tokenizer, _SAMPLES, do_sample=False), strict=True):
        log.write("sample", step=step, prompt=text, answer=reply)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the checkpoint")
    parser.add_argument("--minutes", type=float, default=RewriterSettings.minutes, help="training time in all")
    parser.add_argument("--state", type=Path, default=DEFAULT_STATE, help="folder of what a restart continues from")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    train(RewriterSettings(state=options.state, minutes=options.minutes), options.out)


if __name__ == "__main__":
    main()
