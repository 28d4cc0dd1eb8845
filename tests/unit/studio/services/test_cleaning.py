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
from studio.media.storage import PNG, MediaStorage, thumbnail_key
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
        self.uploads = UploadService(desk.database, self.storage)
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


def test_an_empty_studio_is_clean(house: House) -> None:
    house.cleaner.clean()
    assert house.files() == []
