from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.dialects import postgresql

from studio.database.schema import Asset
from studio.errors import Conflict, InvalidInput, NotFound
from studio.media.storage import PNG, MediaStorage, hover_key, thumbnail_key
from studio.people import Person
from studio.services.library import AssetFilter, LibraryService, _mentions
from studio.services.projects import ProjectService

UNKNOWN = "01900000-0000-7000-8000-000000000000"


class Shelf:
    """A library with its desk, so that assets come from jobs as they do in a studio."""

    def __init__(self, desk: Any, folder: Path) -> None:
        self.desk = desk
        self.alice, self.bob = desk.alice, desk.bob
        self.storage = MediaStorage(folder.as_uri())
        self.library = LibraryService(desk.database, self.storage)
        self.projects = ProjectService(desk.database)

    def make(self, person: Person | None = None, **order: Any) -> list[str]:
        """Run a job; the ids of its assets, newest first."""
        owner = person or self.alice
        job = self.desk.submit(owner, **order)
        self.desk.deliver(self.desk.claim())
        rows = self.desk.asset_rows(job["id"])
        for row in rows:
            self.storage.put_bytes(row.storage_key, PNG.magic + row.id.encode())
            for size in (256, 768):
                self.storage.put_bytes(thumbnail_key(row.storage_key, size), b"RIFF\0\0\0\0WEBP" + row.id.encode())
        return sorted((row.id for row in rows), reverse=True)

    def make_film(self, person: Person | None = None) -> str:
        """A picture that became a film, with a moving preview."""
        made = self.make(person)[0]
        with self.desk.database.as_system() as session:
            session.execute(update(Asset).where(Asset.id == made).values(kind="video", format="mp4"))
        key = self.library.media(person or self.alice, made).storage_key
        self.storage.put_bytes(hover_key(key), b"RIFF\0\0\0\0WEBP moves")
        return made

    def found(self, person: Person | None = None, **filters: Any) -> list[str]:
        return [item["id"] for item in self.library.list(person or self.alice, AssetFilter(**filters))["items"]]


@pytest.fixture
def shelf(desk: Any, tmp_path: Path) -> Shelf:
    return Shelf(desk, tmp_path / "media")


def test_pages_are_newest_first_and_miss_nothing(shelf: Shelf) -> None:
    made = shelf.make(count=3) + shelf.make(count=2)
    expected = sorted(made, reverse=True)
    seen: list[str] = []
    cursor = None
    for _ in range(3):
        page = shelf.library.list(shelf.alice, limit=2, cursor=cursor)
        seen += [item["id"] for item in page["items"]]
        cursor = page["next"]
        shelf.make(prompt="made while paging")
    assert seen == expected
    assert cursor is None
    assert shelf.library.list(shelf.bob) == {"items": [], "next": None}


def test_a_page_that_ends_the_list_has_no_next(shelf: Shelf) -> None:
    shelf.make(count=2)
    assert shelf.library.list(shelf.alice, limit=2)["next"] is None


def test_filters_narrow_and_combine(shelf: Shelf) -> None:
    fast = shelf.make()[0]
    high = shelf.make(job_type="sdxl_image_high")[0]
    project = shelf.projects.create(shelf.alice, "Boats")["id"]
    shelf.library.change(shelf.alice, high, {"favourite": True, "project_id": project})
    assert shelf.found(job_type="sdxl_image_high") == [high]
    assert shelf.found(favourite=True) == [high]
    assert shelf.found(favourite=False) == [fast]
    assert shelf.found(project=project) == [high]
    assert shelf.found(kind="image") == [high, fast]
    assert shelf.found(kind="video") == []
    assert shelf.found(favourite=True, job_type="sdxl_image_fast") == []


@pytest.mark.parametrize(
    ("search", "hits"),
    [
        ("BOAT", True),
        ("oat", True),
        ("boat red", True),
        ("100%", True),
        ("1__%", False),
        ("%", True),
        ("_", False),
        ("\\", False),
        ("äpfel", True),
        ("ÄPFEL", True),
        ("Summer", True),
        ("übung", True),
        ("猫", True),
        ('", "', False),
        ("winter", False),
        ("boat winter", False),
        ("  ", True),
    ],
)
def test_search_is_a_substring_of_prompt_or_tag(shelf: Shelf, search: str, hits: bool) -> None:
    made = shelf.make(prompt="a Red boat, 100% Äpfel")[0]
    shelf.library.change(shelf.alice, made, {"tags": ["summer trip", "Übung", "猫"]})
    assert shelf.found(search=search) == ([made] if hits else [])


