from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from studio.errors import NotFound, StorageFailed, StorageFull, TooLarge
from studio.media.storage import (
    MAX_ENCODED_FILM_BYTES,
    MP4,
    PNG,
    MediaStorage,
    asset_key,
    hover_key,
    job_folders,
    thumbnail_key,
    upload_key,
)

KEY = asset_key("sdxl_image_fast", "user", "job", 0, "png")
BODY = PNG.magic + bytes(range(200))


def files_under(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_keys_follow_the_contract() -> None:
    assert KEY == "sdxl_image_fast/user/job/0.png"
    assert thumbnail_key(KEY, 256) == "thumbnails/sdxl_image_fast/user/job/0-256.webp"
    assert hover_key(asset_key("video_fast", "user", "job", 0, "mp4")) == "thumbnails/video_fast/user/job/0-hover.webp"
    assert upload_key("user", "id") == "uploads/user/id.png"


def test_a_jobs_folders_hold_all_of_its_files() -> None:
    film = asset_key("video_fast", "user", "job", 0, "mp4")
    originals, copies = job_folders("video_fast", "user", "job")
    assert film.startswith(f"{originals}/")
    assert all(key.startswith(f"{copies}/") for key in (thumbnail_key(film, 256), hover_key(film)))


def test_a_film_that_fills_its_limit_has_room_for_its_texts() -> None:
    assert MAX_ENCODED_FILM_BYTES + 500_000 < MP4.max_bytes == 100 * 1024 * 1024


def test_what_is_put_can_be_read_measured_and_deleted(media_storage: MediaStorage) -> None:
    media_storage.put_bytes(KEY, BODY)
    assert media_storage.read(KEY) == BODY
    assert media_storage.size(KEY) == len(BODY)
    media_storage.delete([KEY, KEY])
    with pytest.raises(NotFound):
        media_storage.size(KEY)


def test_a_file_is_put_and_overwritten(media_storage: MediaStorage, tmp_path: Path) -> None:
    source = tmp_path / "picture.png"
    for body in (BODY, PNG.magic + b"other"):
        source.write_bytes(body)
        media_storage.put_file(KEY, source)
        assert media_storage.read(KEY) == body


@pytest.mark.parametrize(("start", "end"), [(0, None), (0, 1), (5, 100), (207, 208), (100, None), (8, 8)])
def test_ranges_are_streamed(media_storage: MediaStorage, start: int, end: int | None) -> None:
    media_storage.put_bytes(KEY, BODY)
    assert b"".join(media_storage.stream(KEY, start, end)) == BODY[start:end]


def test_a_large_file_is_streamed_in_pieces(media_storage: MediaStorage) -> None:
    body = PNG.magic + os.urandom(3_000_000)
    media_storage.put_bytes(KEY, body)
    pieces = list(media_storage.stream(KEY))
    assert len(pieces) > 1
    assert b"".join(pieces) == body


def test_streaming_a_missing_file_fails_before_the_first_piece(media_storage: MediaStorage) -> None:
    with pytest.raises(NotFound):
        media_storage.stream(KEY)
    with pytest.raises(NotFound):
        media_storage.stream(KEY, 0, 10)


@pytest.mark.parametrize(
    "key",
    [
        "../out.png",
        "a/../../out.png",
        "/etc/x.png",
        "a//b.png",
        "a/./b.png",
        "a/b\x00.png",
        "a/%2e%2e/b.png",
        "a\\..\\b.png",
        "",
        "x.png",
        "a/.hidden.png",
        "a/b..png",
    ],
)
def test_keys_that_leave_the_store_or_hide_in_it_are_refused(media_storage: MediaStorage, key: str) -> None:
    with pytest.raises(StorageFailed):
        media_storage.put_bytes(key, BODY)
    with pytest.raises(StorageFailed):
        media_storage.read(key)
    with pytest.raises(StorageFailed):
        media_storage.delete([key])


@pytest.mark.parametrize(
    ("key", "body"),
    [
        ("bucket/u/j/0.gif", b"GIF89a"),
        ("bucket/u/j/0.webp", b"RIFF\0\0\0\0WEBP"),
        ("bucket/u/j/0", BODY),
        ("bucket/u/j/0.png", b"<html></html>"),
        ("bucket/u/j/0.mp4", BODY),
        ("thumbnails/b/u/j/0-256.png", BODY),
        ("uploads/u/id.mp4", b"\0\0\0\x20ftypisom"),
    ],
)
def test_other_formats_are_refused(media_storage: MediaStorage, tmp_path: Path, key: str, body: bytes) -> None:
    with pytest.raises(StorageFailed):
        media_storage.put_bytes(key, body)
    assert files_under(tmp_path / "media files") == []


def test_sizes_are_limited_by_format(media_storage: MediaStorage, tmp_path: Path) -> None:
    with pytest.raises(TooLarge, match="20 MB"):
        media_storage.put_bytes(KEY, PNG.magic + bytes(PNG.max_bytes))
    film = tmp_path / "film.mp4"
    with film.open("wb") as file:
        file.write(b"\0\0\0\x20ftypisom")
        file.truncate(100 * 1024 * 1024 + 1)
    with pytest.raises(TooLarge, match="100 MB"):
        media_storage.put_file("video_fast/u/j/0.mp4", film)
    assert files_under(tmp_path / "media files") == []


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    folder = tmp_path / "small disk"
    folder.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mount.returncode != 0:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_is_said_and_leaves_no_half_file(full_disk: Path, tmp_path: Path) -> None:
    storage = MediaStorage(full_disk.as_uri())
    storage.put_bytes(KEY, BODY)
    source = tmp_path / "large.png"
    source.write_bytes(PNG.magic + bytes(8_000_000))
    with pytest.raises(StorageFull, match="full"):
        storage.put_file(KEY, source)
    with pytest.raises(StorageFull):
        storage.put_bytes(asset_key("b", "u", "j", 1, "png"), source.read_bytes())
    assert storage.read(KEY) == BODY
    assert files_under(full_disk) == [KEY]


@pytest.mark.parametrize("url", ["ftp://host/x", "file://relative/path", "no url", "https://host/bucket"])
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(StorageFailed):
        MediaStorage(url)


def test_s3_is_opened_by_its_address_without_a_request() -> None:
    MediaStorage("s3://bucket/prefix")


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageFailed):
        MediaStorage((tmp_path / "file" / "media").as_uri())
