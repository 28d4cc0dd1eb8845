from __future__ import annotations

import io

import pytest
from PIL import Image

from studio.media.png import BrokenPng, chunks, dimensions, with_texts


def pixel_chunks(png: bytes) -> list[bytes]:
    return [bytes(chunk.raw) for chunk in chunks(png) if chunk.name == b"IDAT"]


def test_texts_go_after_the_header_and_pixels_stay_byte_for_byte(noise_png: bytes) -> None:
    stamped = with_texts(noise_png, {"latin": "grün\nzwei", "wide": "猫 and 🐈"})
    names = [chunk.name for chunk in chunks(stamped)]
    assert names[:3] == [b"IHDR", b"tEXt", b"iTXt"]
    assert pixel_chunks(stamped) == pixel_chunks(noise_png)
    without = b"".join(bytes(chunk.raw) for chunk in chunks(stamped) if chunk.name not in (b"tEXt", b"iTXt"))
    assert noise_png.endswith(without)
    with Image.open(io.BytesIO(stamped)) as picture:
        picture.load()
        assert picture.info["latin"] == "grün\nzwei"
        assert picture.info["wide"] == "猫 and 🐈"


def test_stamping_again_replaces(noise_png: bytes) -> None:
    once = with_texts(noise_png, {"key": "one"})
    twice = with_texts(once, {"key": "two"})
    assert twice == with_texts(noise_png, {"key": "two"})


def test_characters_that_a_chunk_cannot_hold_do_not_break_it(noise_png: bytes) -> None:
    stamped = with_texts(noise_png, {"key": "a\0b\ud800c"})
    with Image.open(io.BytesIO(stamped)) as picture:
        assert picture.info["key"] == "ab?c"


def test_dimensions_need_the_header_alone(noise_png: bytes) -> None:
    assert dimensions(noise_png[:40]) == (48, 32)


def damaged(png: bytes) -> list[bytes]:
    flipped = bytearray(png)
    flipped[len(png) // 2] ^= 1
    return [b"", b"text", png[:-1], png[: len(png) // 2], png + b"PK\x03\x04", bytes(flipped), png[:8] + png[33:]]


@pytest.mark.parametrize("which", range(7))
def test_damaged_files_are_refused(noise_png: bytes, which: int) -> None:
    with pytest.raises(BrokenPng):
        with_texts(damaged(noise_png)[which], {"key": "text"})
