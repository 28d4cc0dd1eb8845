"""Pictures and storage of real kinds, at small sizes."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from studio.media.storage import MediaStorage


@pytest.fixture
def media_storage(tmp_path: Path) -> MediaStorage:
    return MediaStorage((tmp_path / "media files").as_uri())


@pytest.fixture(scope="session")
def encode() -> Callable[..., bytes]:
    """Encode a picture: `encode(image, "JPEG", **options)`."""

    def encoded(picture: Image.Image, file_format: str = "PNG", **options: Any) -> bytes:
        file = io.BytesIO()
        picture.save(file, file_format, **options)
        return file.getvalue()

    return encoded


@pytest.fixture(scope="session")
def noise_png(encode: Callable[..., bytes]) -> bytes:
    """A PNG of 48 x 32 pixels whose pixels do not compress."""
    return encode(Image.effect_noise((48, 32), 80).convert("RGB"))
