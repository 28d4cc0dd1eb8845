from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from pipelines import references
from pipelines.contract import InvalidRequest
from pipelines.references import open_mask, open_picture


def halves(size: tuple[int, int], left: object, right: object, mode: str = "RGB") -> Image.Image:
    image = Image.new(mode, size, left)
    image.paste(right, (size[0] // 2, 0, *size))
    return image


def test_a_picture_covers_the_size_and_is_cropped_in_the_centre(tmp_path: Path) -> None:
    path = tmp_path / "wide.png"
    halves((400, 100), "red", "blue").save(path)
    image = open_picture(path, 64, 64)
    assert (image.mode, image.size) == ("RGB", (64, 64))
    assert image.getpixel((2, 32)) == (255, 0, 0)
    assert image.getpixel((61, 32)) == (0, 0, 255)


def test_a_phone_picture_stands_upright(tmp_path: Path) -> None:
    path = tmp_path / "phone.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    halves((64, 64), "red", "blue").save(path, exif=exif, quality=95)
    image = open_picture(path, 64, 64)
    top, bottom = image.getpixel((32, 5)), image.getpixel((32, 58))
    assert isinstance(top, tuple)
    assert isinstance(bottom, tuple)
    assert top[0] > 200 > 60 > top[2]
    assert bottom[2] > 200 > 60 > bottom[0]


def test_transparency_becomes_white(tmp_path: Path) -> None:
    path = tmp_path / "clear.png"
    Image.new("RGBA", (8, 8), (255, 0, 0, 0)).save(path)
    assert open_picture(path, 8, 8).getpixel((4, 4)) == (255, 255, 255)


@pytest.mark.parametrize(("mode", "black", "white"), [("L", 0, 255), ("1", 0, 1), ("RGBA", (0, 0, 0, 0), (255,) * 4)])
def test_a_mask_of_another_size_and_mode_lies_over_its_picture(
    mode: str, black: object, white: object, tmp_path: Path
) -> None:
    Image.new("RGB", (400, 100)).save(tmp_path / "picture.png")
    halves((40, 10), black, white, mode).save(tmp_path / "mask.png")
    mask = open_mask(tmp_path / "mask.png", tmp_path / "picture.png", 64, 64)
    assert (mask.mode, mask.size) == ("L", (64, 64))
    assert mask.getpixel((10, 32)) == 0
    assert mask.getpixel((53, 32)) == 255


@pytest.mark.parametrize("content", [b"", b"<svg/>", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
def test_what_is_no_picture_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file.png"
    path.write_bytes(content)
    with pytest.raises(InvalidRequest, match="cannot be read"):
        open_picture(path, 8, 8)


def test_a_truncated_picture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "half.png"
    Image.effect_noise((64, 64), 50).save(path)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(InvalidRequest, match="cannot be read"):
        open_picture(path, 8, 8)


def test_a_huge_picture_is_refused_before_it_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "big.png"
    Image.new("L", (200, 200)).save(path)
    monkeypatch.setattr(references, "MAX_PIXELS", 1_000)
    with pytest.raises(InvalidRequest, match="megapixels"):
        open_picture(path, 8, 8)
