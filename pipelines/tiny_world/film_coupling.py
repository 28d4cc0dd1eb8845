"""Ties the initial noise to a film's layout while training, as ``coupling`` does for pictures.

Eight directions of the noise, all inside the first token (two by two latents of the first frame's upper left corner,
one channel each), are set to the normal quantiles of the layout numbers. They stay exactly standard normal once the
strength, which starts louder so that they are found, has faded to 1.
"""

from __future__ import annotations

from torch import Tensor

from pipelines.tiny_world.scenes import LAYOUT_SIZE


def couple_film(noise: Tensor, quantiles: Tensor, strength: float = 1.0) -> Tensor:
    """Noise ``(n, z, t, h, w)`` whose first token's first eight channels sum to twice the louder ``(n, 8)``."""
    coupled = noise.clone()
    corner = coupled[:, :LAYOUT_SIZE, 0, :2, :2]
    coupled[:, :LAYOUT_SIZE, 0, :2, :2] = (
        corner - corner.mean(dim=(2, 3), keepdim=True) + strength * quantiles[:, :, None, None] / 2
    )
    return coupled
