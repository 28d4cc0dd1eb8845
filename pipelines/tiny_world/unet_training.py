"""The UNet's training loop."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor

from pipelines.tiny_world.muon import Muon, muon_groups
from pipelines.tiny_world.text import TextTower
from pipelines.tiny_world.training import (
    SAVE_EVERY_S,
    Average,
    Log,
    Progress,
    Settings,
    load_stage,
    rate_factor,
    save_stage,
    set_rates,
)
from pipelines.tiny_world.workers import GradientWorkers, LocalGradients, trainable_unet

LEARNING_RATE: Final = 1e-3
AVERAGE_DECAY: Final = 0.998
GRADIENT_NORM: Final = 1.0
Export = Callable[[dict[str, Tensor], int], None]


def train_unet(settings: Settings, log: Log, tower: TextTower, export: Export) -> UNet2DConditionModel:
    """Trains, or continues to train, the UNet; ``export`` gets the averaged weights and the step now and then."""
    torch.manual_seed(3)
    unet = trainable_unet(settings)
    optimizer = Muon(muon_groups(unet, LEARNING_RATE))
    base = [LEARNING_RATE] * len(optimizer.param_groups)
    progress = Progress(settings.unet_minutes, settings.most_steps)
    file = settings.state / "unet.pt"
    average = Average(unet, AVERAGE_DECAY)
    if parts := load_stage(file, progress, optimizer):
        unet.load_state_dict(parts["model"])
        average.values = parts["average"]
    seed = 1000 + progress.step
    source = GradientWorkers(unet, settings, seed) if settings.workers else LocalGradients(unet, settings, tower, seed)
    saved = exported = time.monotonic()
    losses: list[float] = []
    while progress.share < 1.0:
        set_rates(optimizer, base, min(1.0, (progress.step + 1) / 100) * rate_factor(progress.share))
        losses.append(source.fill(progress.step))
        torch.nn.utils.clip_grad_norm_(unet.parameters(), GRADIENT_NORM)
        optimizer.step()
        progress.step += 1
        average.update(unet, progress.step)
        if progress.step % 50 == 0:
            log.write(
                "unet", step=progress.step, loss=round(sum(losses) / len(losses), 4), seconds=round(progress.seconds, 1)
            )
            losses.clear()
        if time.monotonic() - saved > SAVE_EVERY_S or progress.share >= 1.0:
            save_stage(file, progress, optimizer, model=unet.state_dict(), average=average.values)
            saved = time.monotonic()
        if time.monotonic() - exported > settings.export_every_s:
            export(average.values, progress.step)
            source.reload()
            exported = time.monotonic()
    source.close()
    unet.load_state_dict(average.values)
    return unet
