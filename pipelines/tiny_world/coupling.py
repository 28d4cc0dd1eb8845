"""Ties the initial noise to the layout of a scene while training.

What a caption leaves open (where things stand, whether there are clouds) is eight uniform numbers. While training,
eight directions of the noise, four in each upper corner, are set to the normal quantiles of those numbers. They stay
exactly standard normal and independent, so that sampling starts from ordinary noise; but the noise now says which of
the possible pictures to draw, and the UNet need not average over them. Averages are what makes small diffusion models
lumpy, and few-step sampling blurred. It is a coupling of noise and data, as in Pooladian et al., "Multisample Flow
Matching" (2023), known exactly here because the world is procedural.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from pipelines.tiny_world.scenes import LAYOUT_SIZE, Scene

PATCH: Final = 4
"""Side in latents of the corner patches that carry the layout; one token of the UNet's lowest level."""
FIRST_STRENGTH: Final = 4.0
FADE_STEPS: Final = (2150, 3200)


def layout_quantiles(scenes: Sequence[Scene]) -> Tensor:
    """Normal quantiles ``(n, 8)`` of the scenes' layout numbers."""
    uniform = torch.tensor([scene.layout for scene in scenes], dtype=torch.float64)
    return torch.special.ndtri(uniform.clamp(1e-5, 1.0 - 1e-5)).float()


def strength_at(step: int, fade: tuple[int, int] = FADE_STEPS) -> float:
    """How many times stronger than standard normal the tied directions are at a training step.

    Reading one direction out of 4,096 is found too seldom by chance, so it starts ``FIRST_STRENGTH`` times too loud. It
    fades geometrically between the ``fade`` steps to 1, where the noise is exactly standard normal.
    """
    first, last = fade
    done = min(1.0, max(0.0, (step - first) / (last - first)))
    return float(FIRST_STRENGTH ** (1.0 - done))


def couple(noise: Tensor, quantiles: Tensor, strength: float = 1.0) -> Tensor:
    """Noise ``(n, 4, h, w)`` whose patches in both upper corners average to the quantiles ``(n, 8)``.

    The patch of a channel is ``PATCH`` x ``PATCH`` latents. Its component along the unit vector of equal entries is
    replaced, everything orthogonal to it stays.
    """
    half = LAYOUT_SIZE // 2
    coupled = noise.clone()
    for columns, part in ((slice(0, PATCH), quantiles[:, :half]), (slice(-PATCH, None), quantiles[:, half:])):
        patch = coupled[:, :, :PATCH, columns]
        wanted = strength * part[:, :, None, None] / PATCH
        coupled[:, :, :PATCH, columns] = patch - patch.mean(dim=(2, 3), keepdim=True) + wanted
    return coupled
