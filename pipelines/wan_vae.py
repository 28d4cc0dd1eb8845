"""WAN's VAE at work: it codes a film one latent frame after the other, and can be watched and stopped between two."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import Any

import torch


def tile(vae: Any, tiled: bool) -> None:
    """Have `vae` code tile by tile, or each frame as a whole."""
    vae.use_tiling = tiled


@contextlib.contextmanager
def watched(vae: Any, part: str, before_chunk: Callable[[], None]) -> Iterator[None]:
    """Call `before_chunk` before each latent frame (of each tile) that the `part` "encoder" or "decoder" codes.

    What it raises ends the coding; the frames the VAE keeps between chunks are let go of either way.
    """
    handle = getattr(vae, part).register_forward_pre_hook(lambda *_: before_chunk())
    try:
        yield
    finally:
        handle.remove()
        vae.clear_cache()


def chunks_to_decode(vae: Any, latents: torch.Tensor) -> int:
    """Return how often the decoder is called for `latents` [channels, t, h, w], after AutoencoderKLWan's own loops."""
    frames, height, width = latents.shape[1:]
    scale = vae.spatial_compression_ratio
    largest = vae.tile_sample_min_height // scale, vae.tile_sample_min_width // scale
    if not vae.use_tiling or (height <= largest[0] and width <= largest[1]):
        return int(frames)
    rows = math.ceil(height / (vae.tile_sample_stride_height // scale))
    columns = math.ceil(width / (vae.tile_sample_stride_width // scale))
    return int(frames) * rows * columns
