from __future__ import annotations

import io
import os
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from sqlalchemy import update

from studio.database.schema import Asset
from studio.errors import NotFound
from studio.media.storage import PNG, MediaStorage, asset_key, hover_key, thumbnail_key
from studio.services import cleaning
from studio.services.cleaning import DAY_S, TRASH_KEPT_DAYS, UNOWNED_KEPT_S, Cleaner
from studio.services.library import AssetFilter, LibraryService
from studio.services.uploads import UploadService


class House:
    """A library with pictures, uploads and somebody who cleans."""

    def __init__(self, desk: Any, folder: Path) -> None:
        self.desk, self.folder = desk, folder
        self.storage = MediaStorage(folder.as_uri())
        self.library = LibraryService(desk.database, self.storage)
        self.uploads = UploadService(desk.database, self.storage, desk.limits)
        self.cleaner = Cleaner(desk.database, self.storage)

    def trashed(self, person: Any, days_ago: float, count: int = 1) -> list[str]:
        """Pictures that `person` trashed so long ago."""
        job = self.desk.submit(person, count=count)
        self.desk.deliver(self.desk.claim())
        rows = self.desk.asset_rows(job["id"])
        for row in rows:
            self.storage.put_bytes(row.storage_key, PNG.magic)
            for size in (256, 768):
                self.storage.put_bytes(thumbnail_key(row.storage_key, size), b"RIFF\0\0\0\0WEBP")
        with self.desk.database.as_system() as session:
            when = update(Asset).where(Asset.job_id == job["id"]).values(trashed_at=time.time() - days_ago * DAY_S)
            session.execute(when)
        return [row.id for row in rows]

    def in_trash(self, person: Any) -> set[str]:
        return {item["id"] for item in self.library.list(person, AssetFilter(trashed=True))["items"]}

    def files(self) -> list[Path]:
        return [path for path in self.folder.rglob("*") if path.is_file()]


@pytest.fixture
def house(desk: Any, tmp_path: Path) -> House:
    return House(desk, tmp_path / "media")


@pytest.mark.parametrize("batch", [1, 2, 100])
def test_what_lay_long_in_anybodys_trash_goes_with_its_files(
    house: House, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr(cleaning, "BATCH", batch)
    alice, bob = house.desk.alice, house.desk.bob
    house.trashed(alice, TRASH_KEPT_DAYS + 0.1, count=3)
    house.trashed(bob, TRASH_KEPT_DAYS + 90)
    recent = house.trashed(alice, TRASH_KEPT_DAYS - 0.1)
    kept = house.trashed(alice, TRASH_KEPT_DAYS + 1)
    house.library.restore(alice, kept[0])

    assert house.cleaner.purge_old_trash() == 4
    assert (house.in_trash(alice), house.in_trash(bob)) == (set(recent), set())
    assert house.library.get(alice, kept[0])["trashed_at"] is None
    assert len(house.files()) == 2 * 3
    assert house.cleaner.purge_old_trash() == 0


def test_a_file_that_cannot_be_removed_keeps_its_row_and_holds_up_no_other(house: House, caplog: Any) -> None:
    stuck, gone = house.trashed(house.desk.alice, TRASH_KEPT_DAYS + 1, count=2)
    with house.desk.database.as_system() as session:
        session.execute(update(Asset).where(Asset.id == stuck).values(storage_key="../outside.png"))

    assert house.cleaner.purge_old_trash() == 1
    assert house.in_trash(house.desk.alice) == {stuck}
    assert stuck in caplog.text
    with pytest.raises(NotFound):
        house.library.get(house.desk.alice, gone)


def test_an_uploaded_file_without_a_row_goes_after_a_while(house: House) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (16, 16)).save(picture, "PNG")
    owned = house.uploads.accept(house.desk.alice, picture.getvalue())["id"]
    left = f"uploads/{house.desk.alice.id}/01900000-0000-7000-8000-000000000000.png"
    house.storage.put_bytes(left, picture.getvalue())
    (house.folder / "uploads" / "notes.txt").write_text("somebody else's")

    assert house.cleaner.drop_unowned_uploads() == 0
    long_ago = time.time() - UNOWNED_KEPT_S - 10
    for path in house.files():
        os.utime(path, (long_ago, long_ago))
    assert house.cleaner.drop_unowned_uploads() == 1
    assert {path.name for path in house.files()} == {f"{owned}.png", "notes.txt"}


