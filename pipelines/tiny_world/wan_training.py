"""The transformer's training: its batches and its loop."""

from __future__ import annotations

import random
from typing import Final

import torch
from diffusers.models.transformers.transformer_wan import WanTransformer3DModel
from torch import Tensor

from pipelines.tiny_world.coupling import strength_at
from pipelines.tiny_world.film_coupling import couple_film
from pipelines.tiny_world.film_latents import FilmSet
from pipelines.tiny_world.part_training import Export, Stage, train_in_parts
from pipelines.tiny_world.training import Log
from pipelines.tiny_world.wan_settings import WanSettings
from pipelines.tiny_world.wan_text import train_film_text
from pipelines.tiny_world.wan_transformer import FilmBatch, attend_plainly, build_transformer, draw_shares, flow_loss
from pipelines.tiny_world.workers import PARTS

TERMINAL_SHARE: Final = 0.15
"""Share of samples trained at pure noise: every film starts there and gets its layout there."""
EMPTY_SHARE: Final = 0.08
JUNK_SHARE: Final = 0.02
JUNK: Final = (
    "blurry, low quality",
    "low quality",
    "bad quality, deformed",
    "blurry",
    "ugly, blurry, watermark",
    "worst quality, static, blurry",
)
FADE_STEPS: Final = (2900, 4100)
PICTURES_FIRST_STEPS: Final = 600
FILM_SHARES: Final = (0.25, 0.72)
"""Share of film steps, before and after ``PICTURES_FIRST_STEPS``; the rest are single pictures."""


def trainable_transformer(settings: WanSettings) -> WanTransformer3DModel:
    """The transformer with plain attention."""
    transformer = build_transformer(settings)
    attend_plainly(transformer)
    return transformer


def kind_of_step(step: int) -> str:
    """Whether a training step draws films or pictures; all its parts draw the same."""
    share = FILM_SHARES[0] if step < PICTURES_FIRST_STEPS else FILM_SHARES[1]
    return "films" if random.Random(step).random() < share else "pictures"


class FilmParts:
    """A ``PartSource`` of the transformer."""

    def __init__(self, settings: WanSettings, seed: int) -> None:
        self.model = trainable_transformer(settings)
        if settings.compiled:
            for block in self.model.blocks:
                block.compile(dynamic=False)
        self.films = FilmSet(settings.state)
        self.text = train_film_text(settings, Log(settings.state))
        self.counts = {
            "films": max(1, settings.film_batch // PARTS),
            "pictures": max(1, settings.picture_batch // PARTS),
        }
        self.rng = random.Random(seed)

    def loss_of_part(self, step: int) -> Tensor:
        """The loss of one freshly drawn part."""
        kind = kind_of_step(step)
        count = self.counts[kind]
        clean, quantiles, captions = self.films.draw(self.rng, kind, count)
        noise = couple_film(torch.randn_like(clean), quantiles, strength_at(step, FADE_STEPS))
        batch = FilmBatch(clean, noise, draw_shares(count, TERMINAL_SHARE), self._embed(captions))
        return flow_loss(self.model, batch)

    def reload(self) -> None:
        """Nothing to read again."""

    @torch.no_grad()
    def _embed(self, captions: list[str]) -> Tensor:
        """Embeddings, some of them of no prompt or of a junk prompt, for guidance away from those."""
        for index in range(len(captions)):
            fate = self.rng.random()
            if fate < EMPTY_SHARE:
                captions[index] = ""
            elif fate < EMPTY_SHARE + JUNK_SHARE:
                captions[index] = self.rng.choice(JUNK)
        embedded: Tensor = self.text(*self.text.tokens(captions))
        return embedded


def train_transformer(settings: WanSettings, log: Log, export: Export) -> WanTransformer3DModel:
    """Trains, or continues to train, the transformer; ``export`` gets averaged weights and the step now and then."""
    torch.manual_seed(3)
    stage = Stage(name="transformer", minutes=settings.transformer_minutes, settings=settings, log=log)
    return train_in_parts(trainable_transformer(settings), FilmParts, stage, export)
