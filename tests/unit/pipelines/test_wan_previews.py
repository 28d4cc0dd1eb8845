from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pipelines.previews import LatentToRgb
from pipelines.wan_previews import WAN_LATENT_TO_RGB, film_preview, wan_latent_to_rgb
from tests.unit.pipelines.wan_runs import loaded_pipe

GREY = LatentToRgb(weights=torch.eye(4)[:, :3], bias=torch.zeros(3))


def brightening(frames: int) -> torch.Tensor:
    """Latents that go from black to white in `frames` frames."""
    return torch.linspace(0, 1, frames).view(1, -1, 1, 1).expand(4, -1, 10, 16)


@pytest.mark.parametrize(("latent_frames", "shown"), [(2, 2), (5, 5), (21, 8)])
def test_a_film_is_a_few_frames_that_last_as_long_as_it(latent_frames: int, shown: int) -> None:
    webp = film_preview(GREY, brightening(latent_frames), 4.0)
    with Image.open(io.BytesIO(webp)) as film:
        assert (film.format, film.n_frames, film.size) == ("WEBP", shown, (192, 120))
        assert film.info["loop"] == 0
        levels, total_ms = [], 0
        for i in range(film.n_frames):
            film.seek(i)
            levels.append(float(np.asarray(film.convert("L")).mean()))
            total_ms += film.info["duration"]
    assert levels == sorted(levels)
    assert levels[0] < 10
    assert levels[-1] > 245
    assert abs(total_ms - 4000) <= shown


def test_the_published_vae_takes_the_published_map() -> None:
    from diffusers import AutoencoderKLWan

    vae = AutoencoderKLWan(base_dim=4, num_res_blocks=1)
    assert wan_latent_to_rgb(vae) is WAN_LATENT_TO_RGB
    assert WAN_LATENT_TO_RGB.tiles(torch.zeros(1, 16, 2, 2)).float().mean() == pytest.approx(101.7, abs=2)


def test_another_vae_has_its_map_fitted(wan: Any) -> None:
    with torch.inference_mode():
        fitted = wan_latent_to_rgb(loaded_pipe(wan).vae)
    assert fitted.weights.shape == (4, 3)
    assert torch.isfinite(fitted.weights).all()
