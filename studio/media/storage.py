"""Where files lie: an object store behind keys like `sdxl_image_fast/<user>/<job>/0.png`.

A key's first part says what may lie there. Job buckets hold PNG and MP4 originals and nothing else; `thumbnails/` and
`uploads/` have their own rules. Every write is atomic: a reader sees the whole object or none.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, from_url

from studio.errors import NotFound, StorageFailed, StorageFull, TooLarge, UnfitFile

logger = logging.getLogger(__name__)

MEGABYTE = 1024 * 1024
THUMBNAIL_PREFIX = "thumbnails"
UPLOAD_PREFIX = "uploads"
CHUNK_BYTES = 512 * 1024
"""Size of a streamed piece: large enough to be quick, small enough that a hundred streams fit in memory."""

_SAFE_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_][A-Za-z0-9_.-]*){1,7}")
_NO_SPACE = re.compile(r"os error (?:28|122)\b|kind: (?:StorageFull|QuotaExceeded)\b")
"""How obstore's LocalStore words ENOSPC (28) and EDQUOT (122): its exceptions carry no errno."""


@dataclass(frozen=True, kw_only=True)
class FileFormat:
    """A kind of file that storage takes: its media type, its largest size, and the bytes it starts with."""

    mime_type: str
    max_bytes: int
    magic: bytes
    magic_at: int = 0


PNG = FileFormat(mime_type="image/png", max_bytes=20 * MEGABYTE, magic=b"\x89PNG\r\n\x1a\n")
MP4 = FileFormat(mime_type="video/mp4", max_bytes=100 * MEGABYTE, magic=b"ftyp", magic_at=4)
MAX_ENCODED_FILM_BYTES = MP4.max_bytes - MEGABYTE
"""What an encoder may fill of an MP4: the rest is room for the texts that say how the film came to be."""
_ORIGINALS = {"png": PNG, "mp4": MP4}
_THUMBNAILS = {"webp": FileFormat(mime_type="image/webp", max_bytes=1 * MEGABYTE, magic=b"WEBP", magic_at=8)}
# A picture of 40 megapixels, the largest that people may bring, is at most 120 MB of RGB in PNG's lossless form.
_UPLOADS = {"png": FileFormat(mime_type="image/png", max_bytes=128 * MEGABYTE, magic=PNG.magic)}


def asset_key(bucket: str, user_id: str, job_id: str, index: int, extension: str) -> str:
    """The key of a job's file number `index`: the same on every attempt, so that a retry overwrites."""
    return f"{bucket}/{user_id}/{job_id}/{index}.{extension}"


def job_folders(bucket: str, user_id: str, job_id: str) -> tuple[str, str]:
    """Where a job's files and their small copies lie."""
    folder = f"{bucket}/{user_id}/{job_id}"
    return folder, f"{THUMBNAIL_PREFIX}/{folder}"


def thumbnail_key(key: str, size: int) -> str:
    """The key of the thumbnail whose longer side is at most `size` pixels, of the asset stored under `key`."""
    return f"{THUMBNAIL_PREFIX}/{key.rpartition('.')[0]}-{size}.webp"


def hover_key(key: str) -> str:
    """The key of the few moving frames that stand for the film stored under `key`."""
    return f"{THUMBNAIL_PREFIX}/{key.rpartition('.')[0]}-hover.webp"


def upload_key(user_id: str, upload_id: str) -> str:
    """The key of a picture that a person brought."""
    return f"{UPLOAD_PREFIX}/{user_id}/{upload_id}.png"


@dataclass(frozen=True, kw_only=True)
class StoredObject:
    """An object in the store. `written_at` is the Unix time of its last write by the store's clock, in seconds."""

    key: str
    written_at: float


