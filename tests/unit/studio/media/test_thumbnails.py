from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from PIL import Image

from studio.errors import StorageFailed
from studio.media.thumbnails import thumbnails


@pytest.mark.parametrize(
    ("shape", "small", "large"),
    [((1024, 512), (256, 128), (768, 384)), ((300, 600), (128, 256), (300, 600)), ((64, 40), (64, 40), (64, 40))],
)
def test_sizes_keep_the_shape_and_never_grow(
    encode: Callable[..., bytes], shape: tuple[int, int], small: tuple[int, int], large: tuple[int, int]
) -> None:
    made = thumbnails(encode(Image.new("RGB", shape, (200, 30, 30))))
    for size, expected in ((256, small), (768, large)):
        with Image.open(io.BytesIO(made[size])) as copy:
            assert (copy.format, copy.size) == ("WEBP", expected)
            red, green, blue = copy.convert("RGB").getpixel((3, 3))
            assert abs(red - 200) < 12
            assert abs(green - 30) < 12
            assert abs(blue - 30) < 12


def test_transparency_stays(encode: Callable[..., bytes]) -> None:
    made = thumbnails(encode(Image.new("RGBA", (300, 300), (0, 0, 0, 0))))
    with Image.open(io.BytesIO(made[256])) as copy:
        assert copy.mode == "RGBA"


def test_a_cut_off_picture_is_no_thumbnail(noise_png: bytes) -> None:
    with pytest.raises(StorageFailed):
        thumbnails(noise_png[: len(noise_png) // 2])
