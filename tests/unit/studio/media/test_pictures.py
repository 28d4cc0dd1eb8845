from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageCms

from studio.errors import InvalidInput, StudioError, TooLarge, UnsupportedMedia
from studio.media.pictures import MAX_UPLOAD_BYTES, Picture, open_picture

Encode = Callable[..., bytes]


def pixels(picture: Picture) -> Image.Image:
    with Image.open(io.BytesIO(picture.png)) as opened:
        opened.load()
        assert (opened.format, opened.size) == ("PNG", (picture.width, picture.height))
        return opened.copy()


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP"])
def test_common_formats_become_plain_png(encode: Encode, tmp_path: Path, file_format: str) -> None:
    data = encode(Image.new("RGB", (40, 24), (10, 200, 30)), file_format, quality=95)
    (tmp_path / "named.gif").write_bytes(data)
    for source in (data, tmp_path / "named.gif"):
        opened = pixels(open_picture(source))
        assert (opened.mode, opened.size) == ("RGB", (40, 24))
        assert all(abs(got - want) < 6 for got, want in zip(opened.getpixel((5, 5)), (10, 200, 30), strict=True))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("mask", [False, True])
def test_every_mode_of_a_png_is_taken(encode: Encode, mode: str, mask: bool) -> None:
    assert pixels(open_picture(encode(Image.new(mode, (20, 20))), mask=mask)).mode == ("L" if mask else "RGB")


def test_cmyk_becomes_rgb(encode: Encode) -> None:
    opened = pixels(open_picture(encode(Image.new("CMYK", (20, 20), (0, 255, 255, 0)), "JPEG", quality=95)))
    red, green, _ = opened.getpixel((5, 5))
    assert red > 200
    assert green < 60


@pytest.mark.parametrize("mask", [False, True])
def test_sixteen_bits_become_eight_without_clipping(encode: Encode, mask: bool) -> None:
    grey = Image.new("I;16", (20, 20), 128 * 256)
    assert pixels(open_picture(encode(grey), mask=mask)).convert("L").getpixel((3, 3)) == 128


def test_a_turned_photograph_is_set_upright_without_its_metadata(encode: Encode) -> None:
    picture = Image.new("RGB", (40, 20), "black")
    picture.paste("white", (0, 0, 10, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise
    exif[0x010E] = "taken at home"
    made = open_picture(encode(picture, exif=exif.tobytes()))
    opened = pixels(made)
    assert opened.size == (20, 40)
    assert opened.getpixel((10, 2)) == (255, 255, 255)
    assert opened.getpixel((10, 30)) == (0, 0, 0)
    assert b"taken at home" not in made.png
    assert not opened.getexif()


def test_transparent_parts_become_white_and_in_a_mask_black(encode: Encode) -> None:
    data = encode(Image.new("RGBA", (20, 20), (200, 200, 200, 0)))
    assert pixels(open_picture(data)).getpixel((1, 1)) == (255, 255, 255)
    assert pixels(open_picture(data, mask=True)).getpixel((1, 1)) == 0


def test_colour_profiles_are_applied_and_broken_ones_ignored(encode: Encode) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for icc in (profile, b"no profile"):
        made = open_picture(encode(Image.new("RGB", (20, 20), (10, 20, 30)), icc_profile=icc))
        assert pixels(made).getpixel((1, 1)) == (10, 20, 30)
        assert "icc_profile" not in pixels(made).info


def with_size(png: bytes, width: int, height: int) -> bytes:
    """The PNG with another size in its header."""
    header = b"IHDR" + struct.pack(">II", width, height) + png[24:29]
    return png[:12] + header + struct.pack(">I", zlib.crc32(header)) + png[33:]


@pytest.mark.parametrize("size", [(10_000, 6_000), (60_000, 60_000), (20_000, 100)])
def test_too_many_pixels_are_refused_by_the_header_alone(noise_png: bytes, size: tuple[int, int]) -> None:
    # The file has no pixels at all: decoding it would say that it is damaged.
    with pytest.raises(TooLarge, match="40 megapixels") as refused:
        open_picture(with_size(noise_png, *size)[:60])
    assert refused.value.status == 413


def test_a_real_picture_of_sixty_megapixels_is_refused(encode: Encode) -> None:
    with pytest.raises(TooLarge, match="10000 x 6000"):
        open_picture(encode(Image.new("1", (10_000, 6_000))))


def test_too_many_bytes_are_refused_unread(tmp_path: Path) -> None:
    large = tmp_path / "large.png"
    with large.open("wb") as file:
        file.truncate(MAX_UPLOAD_BYTES + 1)
    with pytest.raises(TooLarge, match="20 MB"):
        open_picture(large)


def test_tiny_pictures_are_refused(encode: Encode) -> None:
    with pytest.raises(InvalidInput, match="at least 16"):
        open_picture(encode(Image.new("RGB", (300, 15))))


@pytest.mark.parametrize("file_format", ["PNG", "WEBP"])
def test_animations_are_refused(encode: Encode, file_format: str) -> None:
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue")]
    with pytest.raises(UnsupportedMedia, match="animated") as refused:
        open_picture(encode(frames[0], file_format, save_all=True, append_images=frames[1:]))
    assert refused.value.status == 415


def others(encode: Encode) -> dict[str, bytes]:
    picture = Image.new("RGB", (32, 32))
    return {
        "text": b"this is a text file\n" * 20,
        "html": b"<!doctype html><script>alert(1)</script>",
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
        "gif": encode(picture, "GIF"),
        "bmp": encode(picture, "BMP"),
        "tiff": encode(picture, "TIFF"),
        "pdf": encode(picture, "PDF"),
        "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n",
        "empty": b"",
        "html before a picture": b"<html>" + encode(picture),
        "wave": b"RIFF\x24\0\0\0WAVEfmt ",
    }


@pytest.mark.parametrize(
    "name",
    ["text", "html", "svg", "gif", "bmp", "tiff", "pdf", "eps", "empty", "html before a picture", "wave"],
)
def test_other_files_are_refused(encode: Encode, name: str) -> None:
    with pytest.raises(UnsupportedMedia, match=r"no picture that|empty"):
        open_picture(others(encode)[name])


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP"])
def test_cut_off_files_are_refused(encode: Encode, file_format: str) -> None:
    data = encode(Image.effect_noise((64, 64), 90).convert("RGB"), file_format)
    with pytest.raises(UnsupportedMedia, match="damaged"):
        open_picture(data[: len(data) // 2])


def test_nothing_but_pixels_survives_of_a_polyglot(encode: Encode) -> None:
    data = encode(Image.new("RGB", (32, 32))) + b"PK\x03\x04<script>alert(1)</script>"
    assert b"script" not in open_picture(data).png


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning", "ignore:Truncated File Read:UserWarning")
@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP"])
def test_damage_anywhere_is_a_sentence_and_never_a_crash(encode: Encode, file_format: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    options: dict[str, Any] = {"exif": exif.tobytes()}
    good = encode(Image.effect_noise((48, 32), 50).convert("RGB"), file_format, **options)
    chance = random.Random(7)
    sentences: list[str] = []
    for _ in range(300):
        data = bytearray(good)
        for _ in range(chance.choice((1, 4, 16))):
            data[chance.randrange(12, min(len(data), 300))] = chance.randrange(256)
        try:
            open_picture(bytes(data))
        except StudioError as refused:
            sentences.append(refused.message)
    assert sentences
    assert all(sentence.endswith(".") for sentence in sentences)
