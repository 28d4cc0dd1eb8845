"""Opening pictures that people bring. Nothing about such a file is believed: what it is gets decided by its content,
its size in pixels is checked before a pixel is decoded, and only a fresh PNG made from the pixels is kept."""

from __future__ import annotations

import io
import logging
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageCms, ImageOps

from studio.errors import InvalidInput, TooLarge, UnsupportedMedia

logger = logging.getLogger(__name__)

MAX_UPLOAD_BYTES = 20 * 1024 * 1024
MAX_PIXELS = 40_000_000
MAX_SIDE_PX = 16_384
MIN_SIDE_PX = 16
_PNG_COMPRESSION = 1
"""Four times as quick as Pillow's default of 6, and the file only waits to be read by a worker."""
_MAGIC = ((b"\x89PNG\r\n\x1a\n", "PNG"), (b"\xff\xd8\xff", "JPEG"))
_UNREADABLE = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    LookupError,
    OverflowError,
    TypeError,
    struct.error,
    zlib.error,
)
"""What Pillow's decoders raise on damaged files, and its EXIF reader on damaged metadata."""

UNKNOWN = "This file is no picture that the studio reads. Bring a PNG, JPEG or WebP file."
DAMAGED = "This picture is damaged or incomplete. Save it again and bring the new file."
ANIMATED = "This picture is animated. Bring a single frame of it."


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A checked picture: `png` holds it upright, without metadata, as 8-bit RGB, or 8-bit grey for a mask."""

    png: bytes
    width: int
    height: int


def open_picture(source: bytes | Path, *, mask: bool = False) -> Picture:
    """Check a picture that somebody brought and make it a plain PNG.

    Colours become sRGB; transparent parts become white, or black in a mask, where white is what gets repainted.
    Raises TooLarge (bytes or pixels), UnsupportedMedia (no PNG, JPEG or WebP; animated; damaged) or InvalidInput
    (too small).
    """
    data = _bytes_of(source)
    kind = _kind_of(data)
    try:
        with Image.open(io.BytesIO(data), formats=[kind]) as opened:
            _check_shape(opened, kind)
            upright = ImageOps.exif_transpose(opened)
            plain = _grey(upright) if mask else _rgb(upright)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise TooLarge(_too_many_pixels()) from error
    except _UNREADABLE as error:
        logger.info("a picture was refused as damaged: %s", error)
        raise UnsupportedMedia(DAMAGED) from error
    plain.info = {}  # Pillow would write a colour profile that it finds here.
    file = io.BytesIO()
    plain.save(file, "PNG", compress_level=_PNG_COMPRESSION)
    return Picture(png=file.getvalue(), width=plain.width, height=plain.height)


def _bytes_of(source: bytes | Path) -> bytes:
    size = source.stat().st_size if isinstance(source, Path) else len(source)
    if size > MAX_UPLOAD_BYTES:
        limit = MAX_UPLOAD_BYTES // (1024 * 1024)
        raise TooLarge(f"This file has {size / (1024 * 1024):.1f} MB. At most {limit} MB can be brought.")
    return source.read_bytes() if isinstance(source, Path) else source


def _kind_of(data: bytes) -> str:
    for magic, kind in _MAGIC:
        if data.startswith(magic):
            return kind
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    raise UnsupportedMedia(UNKNOWN if data else "This file is empty.")


def _check_shape(opened: Image.Image, kind: str) -> None:
    """Refuse by what the header says. Raises before anything is decoded."""
    width, height = opened.size
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE_PX:
        raise TooLarge(_too_many_pixels(width, height))
    if min(width, height) < MIN_SIDE_PX:
        raise InvalidInput(f"This picture has {width} x {height} pixels. Both sides need at least {MIN_SIDE_PX}.")
    # A JPEG with several pictures in it holds one photograph and its copies (previews, depth), not an animation.
    if kind != "JPEG" and getattr(opened, "n_frames", 1) > 1:
        raise UnsupportedMedia(ANIMATED)


def _too_many_pixels(width: int | None = None, height: int | None = None) -> str:
    shape = "too many pixels" if width is None else f"{width} x {height} pixels"
    return f"This picture has {shape}. At most {MAX_PIXELS // 1_000_000} megapixels can be brought; make it smaller."


def _rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith(("I", "F")):
        return _eight_bit(picture).convert("RGB")
    if picture.has_transparency_data:
        return _flat(picture, "white")
    profile = picture.info.get("icc_profile")
    if profile and picture.mode in ("RGB", "CMYK"):
        return _to_srgb(picture, profile)
    return picture.convert("RGB")


def _grey(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith(("I", "F")):
        return _eight_bit(picture)
    return (_flat(picture, "black") if picture.has_transparency_data else picture).convert("L")


def _flat(picture: Image.Image, background: str) -> Image.Image:
    layer = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, background), layer).convert("RGB")


def _eight_bit(picture: Image.Image) -> Image.Image:
    """Grey of 16 bits as grey of 8: Pillow's own conversion clips at 255 and turns nearly everything white."""
    return picture.convert("I").point(lambda value: value / 256).convert("L")


def _to_srgb(picture: Image.Image, profile: bytes) -> Image.Image:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        changed = ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
        logger.info("a colour profile was ignored: %s", error)
        changed = None
    return changed if changed is not None else picture.convert("RGB")
