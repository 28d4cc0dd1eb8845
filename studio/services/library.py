"""A person's finished pictures and films: finding, marking, trashing and reading them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from sqlalchemy import ColumnElement, Select, String, column, exists, func, or_, select
from sqlalchemy.orm import Session

from studio.database.engine import Database, db_now
from studio.database.schema import Asset, Project, Upload
from studio.errors import Conflict, InvalidInput, NotFound
from studio.media.storage import MediaStorage, hover_key, thumbnail_key
from studio.media.thumbnails import SIZES
from studio.people import Person
from studio.services.views import asset_json

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
MAX_SEARCH_CHARS = 200
MAX_SEARCH_WORDS = 12
MAX_TAGS = 32
MAX_TAG_CHARS = 64
KINDS = ("image", "video")
THUMBNAIL_MIME = "image/webp"
_SLUG_CHARS = 40
_JSON_VALUES = {"sqlite": "json_each", "postgresql": "json_array_elements_text"}
"""The database's function that gives the entries of a JSON list as rows."""


@dataclass(frozen=True, kw_only=True)
class MediaFile:
    """A stored file, ready to be sent: where it lies, its size in bytes, a name to save it under, a strong ETag."""

    storage_key: str
    mime_type: str
    bytes: int
    filename: str
    etag: str


@dataclass(frozen=True, kw_only=True)
class AssetFilter:
    """What a list is narrowed to; None does not narrow. Every word of `search` must stand somewhere in the prompts and
    tags, in any case."""

    kind: str | None = None
    job_type: str | None = None
    search: str | None = None
    favourite: bool | None = None
    project: str | None = None
    trashed: bool = False


EVERYTHING = AssetFilter()


