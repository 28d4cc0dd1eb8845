"""Chunks of WAN's VAE: as many are announced as are coded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from pipelines.latents import decode, encode
from pipelines.wan_vae import chunks_to_decode, watched
from tests.unit.pipelines.tiny_wan import Z_DIM, build


@pytest.fixture(scope="module")
def vae() -> Any:
    return build().vae


@pytest.mark.parametrize("tiling", [False, True])
@pytest.mark.parametrize(("height", "width"), [(16, 16), (16, 20), (24, 25), (25, 12)])
def test_every_chunk_is_announced(tiling: bool, height: int, width: int, vae: Any) -> None:
    if tiling:
        # Tiles of 16 latents every 12: a quarter of the usual, with the same overlaps.
        vae.enable_tiling(64, 64, 48, 48)
    else:
        vae.disable_tiling()
    latents, calls = torch.zeros(Z_DIM, 2, height, width), 0

    def count() -> None:
        nonlocal calls
        calls += 1

    with torch.inference_mode(), watched(vae, "decoder", count):
        film = decode(vae, latents)
    assert calls == chunks_to_decode(vae, latents)
    assert (calls > 2) == (tiling and max(height, width) > 16)
    assert film.shape == (5, height * 4, width * 4, 3)
    vae.disable_tiling()


@torch.inference_mode()
def test_films_decode_as_the_pipeline_decodes_them(vae: Any) -> None:
    """By the mean and deviation of each channel, as WanPipeline does after denoising."""
    latents = torch.randn((Z_DIM, 3, 8, 8), generator=torch.Generator().manual_seed(0))
    mean, deviation = (
        torch.tensor(getattr(vae.config, name)).view(1, -1, 1, 1, 1) for name in ("latents_mean", "latents_std")
    )
    expected = vae.decode(latents[None] * deviation + mean).sample[0]
    shown = ((expected + 1) * 127.5).round().clamp(0, 255).permute(1, 2, 3, 0).numpy()
    film = decode(vae, latents)
    assert film.shape == (9, 32, 32, 3)
    assert np.array_equal(film, shown.astype(np.uint8))


@torch.inference_mode()
def test_latents_are_normalised_as_the_transformer_was_trained(vae: Any) -> None:
    film = torch.rand((1, 3, 5, 16, 16), generator=torch.Generator().manual_seed(0)) * 2 - 1
    raw = vae.encode(film).latent_dist.mode()
    latents = encode(vae, film)
    assert latents.shape == (1, Z_DIM, 2, 4, 4)
    assert torch.allclose(latents[:, 1], (raw[:, 1] + 0.1) / 0.8, atol=1e-5)


def test_after_an_error_nothing_is_watched_and_nothing_kept(vae: Any) -> None:
    def stop() -> None:
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"), watched(vae, "encoder", stop):
        encode(vae, torch.zeros(1, 3, 1, 16, 16))
    assert not vae.encoder._forward_pre_hooks
    assert vae._enc_feat_map == [None] * len(vae._enc_feat_map)
    with torch.inference_mode():
        encode(vae, torch.zeros(1, 3, 1, 16, 16))
