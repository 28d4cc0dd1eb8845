"""The training loop of models whose gradients come in parts (see ``workers``): Muon, averaged weights, exports."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from torch import Tensor, nn

from pipelines.tiny_world.muon import Muon, muon_groups
from pipelines.tiny_world.training import (
    SAVE_EVERY_S,
    Average,
    Log,
    Progress,
    load_stage,
    rate_factor,
    save_stage,
    set_rates,
)
from pipelines.tiny_world.workers import MakeSource, gradient_source

LEARNING_RATE: Final = 1e-3
AVERAGE_DECAY: Final = 0.998
GRADIENT_NORM: Final = 1.0
Export = Callable[[dict[str, Tensor], int], None]
M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What a stage is called, how long it trains, and the settings its source is made from."""

    name: str
    minutes: float
    settings: Any
    log: Log


def train_in_parts(model: M, make: MakeSource, stage: Stage, export: Export) -> M:
    """Trains, or continues to train, the model; ``export`` gets the averaged weights and the step now and then."""
    settings, log = stage.settings, stage.log
    optimizer = Muon(muon_groups(model, LEARNING_RATE))
    base = [LEARNING_RATE] * len(optimizer.param_groups)
    progress = Progress(stage.minutes, settings.most_steps)
    file = settings.state / f"{stage.name}.pt"
    average = Average(model, AVERAGE_DECAY)
    if parts := load_stage(file, progress, optimizer):
        model.load_state_dict(parts["model"])
        average.values = parts["average"]
    source = gradient_source(model, make, settings, 1000 + progress.step)
    saved = exported = time.monotonic()
    losses: list[float] = []
    while progress.share < 1.0:
        set_rates(optimizer, base, min(1.0, (progress.step + 1) / 100) * rate_factor(progress.share))
        losses.append(source.fill(progress.step))
        nn.utils.clip_grad_norm_(model.parameters(), GRADIENT_NORM)
        optimizer.step()
        progress.step += 1
        average.update(model, progress.step)
        if progress.step % 50 == 0:
            mean = sum(losses) / len(losses)
            log.write(stage.name, step=progress.step, loss=round(mean, 4), seconds=round(progress.seconds, 1))
            losses.clear()
        if time.monotonic() - saved > SAVE_EVERY_S or progress.share >= 1.0:
            save_stage(file, progress, optimizer, model=model.state_dict(), average=average.values)
            saved = time.monotonic()
        if time.monotonic() - exported > settings.export_every_s:
            export(average.values, progress.step)
            source.reload()
            exported = time.monotonic()
    source.close()
    model.load_state_dict(average.values)
    return model