class AssetChange(BaseModel):
    """What may be changed about an asset. A rating is 0 to 5 stars, or none."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    favourite: bool = False
    rating: int | None = Field(None, ge=0, le=5)
    tags: list[str] = Field(default_factory=list, max_length=MAX_TAGS)
    project_id: str | None = Field(None, max_length=64)

    @field_validator("tags")
    @classmethod
    def _tidy(cls, tags: list[str]) -> list[str]:
        tidy = {" ".join(tag.split()).casefold(): " ".join(tag.split()) for tag in reversed(tags)}
        if any(not 1 <= len(tag) <= MAX_TAG_CHARS for tag in tidy.values()):
            raise ValueError(f"a tag has 1 to {MAX_TAG_CHARS} characters")
        return list(reversed(tidy.values()))


class LibraryService:
    """The library. Every method runs as `person`; what belongs to somebody else is NotFound, like what never was."""

    def __init__(self, database: Database, storage: MediaStorage) -> None:
        self._database = database
        self._storage = storage

    def list(
        self, person: Person, wanted: AssetFilter = EVERYTHING, *, limit: int = DEFAULT_LIMIT, cursor: str | None = None
    ) -> dict[str, Any]:
        """A page of assets, newest first, as {"items", "next"}; `next` is the cursor of the following page or None.

        Raises InvalidInput.
        """
        _check_page(wanted, limit)
        with self._database.as_person(person, write=False) as session:
            query = _narrowed(select(Asset), wanted, session.get_bind().dialect.name)
            if cursor:
                query = query.where(Asset.id < _cursor(cursor))
            found = session.scalars(query.order_by(Asset.id.desc()).limit(limit + 1)).all()
            page = found[:limit]
            return {
                "items": [asset_json(asset) for asset in page],
                "next": page[-1].id if len(found) > limit else None,
            }

    def get(self, person: Person, asset_id: str) -> dict[str, Any]:
        """One asset, in the trash or not. Raises NotFound."""
        with self._database.as_person(person, write=False) as session:
            return asset_json(_asset(session, asset_id))

    def change(self, person: Person, asset_id: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Set the fields of `AssetChange` that `changes` names; the others stay. Raises InvalidInput, NotFound."""
        try:
            change = AssetChange.model_validate(dict(changes))
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            name = str(first["loc"][0]) if first["loc"] else None
            raise InvalidInput(f"{name or 'The change'}: {first['msg']}.", field=name) from error
        with self._database.as_person(person) as session:
            asset = _asset(session, asset_id)
            if change.project_id is not None and session.get(Project, change.project_id) is None:
                raise NotFound("There is no such project.", field="project_id")
            for name in change.model_fields_set:
                setattr(asset, name, getattr(change, name))
            return asset_json(asset)

    def delete(self, person: Person, asset_id: str) -> dict[str, Any]:
        """Move an asset to the trash; its files stay. One that is there already stays as it is. Raises NotFound."""
        with self._database.as_person(person) as session:
            asset = _asset(session, asset_id)
            if asset.trashed_at is None:
                asset.trashed_at = session.execute(select(db_now())).scalar_one()
            return asset_json(asset)

    def restore(self, person: Person, asset_id: str) -> dict[str, Any]:
        """Take an asset out of the trash. Raises NotFound."""
        with self._database.as_person(person) as session:
            asset = _asset(session, asset_id)
            asset.trashed_at = None
            return asset_json(asset)

    def purge(self, person: Person, asset_id: str) -> None:
        """Remove an asset in the trash for good: its files, then its row. Raises NotFound, Conflict, StorageFailed.

        Files go first: if the studio stops in between, the row is still there to do it again, and nothing is left
        that nobody can find.
        """
        with self._database.as_person(person) as session:
            asset = _asset(session, asset_id)
            if asset.trashed_at is None:
                raise Conflict("Only what is in the trash can be removed for good. Delete it first.")
            self._storage.delete(stored_keys(asset))
            session.delete(asset)

    def empty_trash(self, person: Person) -> int:
        """Remove everything in the trash for good. Returns how many assets that were. Raises StorageFailed."""
        with self._database.as_person(person, write=False) as session:
            trashed = session.scalars(select(Asset.id).where(Asset.trashed_at.is_not(None))).all()
        purged = 0
        for asset_id in trashed:
            # What somebody restored or removed in the meantime is not in the trash any more.
            with suppress(NotFound, Conflict):
                self.purge(person, asset_id)
                purged += 1
        return purged

    def media(self, person: Person, media_id: str) -> MediaFile:
        """The file of an asset, or of an upload. Raises NotFound."""
        with self._database.as_person(person, write=False) as session:
            asset = session.get(Asset, media_id)
            if asset is not None:
                return MediaFile(
                    storage_key=asset.storage_key,
                    mime_type=asset.mime_type,
                    bytes=asset.bytes,
                    filename=f"{_filename(asset)}.{asset.format}",
                    etag=asset.sha256,
                )
            upload = session.get(Upload, media_id)
            if upload is None:
                raise NotFound("There is no such file.")
            # An upload's content never changes under its id.
            return MediaFile(
                storage_key=upload.storage_key,
                mime_type="image/png",
                bytes=upload.bytes,
                filename=f"reference-{upload.id[-8:]}.png",
                etag=upload.id,
            )

    def thumbnail(self, person: Person, asset_id: str, size: int) -> MediaFile:
        """The WebP of an asset, its longer side at most `size` pixels (256 or 768). Raises InvalidInput, NotFound."""
        if size not in SIZES:
            raise InvalidInput(f"A thumbnail has one of the sizes {', '.join(map(str, SIZES))}.", field="size")
        with self._database.as_person(person, write=False) as session:
            asset = _asset(session, asset_id)
        return self._copy(asset, thumbnail_key(asset.storage_key, size), str(size))

    def preview(self, person: Person, asset_id: str) -> MediaFile:
        """The animated WebP of a film, a few of its frames. Raises NotFound, also for a picture."""
        with self._database.as_person(person, write=False) as session:
            asset = _asset(session, asset_id)
        if asset.kind != "video":
            raise NotFound("A picture has no moving preview.")
        return self._copy(asset, hover_key(asset.storage_key), "preview")

    def _copy(self, asset: Asset, key: str, name: str) -> MediaFile:
        return MediaFile(
            storage_key=key,
            mime_type=THUMBNAIL_MIME,
            bytes=self._storage.size(key),
            filename=f"{_filename(asset)}-{name}.webp",
            etag=f"{asset.sha256}-{name}",
        )

    def storage_used(self, person: Person) -> dict[str, int]:
        """`bytes` of the person's originals and uploads and the number of `assets`, the trash included."""
        with self._database.as_person(person, write=False) as session:
            assets, count = session.execute(select(func.sum(Asset.bytes), func.count(Asset.id))).one()
            uploads = session.scalar(select(func.sum(Upload.bytes)))
        return {"bytes": int(assets or 0) + int(uploads or 0), "assets": count}