def test_tags_are_searched_in_postgresql_too(shelf: Shelf) -> None:
    sql = str(_mentions("boat", "postgresql").compile(dialect=postgresql.dialect()))
    assert "FROM json_array_elements_text(assets.tags) AS" in sql


@pytest.mark.parametrize(
    "filters",
    [
        {"limit": 0},
        {"limit": 201},
        {"cursor": "page 2"},
        {"kind": "sound"},
        {"search": "x" * 201},
        {"search": "a " * 13},
    ],
)
def test_bad_filters_are_named(shelf: Shelf, filters: dict[str, Any]) -> None:
    (field,) = filters
    paging = filters if field in ("limit", "cursor") else {}
    wanted = AssetFilter() if paging else AssetFilter(**filters)
    with pytest.raises(InvalidInput) as refused:
        shelf.library.list(shelf.alice, wanted, **paging)
    assert refused.value.field == field


def test_changes_set_what_they_name_and_nothing_else(shelf: Shelf) -> None:
    made = shelf.make()[0]
    shelf.library.change(shelf.alice, made, {"favourite": True, "rating": 5, "tags": [" Sea ", "sea", "dawn  light"]})
    changed = shelf.library.change(shelf.alice, made, {"rating": 0})
    assert (changed["favourite"], changed["rating"], changed["tags"]) == (True, 0, ["Sea", "dawn light"])
    assert shelf.library.change(shelf.alice, made, {"rating": None})["rating"] is None
    assert shelf.library.change(shelf.alice, made, {}) == shelf.library.get(shelf.alice, made)


@pytest.mark.parametrize(
    "changes",
    [
        {"rating": 6},
        {"rating": -1},
        {"rating": "good"},
        {"tags": ["x" * 65]},
        {"tags": [" "]},
        {"tags": ["x"] * 33},
        {"tags": "sea"},
        {"favourite": None},
        {"prompt": "another"},
        {"user_id": UNKNOWN},
        {"trashed_at": None},
    ],
)
def test_bad_changes_are_refused_and_change_nothing(shelf: Shelf, changes: dict[str, Any]) -> None:
    made = shelf.make()[0]
    before = shelf.library.get(shelf.alice, made)
    with pytest.raises(InvalidInput) as refused:
        shelf.library.change(shelf.alice, made, changes)
    assert refused.value.field == next(iter(changes))
    assert shelf.library.get(shelf.alice, made) == before


def test_an_asset_moves_only_to_ones_own_project(shelf: Shelf) -> None:
    made = shelf.make()[0]
    theirs = shelf.projects.create(shelf.bob, "Theirs")["id"]
    for project in (theirs, UNKNOWN):
        with pytest.raises(NotFound, match="project"):
            shelf.library.change(shelf.alice, made, {"project_id": project})


def test_the_trash_keeps_files_until_it_is_emptied(shelf: Shelf) -> None:
    kept, gone = shelf.make(count=2)
    trashed = shelf.library.delete(shelf.alice, gone)
    assert trashed["trashed_at"] is not None
    assert shelf.library.delete(shelf.alice, gone) == trashed
    assert (shelf.found(), shelf.found(trashed=True)) == ([kept], [gone])
    assert shelf.storage.size(shelf.library.media(shelf.alice, gone).storage_key) > 0
    assert shelf.library.restore(shelf.alice, gone)["trashed_at"] is None
    assert shelf.found() == [kept, gone]


def test_purging_removes_files_and_row_for_good(shelf: Shelf) -> None:
    kept, gone = shelf.make(count=2)
    with pytest.raises(Conflict):
        shelf.library.purge(shelf.alice, gone)
    key = shelf.library.media(shelf.alice, gone).storage_key
    shelf.library.delete(shelf.alice, gone)
    shelf.library.purge(shelf.alice, gone)
    for name in (key, thumbnail_key(key, 256), thumbnail_key(key, 768)):
        with pytest.raises(NotFound):
            shelf.storage.size(name)
    with pytest.raises(NotFound):
        shelf.library.get(shelf.alice, gone)
    assert shelf.found() == [kept]


def test_emptying_the_trash_leaves_other_peoples_alone(shelf: Shelf) -> None:
    mine, theirs = shelf.make(count=2), shelf.make(shelf.bob)
    for asset_id in mine:
        shelf.library.delete(shelf.alice, asset_id)
    shelf.library.delete(shelf.bob, theirs[0])
    assert shelf.library.empty_trash(shelf.alice) == 2
    assert shelf.found(trashed=True) == []
    assert shelf.found(shelf.bob, trashed=True) == theirs


