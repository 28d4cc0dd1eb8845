"""Open the pictures and masks that people send. Pillow only."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from pipelines.contract import InvalidRequest

# Pillow itself warns of a decompression bomb at this many pixels; here it is an error, and told before decoding.
MAX_PIXELS = 89_000_000
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")


def open_picture(path: Path, width: int, height: int) -> Image.Image:
    """Return the picture as RGB of `width` x `height` pixels: upright, centre-cropped. Raises InvalidRequest."""
    return _cover(_flatten(_open(path), "white"), width, height)


def open_mask(path: Path, picture: Path, width: int, height: int) -> Image.Image:
    """Return the mask as L of `width` x `height` pixels, white to repaint, cropped as `open_picture` crops `picture`.

    The mask is laid over the whole picture first, whatever its own size. Raises InvalidRequest.
    """
    size = _open(picture).size
    mask = _flatten(_open(path), "black").convert("L").resize(size, Image.Resampling.BILINEAR)
    return _cover(mask, width, height)


def _open(path: Path) -> Image.Image:
    try:
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise InvalidRequest(
                    f"The picture has more than {MAX_PIXELS // 1_000_000} megapixels. Send a smaller one."
                )
            image.load()
            return ImageOps.exif_transpose(image)
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise InvalidRequest("The reference picture cannot be read. Send a PNG, JPEG or WebP file.") from error


def _flatten(image: Image.Image, colour: str) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    background = Image.new("RGBA", image.size, colour)
    return Image.alpha_composite(background, image.convert("RGBA")).convert("RGB")


def _cover(image: Image.Image, width: int, height: int) -> Image.Image:
    return ImageOps.fit(image, (width, height), Image.Resampling.LANCZOS)
