from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from studio.errors import UnfitFile
from studio.media.films import MAX_HOVER_BYTES, STILLS, Announced, check_film, stills_of
from tests.small_films import film_at, moving_frames, noisy_frames


def announced(**changes: Any) -> Announced:
    return Announced(**{"width": 80, "height": 48, "frames": 9, "fps": 8.0, **changes})


def opened(webp: bytes) -> Image.Image:
    return Image.open(io.BytesIO(webp))


def shown(webp: bytes) -> list[NDArray[np.int64]]:
    """The frames of a WebP, as numbers."""
    with opened(webp) as moving:
        frames = []
        for number in range(getattr(moving, "n_frames", 1)):
            moving.seek(number)
            frames.append(np.asarray(moving.convert("RGB")).astype(int))
        return frames


@pytest.fixture
def film_path(tmp_path: Path) -> Path:
    return film_at(tmp_path / "a.mp4").path


def test_a_film_is_what_was_announced(film_path: Path) -> None:
    check_film(film_path, announced())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"width": 96}, "announced 9 of 96 x 48"),
        ({"height": 64}, "announced 9 of 80 x 64"),
        ({"frames": 13}, "announced 13 of"),
        ({"fps": 16.0}, "of 8 frames a second"),
    ],
)
def test_another_film_than_announced_is_refused(film_path: Path, changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnfitFile, match=reason):
        check_film(film_path, announced(**changes))


def test_another_codec_and_no_film_are_refused(film_path: Path) -> None:
    data = film_path.read_bytes()
    film_path.write_bytes(data.replace(b"avc1\0\0", b"hvc1\0\0", 1))
    with pytest.raises(UnfitFile, match=r"H\.264"):
        check_film(film_path, announced())
    film_path.write_bytes(data[:200])
    with pytest.raises(UnfitFile, match="broken film"):
        check_film(film_path, announced())


def test_the_poster_is_the_middle_in_both_sizes(tmp_path: Path) -> None:
    frames = moving_frames(17, 1024, 512)
    made = stills_of(film_at(tmp_path / "a.mp4", frames).path, announced(width=1024, height=512, frames=17))
    for size, expected in ((768, (768, 384)), (256, (256, 128))):
        with opened(made.poster[size]) as poster:
            assert (poster.format, poster.size, getattr(poster, "n_frames", 1)) == ("WEBP", expected, 1)
    nearest = [np.abs(shown(made.poster[768])[0] - _at(frame, 768)).mean() for frame in frames]
    assert int(np.argmin(nearest)) in (8, 9)


def _at(frame: NDArray[np.uint8], width: int) -> NDArray[np.int64]:
    height = round(frame.shape[0] * width / frame.shape[1])
    return np.asarray(Image.fromarray(frame).resize((width, height))).astype(int)


def test_a_film_that_fades_to_black_in_the_middle_has_another_poster(tmp_path: Path) -> None:
    frames = moving_frames(9)
    frames[3:7] = 0
    poster = shown(stills_of(film_at(tmp_path / "a.mp4", frames).path, announced()).poster[256])[0]
    assert poster.mean() > 40


@pytest.mark.parametrize(("count", "kept"), [(1, 1), (5, 5), (12, 12), (41, STILLS)])
def test_the_hover_preview_moves_from_the_first_frame_to_the_last(tmp_path: Path, count: int, kept: int) -> None:
    frames = moving_frames(count, 320, 192)
    made = stills_of(film_at(tmp_path / "a.mp4", frames).path, announced(width=320, height=192, frames=count))
    with opened(made.hover) as moving:
        assert (moving.format, moving.size, getattr(moving, "n_frames", 1)) == ("WEBP", (256, 154), kept)
        if kept > 1:
            moving.seek(1)
            moving.load()
            assert (moving.info["duration"], moving.info["loop"]) == (125, 0)
    seen = shown(made.hover)
    for frame, original in ((seen[0], frames[0]), (seen[-1], frames[-1])):
        wanted = np.asarray(Image.fromarray(original).resize((256, 154))).astype(int)
        assert np.abs(frame - wanted).mean() < 8


def test_the_hover_preview_of_noise_stays_under_its_limit(tmp_path: Path) -> None:
    path = film_at(tmp_path / "a.mp4", noisy_frames(12, 256, 256)).path
    assert len(stills_of(path, announced(width=256, height=256, frames=12)).hover) <= MAX_HOVER_BYTES


def test_a_film_with_fewer_frames_than_its_tables_say_is_refused(tmp_path: Path) -> None:
    path = film_at(tmp_path / "a.mp4", noisy_frames(24)).path
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"mdat") + 30_000])
    with pytest.raises(UnfitFile, match="cannot be decoded"):
        stills_of(path, announced(frames=24))
    for count in (23, 25):
        path.write_bytes(data)
        with pytest.raises(UnfitFile, match="the film holds"):
            stills_of(path, announced(frames=count))
