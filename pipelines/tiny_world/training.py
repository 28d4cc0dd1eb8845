"""What the training stages share: a clock that survives restarts, averaged weights, checkpoints and the log."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar

import torch
from torch import Tensor, nn

P = ParamSpec("P")
R = TypeVar("R")
SAVE_EVERY_S: Final = 180.0


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Sizes of a training run. The defaults make the shipped checkpoint; tests shrink them."""

    state: Path
    scenes: int = 24_000
    vae_minutes: float = 9.0
    text_minutes: float = 2.5
    unet_minutes: float = 95.0
    vae_channels: tuple[int, ...] = (32, 64, 96)
    unet_channels: tuple[int, ...] = (48, 96, 160)
    unet_heads: tuple[int, ...] = (2, 3, 5)
    text_widths: tuple[int, int] = (96, 128)
    tokenizer_captions: int = 12_000
    batch: int = 24
    compiled: bool = True
    workers: int = 2
    """Processes that compute the UNet's gradients; 0 computes them in the main process."""
    export_every_s: float = 600.0
    most_steps: int = 1_000_000
    """A stage ends after this many steps even if its minutes are not over (for tests)."""


class Log:
    """Appends one JSON line an event to ``training_log.jsonl``."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.file = folder / "training_log.jsonl"

    def write(self, stage: str, **values: Any) -> None:
        """Adds the stage, its values and the time of day in UTC."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        line = json.dumps({"at": stamp, "stage": stage, **values})
        with self.file.open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")


class Progress:
    """Steps and seconds spent in a stage, over all its runs."""

    def __init__(self, minutes: float, most_steps: int) -> None:
        self.limit_s = minutes * 60.0
        self.most_steps = most_steps
        self.step = 0
        self.before_s = 0.0
        self.started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds of training so far, earlier runs included."""
        return self.before_s + time.monotonic() - self.started

    @property
    def share(self) -> float:
        """How much of the stage is over, 0..1."""
        return min(1.0, max(self.seconds / max(self.limit_s, 1e-9), self.step / self.most_steps))

    def restart_clock(self) -> None:
        """Forgets time spent on warming up (compilation)."""
        self.started = time.monotonic()


def rate_factor(share: float, decay_from: float = 0.4, floor: float = 0.02) -> float:
    """Learning-rate multiplier: flat, then a half cosine from ``decay_from`` of the stage down to ``floor``."""
    if share < decay_from:
        return 1.0
    done = (share - decay_from) / (1.0 - decay_from)
    return floor + (1.0 - floor) * 0.5 * (1.0 + math.cos(math.pi * min(done, 1.0)))


class Average:
    """Exponential moving average of a module's weights, with a decay that grows from 0 to its final value."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.values = {k: v.detach().clone() for k, v in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Moves the average towards the module's weights."""
        weight = 1.0 - min(self.decay, (step + 1.0) / (step + 10.0))
        for key, value in module.state_dict().items():
            if value.dtype.is_floating_point:
                self.values[key].lerp_(value, weight)


def save_stage(file: Path, progress: Progress, optimizer: torch.optim.Optimizer, **parts: dict[str, Tensor]) -> None:
    """Writes a stage's state so that a crash leaves the previous one intact."""
    file.parent.mkdir(parents=True, exist_ok=True)
    payload = {"step": progress.step, "seconds": progress.seconds, "optimizer": optimizer.state_dict(), "parts": parts}
    scratch = file.with_suffix(".part")
    torch.save(payload, scratch)
    scratch.replace(file)


def load_stage(file: Path, progress: Progress, optimizer: torch.optim.Optimizer) -> dict[str, dict[str, Tensor]] | None:
    """Restores step, seconds and optimizer; returns the saved weights, or None where nothing was saved."""
    if not file.exists():
        return None
    payload: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    progress.step, progress.before_s = payload["step"], payload["seconds"]
    progress.restart_clock()
    optimizer.load_state_dict(payload["optimizer"])
    parts: dict[str, dict[str, Tensor]] = payload["parts"]
    return parts


def set_rates(optimizer: torch.optim.Optimizer, base: list[float], factor: float) -> None:
    """Sets each group's learning rate to its base times ``factor``."""
    for group, rate in zip(optimizer.param_groups, base, strict=True):
        group["lr"] = rate * factor


def to_channels_last(module: nn.Module) -> None:
    """Lays out convolution weights as oneDNN likes them on a CPU."""
    for parameter in module.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


def maybe_compiled(function: Callable[P, R], wanted: bool) -> Callable[P, R]:
    """The function through ``torch.compile`` where wanted: three times faster on a CPU, after a slow start."""
    return torch.compile(function, dynamic=False) if wanted else function
