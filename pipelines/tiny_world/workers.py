"""Gradients of a model, computed in parts by single-threaded processes that share the weights' memory.

A step's batch is cut into parts that the processes take as they come free. Threads inside one process meet at every
layer and wait for the slowest; processes meet once a step, which is faster on a machine that does other work too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Final, Protocol

import torch
from torch import Tensor, multiprocessing, nn

PARTS: Final = 4
"""Parts of a batch."""


class PartSource(Protocol):
    """Draws a part of a step's batch and adds its gradient to ``model``."""

    @property
    def model(self) -> nn.Module:
        """Whose weights are trained."""

    def loss_of_part(self, step: int) -> Tensor:
        """The loss of one freshly drawn part, with its graph."""

    def reload(self) -> None:
        """Reads again what a person may have changed on disk."""


MakeSource = Callable[[Any, int], PartSource]
"""Builds a source from the run's settings and a seed; a function of a module, so that processes can import it."""


def _add_part(source: PartSource, step: int) -> float:
    loss = source.loss_of_part(step)
    (loss / PARTS).backward()
    return float(loss.detach())


@dataclass(frozen=True, kw_only=True)
class _Desk:
    """What one worker process is given. ``counter`` holds how many parts of the step are taken."""

    make: MakeSource
    settings: Any
    parameters: list[Tensor]
    gradients: list[Tensor]
    counter: Any
    connection: Connection
    seed: int


def _work(desk: _Desk) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(desk.seed)
    source = desk.make(desk.settings, desk.seed)
    for parameter, shared, gradient in zip(source.model.parameters(), desk.parameters, desk.gradients, strict=True):
        parameter.data = shared
        parameter.grad = gradient
    while (message := desk.connection.recv()) is not None:
        if message == "reload":
            source.reload()
            continue
        losses = []
        while _take(desk.counter):
            losses.append(_add_part(source, message))
        desk.connection.send(losses)


def _take(counter: Any) -> bool:
    with counter.get_lock():
        counter.value += 1
        return bool(counter.value <= PARTS)


class GradientWorkers:
    """Two or more processes that fill ``model``'s gradients together."""

    def __init__(self, model: nn.Module, make: MakeSource, settings: Any, seed: int) -> None:
        context = multiprocessing.get_context("spawn")
        model.share_memory()
        self.parameters = list(model.parameters())
        self.counter = context.Value("i", 0)
        self.gradients = [
            [torch.zeros_like(p.data).share_memory_() for p in self.parameters] for _ in range(settings.workers)
        ]
        self.connections: list[Connection] = []
        for rank in range(settings.workers):
            here, there = context.Pipe()
            shared = [p.data for p in self.parameters]
            desk = _Desk(
                make=make,
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
        """Has every process read again what a person may have changed."""
        for connection in self.connections:
            connection.send("reload")

    def close(self) -> None:
        """Ends the processes."""
        for connection in self.connections:
            connection.send(None)


class LocalGradients:
    """The same in this process, for tests and single-core machines."""

    def __init__(self, model: nn.Module, make: MakeSource, settings: Any, seed: int) -> None:
        self.model = model
        self.source = make(settings, seed)
        for own, given in zip(self.source.model.parameters(), model.parameters(), strict=True):
            own.data = given.data
        self.parameters = list(model.parameters())

    def fill(self, step: int) -> float:
        """Sets every ``.grad`` to the gradient of a training step's batch; returns the mean loss."""
        self.source.model.zero_grad()
        mean = sum(_add_part(self.source, step) for _ in range(PARTS)) / PARTS
        for own, given in zip(self.source.model.parameters(), self.parameters, strict=True):
            given.grad = own.grad
        return mean

    def reload(self) -> None:
        """Reads again what a person may have changed."""
        self.source.reload()

    def close(self) -> None:
        """Nothing to end."""


def gradient_source(model: nn.Module, make: MakeSource, settings: Any, seed: int) -> GradientWorkers | LocalGradients:
    """Processes where ``settings.workers`` wants them, this process otherwise."""
    chosen = GradientWorkers if settings.workers else LocalGradients
    return chosen(model, make, settings, seed)