def test_emptying_passes_over_what_was_restored_meanwhile(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, gone = shelf.make(count=2)
    for asset_id in (kept, gone):
        shelf.library.delete(shelf.alice, asset_id)
    purge = shelf.library.purge

    def restore_first(person: Person, asset_id: str) -> None:
        if asset_id == kept:
            shelf.library.restore(person, asset_id)
        purge(person, asset_id)

    monkeypatch.setattr(shelf.library, "purge", restore_first)
    assert shelf.library.empty_trash(shelf.alice) == 1
    assert shelf.found() == [kept]


def test_media_is_described_for_sending(shelf: Shelf) -> None:
    made = shelf.make(prompt="Ünder the Sea, at 5 o'clock / again")[0]
    media = shelf.library.media(shelf.alice, made)
    assert (media.mime_type, media.etag) == ("image/png", "0" * 64)
    assert media.filename == f"nder-the-sea-at-5-o-clock-again-{made[-8:]}.png"
    assert shelf.storage.read(media.storage_key).startswith(PNG.magic)
    assert shelf.library.media(shelf.alice, shelf.make(prompt="猫")[0]).filename.startswith("image-")


@pytest.mark.parametrize("size", [256, 768])
def test_thumbnails_are_described_for_sending(shelf: Shelf, size: int) -> None:
    made = shelf.make()[0]
    small = shelf.library.thumbnail(shelf.alice, made, size)
    assert (small.mime_type, small.etag) == ("image/webp", "0" * 64 + f"-{size}")
    assert shelf.storage.size(small.storage_key) == small.bytes
    with pytest.raises(InvalidInput):
        shelf.library.thumbnail(shelf.alice, made, size + 1)


def test_the_moving_preview_of_a_film_is_described_for_sending(shelf: Shelf) -> None:
    made = shelf.make_film()
    moving = shelf.library.preview(shelf.alice, made)
    assert (moving.mime_type, moving.etag) == ("image/webp", "0" * 64 + "-preview")
    assert moving.filename == f"a-red-boat-{made[-8:]}-preview.webp"
    assert shelf.storage.size(moving.storage_key) == moving.bytes
    with pytest.raises(NotFound, match="moving preview"):
        shelf.library.preview(shelf.alice, shelf.make()[0])


def test_purging_a_film_removes_its_moving_preview_too(shelf: Shelf) -> None:
    made = shelf.make_film()
    moving = shelf.library.preview(shelf.alice, made).storage_key
    shelf.library.delete(shelf.alice, made)
    shelf.library.purge(shelf.alice, made)
    with pytest.raises(NotFound):
        shelf.storage.size(moving)


def test_storage_used_counts_ones_own_files(shelf: Shelf) -> None:
    made = shelf.make(count=3)
    shelf.make(shelf.bob)
    shelf.library.delete(shelf.alice, made[0])
    assert shelf.library.storage_used(shelf.alice) == {"bytes": 300, "assets": 3}
    with shelf.desk.database.as_system() as session:
        session.execute(update(Asset).where(Asset.id == made[1]).values(bytes=1000))
    assert shelf.library.storage_used(shelf.alice) == {"bytes": 1200, "assets": 3}
    assert shelf.library.storage_used(shelf.desk.person("Carol")) == {"bytes": 0, "assets": 0}


@pytest.mark.parametrize("owner", ["somebody else", "nobody"])
def test_a_strangers_asset_and_an_unknown_one_are_the_same_answer(shelf: Shelf, owner: str) -> None:
    asset_id = shelf.make(shelf.bob)[0] if owner == "somebody else" else UNKNOWN
    library, alice = shelf.library, shelf.alice
    calls = [
        lambda: library.get(alice, asset_id),
        lambda: library.change(alice, asset_id, {"favourite": True}),
        lambda: library.delete(alice, asset_id),
        lambda: library.restore(alice, asset_id),
        lambda: library.purge(alice, asset_id),
        lambda: library.thumbnail(alice, asset_id, 256),
        lambda: library.preview(alice, asset_id),
    ]
    for call in calls:
        with pytest.raises(NotFound, match=r"^There is no such asset\.$"):
            call()
    with pytest.raises(NotFound, match="no such file"):
        library.media(alice, asset_id)
    assert shelf.found(shelf.bob, favourite=True) == []
