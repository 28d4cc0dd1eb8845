from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from sqlalchemy import func, select, update

from studio.database.schema import Asset, Upload
from studio.errors import NotFound, StorageFailed, UnsupportedMedia
from studio.media.storage import PNG, MediaStorage
from studio.services.library import LibraryService
from studio.services.uploads import UploadService

UNKNOWN = "01900000-0000-7000-8000-000000000000"


@pytest.fixture
def upload_storage(tmp_path: Path) -> MediaStorage:
    return MediaStorage((tmp_path / "media").as_uri())


@pytest.fixture
def uploads(desk: Any, upload_storage: MediaStorage) -> UploadService:
    return UploadService(desk.database, upload_storage, desk.limits)


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def jpeg() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (40, 24), (200, 10, 10)).save(file, "JPEG")
    return file.getvalue()


def test_an_upload_is_kept_as_png_and_laid_out_for_a_run(
    uploads: UploadService, upload_storage: MediaStorage, desk: Any, scratch: Path, jpeg: bytes
) -> None:
    made = uploads.accept(desk.alice, jpeg)
    assert (made["width"], made["height"], made["url"]) == (40, 24, f"/media/{made['id']}")
    stored = upload_storage.read(f"uploads/{desk.alice.id}/{made['id']}.png")
    path = uploads.path_for(desk.alice.id, made["id"], scratch)
    assert path.parent == scratch
    assert path.read_bytes() == stored
    with Image.open(path) as picture:
        assert (picture.format, picture.mode, picture.size) == ("PNG", "RGB", (40, 24))


def test_a_mask_is_kept_as_grey(uploads: UploadService, desk: Any, scratch: Path, jpeg: bytes) -> None:
    made = uploads.accept(desk.alice, jpeg, mask=True)
    with Image.open(uploads.path_for(desk.alice.id, made["id"], scratch)) as picture:
        assert picture.mode == "L"


def test_an_upload_is_shown_to_its_person_alone(
    uploads: UploadService, upload_storage: MediaStorage, desk: Any, jpeg: bytes
) -> None:
    made = uploads.accept(desk.alice, jpeg)
    library = LibraryService(desk.database, upload_storage)
    media = library.media(desk.alice, made["id"])
    assert media.bytes == upload_storage.size(media.storage_key)
    assert library.storage_used(desk.alice) == {"bytes": media.bytes, "assets": 0}
    with pytest.raises(NotFound):
        library.media(desk.bob, made["id"])


def test_what_is_no_picture_leaves_nothing(uploads: UploadService, desk: Any, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedMedia):
        uploads.accept(desk.alice, b"not a picture")
    assert [path for path in (tmp_path / "media").rglob("*") if path.is_file()] == []
    with desk.database.as_system(write=False) as session:
        assert session.scalar(select(func.count(Upload.id))) == 0


def test_an_asset_can_be_a_reference(
    uploads: UploadService, upload_storage: MediaStorage, desk: Any, scratch: Path
) -> None:
    job = desk.submit(desk.alice)
    desk.deliver(desk.claim())
    asset = desk.asset_rows(job["id"])[0]
    upload_storage.put_bytes(asset.storage_key, PNG.magic + b"pixels")
    path = uploads.path_for(desk.alice.id, asset.id, scratch)
    assert (path.suffix, path.read_bytes()) == (".png", PNG.magic + b"pixels")
    with pytest.raises(NotFound):
        uploads.path_for(desk.bob.id, asset.id, scratch)


def test_a_film_can_be_a_reference_of_its_person(
    uploads: UploadService, upload_storage: MediaStorage, desk: Any, scratch: Path
) -> None:
    job = desk.submit(desk.alice)
    desk.deliver(desk.claim())
    key = f"video_fast/{desk.alice.id}/{job['id']}/0.mp4"
    with desk.database.as_system() as session:
        session.execute(update(Asset).values(kind="video", format="mp4", storage_key=key))
    asset = desk.asset_rows(job["id"])[0]
    film = b"\0\0\0\x08ftyp" + bytes(2_000_000)
    upload_storage.put_bytes(key, film)
    path = uploads.path_for(desk.alice.id, asset.id, scratch)
    assert (path.parent, path.suffix, path.read_bytes()) == (scratch, ".mp4", film)
    with pytest.raises(NotFound):
        uploads.path_for(desk.bob.id, asset.id, scratch)


def test_a_strangers_picture_is_no_reference(uploads: UploadService, desk: Any, scratch: Path, jpeg: bytes) -> None:
    theirs = uploads.accept(desk.bob, jpeg)["id"]
    for media_id in (theirs, UNKNOWN, "../../etc/passwd"):
        with pytest.raises(NotFound):
            uploads.path_for(desk.alice.id, media_id, scratch)
    assert list(scratch.iterdir()) == []


def test_a_file_that_is_gone_or_a_folder_that_is_gone_is_said(
    uploads: UploadService, upload_storage: MediaStorage, desk: Any, scratch: Path, jpeg: bytes
) -> None:
    made = uploads.accept(desk.alice, jpeg)["id"]
    with pytest.raises(StorageFailed):
        uploads.path_for(desk.alice.id, made, scratch / "missing")
    upload_storage.delete([f"uploads/{desk.alice.id}/{made}.png"])
    with pytest.raises(NotFound):
        uploads.path_for(desk.alice.id, made, scratch)


def test_many_at_once_are_all_kept(uploads: UploadService, desk: Any, jpeg: bytes) -> None:
    with ThreadPoolExecutor(6) as threads:
        made = [task.result() for task in [threads.submit(uploads.accept, desk.alice, jpeg) for _ in range(12)]]
    assert len({upload["id"] for upload in made}) == 12
