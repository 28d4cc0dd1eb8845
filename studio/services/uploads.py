"""Pictures that people bring as references or masks, and the files of whatever an order may refer to."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from sqlalchemy import select

from studio.database.engine import Database, db_now
from studio.database.schema import Asset, Upload, new_id
from studio.errors import NotFound, StorageFailed, StorageFull
from studio.media.pictures import open_picture
from studio.media.storage import MP4, PNG, MediaStorage, upload_key
from studio.people import Person
from studio.services.limits import Limits

MAX_DECODING_AT_ONCE = 2
"""A picture of 40 megapixels takes up to half a gigabyte while it is decoded."""
_NO_SPACE_ERRNOS = frozenset({28, 122})


class UploadService:
    """Takes pictures in, and lays a person's pictures and films out as files for a run."""

    def __init__(self, database: Database, storage: MediaStorage, limits: Limits) -> None:
        self._database = database
        self._storage = storage
        self._limits = limits
        self._decoding = threading.BoundedSemaphore(MAX_DECODING_AT_ONCE)

    def accept(self, person: Person, data: bytes | Path, *, mask: bool = False) -> dict[str, Any]:
        """Check a picture and keep it as PNG. Returns its id, its size in pixels and its address.

        Raises TooLarge, UnsupportedMedia or InvalidInput in words for the person; RateLimited or QuotaExceeded where
        they have as much as they may; StorageFull, StorageFailed.
        """
        self._limits.check_upload(person)
        with self._decoding:
            picture = open_picture(data, mask=mask)
        self._limits.check_room(person, len(picture.png))
        upload_id = new_id()
        key = upload_key(person.id, upload_id)
        # The file goes first: a row without its file would promise what is not there.
        self._storage.put_bytes(key, picture.png)
        with self._database.as_person(person) as session:
            session.add(
                Upload(
                    id=upload_id,
                    user_id=person.id,
                    storage_key=key,
                    width=picture.width,
                    height=picture.height,
                    bytes=len(picture.png),
                    created_at=session.execute(select(db_now())).scalar_one(),
                )
            )
        return {"id": upload_id, "width": picture.width, "height": picture.height, "url": f"/media/{upload_id}"}

    def mime_type(self, person_id: str, media_id: str) -> str:
        """The media type of that person's upload or asset. Raises NotFound."""
        return _mime_type(self._storage_key(person_id, media_id))

    def stream_for(self, person_id: str, media_id: str) -> tuple[str, Iterator[bytes]]:
        """Media type and content of that person's upload or asset. Raises NotFound, StorageFailed."""
        key = self._storage_key(person_id, media_id)
        return _mime_type(key), self._storage.stream(key)

    def path_for(self, person_id: str, media_id: str, scratch: Path) -> Path:
        """The upload or asset `media_id` of that person as a file in `scratch`, an existing private folder. It ends in
        .png, or in .mp4 for a film.

        Raises NotFound for what is unknown or somebody else's; StorageFull, StorageFailed.
        """
        key = self._storage_key(person_id, media_id)
        path = scratch / f"{media_id}{PurePosixPath(key).suffix}"
        try:
            with path.open("wb") as file:
                for piece in self._storage.stream(key):
                    file.write(piece)
        except OSError as error:
            if error.errno in _NO_SPACE_ERRNOS:
                raise StorageFull("The disk that holds the scratch files is full. Free some space.") from error
            raise StorageFailed("A reference could not be laid out for the run.") from error
        return path

    def _storage_key(self, person_id: str, media_id: str) -> str:
        owned = (
            select(Upload.storage_key).where(Upload.id == media_id, Upload.user_id == person_id),
            select(Asset.storage_key).where(Asset.id == media_id, Asset.user_id == person_id),
        )
        with self._database.as_system(write=False) as session:
            for query in owned:
                key = session.scalars(query).one_or_none()
                if key is not None:
                    return key
        raise NotFound("There is no such picture or film.", field="image")


def _mime_type(key: str) -> str:
    return (MP4 if key.endswith(".mp4") else PNG).mime_type
