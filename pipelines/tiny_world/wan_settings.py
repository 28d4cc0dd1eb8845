"""Sizes of the tiny Wan and of its training run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

TOKENS: Final = 64
"""Length to which prompts are padded: the transformer was trained with exactly this many text tokens."""
FLOW_SHIFT: Final = 3.0


@dataclass(frozen=True, kw_only=True)
class WanSettings:
    """The defaults make the shipped checkpoint; tests shrink them."""

    state: Path
    films: int = 3600
    pictures: int = 9000
    vae_minutes: float = 14.0
    text_minutes: float = 3.0
    transformer_minutes: float = 83.0
    vae_width: int = 24
    vae_multipliers: tuple[int, ...] = (1, 2, 4)
    latent_channels: int = 16
    text_width: int = 128
    text_layers: int = 3
    heads: int = 6
    layers: int = 8
    feed_forward: int = 640
    tokenizer_captions: int = 12_000
    film_batch: int = 8
    picture_batch: int = 32
    vae_batch: int = 6
    compiled: bool = True
    workers: int = 2
    """Processes that compute the transformer's gradients; 0 computes them in the main process."""
    export_every_s: float = 600.0
    most_steps: int = 1_000_000
    """A stage ends after this many steps even if its minutes are not over (for tests)."""
