"""Small WebP copies for grids and lists: of a picture, and of the frames of a film."""

from __future__ import annotations

import io
from collections.abc import Sequence

from PIL import Image

from studio.errors import StorageFailed

SMALL, LARGE = 256, 768
SIZES = (SMALL, LARGE)
"""Longer side in pixels: a grid's tile, and the workspace's strip."""
_WEBP_QUALITY = 82
_MOVING_QUALITIES = (70, 40, 10)
_WEBP_METHOD = 2
"""0 is fast, 6 is small: at 2 a 768-pixel copy takes about 20 ms and is a few percent larger than at 4."""


def thumbnails(png: bytes) -> dict[int, bytes]:
    """WebP copies of the PNG by the length of their longer side, never larger than the picture itself.

    The picture is decoded once; the small copy is made from the large one. Raises StorageFailed where it cannot be
    decoded: the picture is ours, so nobody outside is to blame.
    """
    try:
        with Image.open(io.BytesIO(png), formats=["PNG"]) as picture:
            picture.load()
            copy: Image.Image = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    except (OSError, ValueError, SyntaxError) as error:
        raise StorageFailed("The finished picture cannot be decoded, so it was not stored.") from error
    return small_copies(copy)


def small_copies(picture: Image.Image) -> dict[int, bytes]:
    """WebP copies of a decoded picture by the length of their longer side. `picture` itself is left small."""
    made = {}
    for size in sorted(SIZES, reverse=True):
        picture.thumbnail((size, size), Image.Resampling.LANCZOS, reducing_gap=3.0)
        made[size] = _webp(picture)
    return made


def moving_copy(frames: Sequence[Image.Image], frame_ms: int, max_bytes: int) -> bytes:
    """An animated WebP of `frames`, each shown for `frame_ms`, over and over, its longer side at most SMALL pixels.

    The quality falls until it has at most `max_bytes`. `frames` are left small.
    """
    for frame in frames:
        frame.thumbnail((SMALL, SMALL), Image.Resampling.LANCZOS)
    for quality in _MOVING_QUALITIES:
        file = io.BytesIO()
        options = {"save_all": True, "append_images": frames[1:], "duration": frame_ms, "loop": 0}
        frames[0].save(file, "WEBP", quality=quality, method=_WEBP_METHOD, **options)
        if file.tell() <= max_bytes:
            break
    return file.getvalue()


def _webp(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "WEBP", quality=_WEBP_QUALITY, method=_WEBP_METHOD)
    return file.getvalue()
