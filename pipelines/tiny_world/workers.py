"""Gradients of the UNet, computed in parts by single-threaded processes that share the weights' memory.

A step's batch is cut into parts that the processes take as they come free. Threads inside one process meet at every
layer and wait for the slowest; processes meet once a step, which is faster on a machine that does other work too.
"""

from __future__ import annotations

from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Final

import torch
from diffusers.models.attention_processor import AttnProcessor
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, multiprocessing

from pipelines.tiny_world.latents import LatentSet
from pipelines.tiny_world.text import TextTower, train_text
from pipelines.tiny_world.training import Log, Settings, maybe_compiled, to_channels_last
from pipelines.tiny_world.unet import BatchMaker, build_unet, velocity_loss
from pipelines.tiny_world.upsampling import replace_upsampling

PARTS: Final = 4
"""Parts of a batch."""


def trainable_unet(settings: Settings) -> UNet2DConditionModel:
    """The UNet as it is trained: channels last, plain attention, and upsampling whose gradient compiles."""
    unet = build_unet(settings)
    to_channels_last(unet)
    replace_upsampling(unet)
    unet.set_attn_processor(AttnProcessor())
    return unet


class Gradients:
    """Adds a part's gradients to ``unet.parameters()``."""

    def __init__(self, unet: UNet2DConditionModel, settings: Settings, tower: TextTower, seed: int) -> None:
        self.unet = unet
        self.batches = BatchMaker(LatentSet(settings.state), tower, max(1, settings.batch // PARTS), seed)
        self.loss = maybe_compiled(velocity_loss, settings.compiled)

    def add_part(self, step: int) -> float:
        """Accumulates one part of a training step; returns its loss."""
        loss = self.loss(self.unet, self.batches(step))
        (loss / PARTS).backward()
        return float(loss.detach())


@dataclass(frozen=True, kw_only=True)
class _Desk:
    """What one worker process is given. ``counter`` holds how many parts of the step are taken."""

    settings: Settings
    parameters: list[Tensor]
    gradients: list[Tensor]
    counter: Any
    connection: Connection
    seed: int


def _work(desk: _Desk) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(desk.seed)
    unet = trainable_unet(desk.settings)
    for parameter, shared, gradient in zip(unet.parameters(), desk.parameters, desk.gradients, strict=True):
        parameter.data = shared
        parameter.grad = gradient
    tower = train_text(desk.settings, Log(desk.settings.state))
    for parameter in tower.parameters():
        parameter.requires_grad_(False)
    source = Gradients(unet, desk.settings, tower, desk.seed)
    while (message := desk.connection.recv()) is not None:
        if message == "reload":
            source.batches.latents.reload_weights()
            continue
        losses = []
        while _take(desk.counter):
            losses.append(source.add_part(message))
        desk.connection.send(losses)


def _take(counter: Any) -> bool:
    with counter.get_lock():
        counter.value += 1
        return bool(counter.value <= PARTS)


class GradientWorkers:
    """Two or more processes that fill ``unet``'s gradients together."""

    def __init__(self, unet: UNet2DConditionModel, settings: Settings, seed: int) -> None:
        context = multiprocessing.get_context("spawn")
        unet.share_memory()
        self.parameters = list(unet.parameters())
        self.counter = context.Value("i", 0)
        self.gradients = [
            [torch.zeros_like(p.data).share_memory_() for p in self.parameters] for _ in range(settings.workers)
        ]
        self.connections: list[Connection] = []
        for rank in range(settings.workers):
            here, there = context.Pipe()
            shared = [p.data for p in self.parameters]
            desk = _Desk(
                settings=settings,
                parameters=shared,
                gradients=self.gradients[rank],
                counter=self.counter,
                connection=there,
                seed=seed + rank,
            )
            context.Process(target=_work, args=(desk,), daemon=True).start()
            self.connections.append(here)

    def fill(self, step: int) -> float:
        """Sets every ``.grad`` to the gradient of a training step's batch; returns the mean loss."""
        for gradients in self.gradients:
            torch._foreach_zero_(gradients)
        self.counter.value = 0
        for connection in self.connections:
            connection.send(step)
        losses = [loss for connection in self.connections for loss in connection.recv()]
        for other in self.gradients[1:]:
            torch._foreach_add_(self.gradients[0], other)
        for parameter, gradient in zip(self.parameters, self.gradients[0], strict=True):
            parameter.grad = gradient
        return sum(losses) / len(losses)

    def reload(self) -> None:
        """Has every process read the sampling weights again."""
        for connection in self.connections:
            connection.send("reload")

    def close(self) -> None:
        """Ends the processes."""
        for connection in self.connections:
            connection.send(None)


class LocalGradients:
    """The same in this process, for tests and single-core machines."""

    def __init__(self, unet: UNet2DConditionModel, settings: Settings, tower: TextTower, seed: int) -> None:
        self.unet = unet
        self.source = Gradients(unet, settings, tower, seed)

    def fill(self, step: int) -> float:
        """Sets every ``.grad`` to the gradient of a training step's batch; returns the mean loss."""
        self.unet.zero_grad()
        return sum(self.source.add_part(step) for _ in range(PARTS)) / PARTS

    def reload(self) -> None:
        """Reads the sampling weights again."""
        self.source.batches.latents.reload_weights()

    def close(self) -> None:
        """Nothing to end."""
