from __future__ import annotations

import io
from typing import Any

import pytest
import torch
from PIL import Image

from pipelines.latents import encode
from pipelines.previews import SDXL_LATENT_TO_RGB, LatentToRgb, latent_to_rgb, sprite


@pytest.mark.parametrize(
    ("latent", "tile"),
    [((128, 128), (128, 128)), ((32, 32), (128, 128)), ((104, 152), (128, 88)), ((192, 96), (64, 128))],
)
def test_tiles_are_small_and_keep_their_shape(latent: tuple[int, int], tile: tuple[int, int]) -> None:
    rgb = torch.zeros((6, *latent, 3), dtype=torch.uint8)
    with Image.open(io.BytesIO(sprite(rgb))) as image:
        assert image.format == "WEBP"
        assert image.size == (tile[0] * 6, tile[1])


def test_tiles_stand_in_the_order_of_the_pictures() -> None:
    rgb = torch.zeros((3, 8, 8, 3), dtype=torch.uint8)
    for i in range(3):
        rgb[i, ..., i] = 255
    with Image.open(io.BytesIO(sprite(rgb))) as image:
        strongest = [max(range(3), key=image.convert("RGB").getpixel((64 + 128 * i, 64)).__getitem__) for i in range(3)]
    assert strongest == [0, 1, 2]


def colours(count: int, grid: int, seed: int) -> torch.Tensor:
    patches = torch.rand((count, 3, grid, grid), generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(patches, size=(32, 32), mode="bilinear")


@pytest.fixture
def colour_vae(tiny_pipe: Any) -> Any:
    """A real VAE whose encoder was taught, in a second, to put colours into its latents."""
    from tests.unit.pipelines.tiny_sdxl import build

    vae = build(seed=3).vae
    optimizer = torch.optim.Adam(vae.parameters(), lr=3e-3)
    for step in range(60):
        pixels = colours(8, 3, seed=100 + step)
        target = torch.nn.functional.avg_pool2d(pixels, 4) * 4 - 2
        loss = (encode(vae, pixels * 2 - 1)[:, :3] - target).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return vae.eval().requires_grad_(False)


def test_the_fitted_map_shows_the_colours_that_were_encoded(colour_vae: Any) -> None:
    pixels = colours(4, 2, seed=9)
    shown = latent_to_rgb(colour_vae).tiles(encode(colour_vae, pixels * 2 - 1)).float() / 255
    expected = torch.nn.functional.avg_pool2d(pixels, 4).permute(0, 2, 3, 1)
    error = (shown - expected).pow(2).mean()
    grey = (expected.mean(dim=(0, 1, 2)) - expected).pow(2).mean()
    assert error < grey / 4


def test_sdxls_own_vae_takes_the_published_map() -> None:
    from diffusers import AutoencoderKL

    small = {"layers_per_block": 1, "norm_num_groups": 4, "block_out_channels": (4, 4, 4, 4)}
    blocks = {"down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4}
    assert latent_to_rgb(AutoencoderKL(**small, **blocks, scaling_factor=0.13025)) is SDXL_LATENT_TO_RGB
    with torch.inference_mode():
        assert latent_to_rgb(AutoencoderKL(**small, **blocks, scaling_factor=0.2)) is not SDXL_LATENT_TO_RGB


def test_numbers_out_of_range_and_nan_still_make_a_tile() -> None:
    to_rgb = LatentToRgb(weights=torch.eye(4)[:, :3], bias=torch.zeros(3))
    latents = torch.tensor([float("nan"), float("inf"), -5.0, 1.0]).view(1, 4, 1, 1).expand(1, 4, 2, 2)
    assert to_rgb.tiles(latents).shape == (1, 2, 2, 3)