def _asset(session: Session, asset_id: str) -> Asset:
    asset = session.get(Asset, asset_id)
    if asset is None:
        raise NotFound("There is no such asset.")
    return asset


def stored_keys(asset: Asset) -> Sequence[str]:
    """The keys of an asset's files: the original, its thumbnails and, of a film, its moving preview."""
    small = [thumbnail_key(asset.storage_key, size) for size in SIZES]
    return [asset.storage_key, *small, *([hover_key(asset.storage_key)] if asset.kind == "video" else [])]


def _check_page(wanted: AssetFilter, limit: int) -> None:
    if not 1 <= limit <= MAX_LIMIT:
        raise InvalidInput(f"A page has 1 to {MAX_LIMIT} entries.", field="limit")
    if wanted.kind is not None and wanted.kind not in KINDS:
        raise InvalidInput(f"kind is one of: {', '.join(KINDS)}.", field="kind")
    if wanted.search is not None and len(wanted.search) > MAX_SEARCH_CHARS:
        raise InvalidInput(f"A search has at most {MAX_SEARCH_CHARS} characters.", field="search")
    if wanted.search is not None and len(wanted.search.split()) > MAX_SEARCH_WORDS:
        raise InvalidInput(f"A search has at most {MAX_SEARCH_WORDS} words.", field="search")


def _cursor(cursor: str) -> str:
    try:
        return str(UUID(cursor))
    except ValueError as error:
        raise InvalidInput("This is no cursor of a page of assets.", field="cursor") from error


def _narrowed(query: Select[Asset], wanted: AssetFilter, dialect: str) -> Select[Asset]:
    query = query.where(Asset.trashed_at.is_not(None) if wanted.trashed else Asset.trashed_at.is_(None))
    for attribute, value in (
        (Asset.kind, wanted.kind),
        (Asset.job_type, wanted.job_type),
        (Asset.favourite, wanted.favourite),
        (Asset.project_id, wanted.project),
    ):
        if value is not None:
            query = query.where(attribute == value)
    for word in (wanted.search or "").split():
        query = query.where(_mentions(word, dialect))
    return query


def _mentions(word: str, dialect: str) -> ColumnElement[bool]:
    """Whether a prompt or a tag contains `word`.

    SQLite's own lower-casing knows ASCII alone, so other scripts are looked for in each case they are written in.
    """
    entries = getattr(func, _JSON_VALUES[dialect])(Asset.tags).table_valued(column("value", String))
    tag: ColumnElement[str] = entries.c.value
    spellings = list(dict.fromkeys((word, word.lower(), word.upper(), word.capitalize())))
    texts = (Asset.prompt, Asset.enhanced_prompt)
    in_prompts = [text.icontains(spelling, autoescape=True) for text in texts for spelling in spellings]
    in_tags = or_(*(tag.icontains(spelling, autoescape=True) for spelling in spellings))
    return or_(*in_prompts, exists(select(1).select_from(entries).where(in_tags)))


def _filename(asset: Asset) -> str:
    """A name that any file system takes: the beginning of the prompt where it is Latin, and the end of the id."""
    slug = re.sub(r"[^a-z0-9]+", "-", asset.prompt.lower())[:_SLUG_CHARS].strip("-")
    return f"{slug or asset.kind}-{asset.id[-8:]}"