class Leftovers:
    """Jobs whose files were stored before they came to nothing."""

    def __init__(self, house: House) -> None:
        self.house, self.desk = house, house.desk

    def make(self, status: str, ended_ago_s: float = UNOWNED_KEPT_S + 10) -> str:
        """The id of a job that was begun, stored a film with its copies and ended as `status`."""
        job = self.desk.submit(self.desk.alice, job_type="video_fast")
        claim = self.desk.claim("wan")
        key = asset_key("video_fast", self.desk.alice.id, job["id"], 0, "mp4")
        self.house.storage.put_bytes(key, b"\0\0\0\x08ftyp")
        for copy in (thumbnail_key(key, 256), thumbnail_key(key, 768), hover_key(key)):
            self.house.storage.put_bytes(copy, b"RIFF\0\0\0\0WEBP")
        if status == "failed":
            self.desk.leases.fail(claim, "internal", "No.", transient=False)
        elif status == "cancelled":
            self.desk.leases.cancelled(claim)
        self.desk.set(job["id"], finished_at=time.time() - ended_ago_s if status != "processing" else None)
        return job["id"]

    def kept(self) -> set[str]:
        """The ids of the jobs of which files are left."""
        return {path.parent.name for path in self.house.files()}


@pytest.fixture
def leftovers(house: House) -> Leftovers:
    return Leftovers(house)


@pytest.mark.parametrize("batch", [1, 100])
def test_what_a_job_stored_before_it_failed_goes_after_a_while(
    leftovers: Leftovers, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr(cleaning, "BATCH", batch)
    gone = [leftovers.make(status) for status in ("failed", "cancelled", "failed")]
    leftovers.desk.set(gone[0], finished_at=5.0)
    leftovers.desk.set(gone[1], finished_at=5.0)
    recent = leftovers.make("failed", ended_ago_s=UNOWNED_KEPT_S - 100)
    running = leftovers.make("processing")

    cleaner = leftovers.house.cleaner
    assert cleaner.drop_undelivered() == 3 * 4
    assert leftovers.kept() == {recent, running}
    leftovers.desk.set(recent, finished_at=time.time() - UNOWNED_KEPT_S - 1)
    assert (cleaner.drop_undelivered(), cleaner.drop_undelivered()) == (4, 0)
    assert leftovers.kept() == {running}


def test_what_was_delivered_or_is_tried_again_stays(leftovers: Leftovers) -> None:
    desk, house = leftovers.desk, leftovers.house
    done = house.trashed(desk.alice, 0, count=1)
    again = leftovers.make("failed")
    desk.jobs.retry(desk.alice, again)
    before = house.files()

    assert house.cleaner.drop_undelivered() == 0
    assert house.files() == before
    assert house.in_trash(desk.alice) == set(done)


def test_a_job_begun_again_while_its_files_were_looked_up_keeps_them(leftovers: Leftovers) -> None:
    job = leftovers.make("failed")
    cleaner = leftovers.house.cleaner
    (found,) = cleaner._ended_without_delivery()
    leftovers.desk.jobs.retry(leftovers.desk.alice, job)

    assert cleaner._drop(found, [asset_key("video_fast", leftovers.desk.alice.id, job, 0, "mp4")]) == 0
    assert leftovers.kept() == {job}


def test_an_empty_studio_is_clean(house: House) -> None:
    house.cleaner.clean()
    assert house.files() == []