class MediaStorage:
    """An object store with the studio's rules for keys, formats and sizes.

    `url` is `file:///folder` (made where missing) or `s3://bucket/prefix`, with credentials from the AWS variables.
    Methods block; async code calls them in a thread. Raises NotFound for a missing key, StorageFull when the disk or
    the quota is used up, UnfitFile for a bad key or format, StorageFailed for anything else that the store reports.
    """

    def __init__(self, url: str) -> None:
        scheme = url.partition("://")[0]
        try:
            self._store: ObjectStore = _open_store(scheme, url)
        except (BaseError, ValueError, OSError) as error:
            raise StorageFailed(f"The media storage {scheme}://… cannot be opened: {_first_line(error)}") from error

    def put_file(self, key: str, path: Path) -> None:
        """Store the file at `path`. Raises TooLarge over the format's limit; UnfitFile for another format."""
        kind = _format_of(key)
        with path.open("rb") as file:
            _check(key, kind, file.read(kind.magic_at + len(kind.magic)), path.stat().st_size)
        self._put(key, path)

    def put_bytes(self, key: str, data: bytes) -> None:
        """Store `data`. Raises TooLarge over the format's limit; UnfitFile for another format."""
        kind = _format_of(key)
        _check(key, kind, data[: kind.magic_at + len(kind.magic)], len(data))
        self._put(key, data)

    def size(self, key: str) -> int:
        """Bytes stored under `key`."""
        try:
            return int(self._store.head(_safe(key))["size"])
        except (BaseError, OSError, ValueError) as error:
            raise _translated(error, key) from error

    def read(self, key: str) -> bytes:
        """Everything stored under `key`."""
        try:
            return bytes(self._store.get(_safe(key)).bytes())
        except (BaseError, OSError, ValueError) as error:
            raise _translated(error, key) from error

    def stream(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The bytes [start, end) in pieces; `end` None is the end of the object.

        The object is opened at once, so that a missing key raises here and not in the middle of an answer.
        """
        stop = self.size(key) if end is None else end
        if start >= stop:
            return iter(())
        try:
            found = self._store.get(_safe(key), options={"range": (start, stop)})
            pieces = found.stream(min_chunk_size=CHUNK_BYTES)
        except (BaseError, OSError, ValueError) as error:
            raise _translated(error, key) from error
        return _pieces(pieces, key)

    def delete(self, keys: Iterable[str]) -> None:
        """Remove the objects under `keys`. One that is missing already is no error."""
        for key in keys:
            try:
                self._store.delete(_safe(key))
            except FileNotFoundError:
                continue
            except (BaseError, OSError, ValueError) as error:
                raise _translated(error, key) from error

    def batches(self, prefix: str, batch: int) -> Iterator[list[StoredObject]]:
        """What lies under the folder `prefix`, in no order, at most `batch` objects at a time."""
        try:
            for page in self._store.list(prefix, chunk_size=batch):
                yield [StoredObject(key=row["path"], written_at=row["last_modified"].timestamp()) for row in page]
        except (BaseError, OSError, ValueError) as error:
            raise _translated(error, prefix) from error

    def _put(self, key: str, content: Path | bytes) -> None:
        try:
            self._store.put(key, content)
        except (BaseError, OSError, ValueError) as error:
            raise _translated(error, key) from error


def _open_store(scheme: str, url: str) -> ObjectStore:
    if scheme == "file":
        return LocalStore.from_url(url, mkdir=True)
    if scheme == "s3":
        return from_url(url)
    raise ValueError("use file:///folder or s3://bucket/prefix")


def _safe(key: str) -> str:
    if not _SAFE_KEY.fullmatch(key) or ".." in key:
        raise UnfitFile("A file was asked for under a name that storage does not use.")
    return key


def _format_of(key: str) -> FileFormat:
    prefix, extension = _safe(key).partition("/")[0], key.rpartition(".")[2]
    formats = {THUMBNAIL_PREFIX: _THUMBNAILS, UPLOAD_PREFIX: _UPLOADS}.get(prefix, _ORIGINALS)
    if extension not in formats:
        raise UnfitFile(f"Storage keeps no .{extension[:8]} files under {prefix}.")
    return formats[extension]


def _check(key: str, kind: FileFormat, head: bytes, size_bytes: int) -> None:
    if size_bytes > kind.max_bytes:
        raise TooLarge(
            f"The file has {size_bytes / MEGABYTE:.1f} MB; at most {kind.max_bytes // MEGABYTE} MB are kept of a "
            f"{kind.mime_type} file."
        )
    if head[kind.magic_at :] != kind.magic:
        raise UnfitFile(f"The file for {key.rpartition('/')[2]} is no {kind.mime_type}.")


def _pieces(stream: Iterator[bytes], key: str) -> Iterator[bytes]:
    try:
        for piece in stream:
            yield bytes(piece)
    except (BaseError, OSError) as error:
        raise _translated(error, key) from error


def _translated(error: Exception, key: str) -> NotFound | StorageFull | StorageFailed:
    if isinstance(error, FileNotFoundError):
        return NotFound("There is no such file.")
    if _NO_SPACE.search(str(error)):
        logger.error("storage is full: %s", _first_line(error), extra={"key": key})
        return StorageFull("The disk that holds the media is full. Nothing was stored; free some space and try again.")
    logger.error("storage failed for %s: %s", key, _first_line(error))
    return StorageFailed("The media storage did not answer as it should. Try again.")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:300]
