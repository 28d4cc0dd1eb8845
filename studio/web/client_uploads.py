"""Files that come in through Gradio's upload: each lies in its person's own folder, under a name nobody can guess, and
is nobody else's. Gradio itself names uploads after their content and shows them to whoever asks.

The Python client sends the pictures of an order this way. The order copies what it uses, so that these may go.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from studio.errors import QuotaExceeded, StorageFull, TooLarge
from studio.media.pictures import MAX_UPLOAD_BYTES

MEGABYTE = 2**20
PEOPLE_FOLDER = "people"
KEPT_S = 86_400
"""An order may wait in Gradio's queue before its picture is read."""
SMALLEST_COUNTED_BYTES = 64 * 1024
"""What a file counts as at least: a file takes room on the disk, however small it is."""
MAX_NAME_CHARS = 80
KEPT_SHOWN = 20_000
"""Files that Gradio made for somebody to see, of which it is remembered for whom."""


@dataclass(frozen=True, kw_only=True)
class UploadLimits:
    """How much may lie here at once: one person's and everybody's, in bytes, and one file's."""

    file_bytes: int = MAX_UPLOAD_BYTES
    person_bytes: int = 200 * MEGABYTE
    total_bytes: int = 2000 * MEGABYTE


@dataclass(frozen=True, kw_only=True)
class IncomingFile:
    """A file as it arrives: what the client calls it, its size in bytes, and its content from the beginning."""

    name: str
    size_bytes: int
    content: BinaryIO


def gradio_folder() -> Path:
    """Where Gradio takes files in. The only files it accepts as an input lie below it."""
    return Path(os.environ.get("GRADIO_TEMP_DIR") or (Path(tempfile.gettempdir()) / "gradio").resolve())


class ClientUploads:
    """The folders of everybody's uploads below `folder`, which is made with the first of them. Methods block."""

    def __init__(self, folder: Path, limits: UploadLimits | None = None) -> None:
        self._root = folder.absolute() / PEOPLE_FOLDER
        self._limits = limits or UploadLimits()
        self._counting = threading.Lock()
        self._shown: OrderedDict[tuple[str, str], None] = OrderedDict()

    def keep(self, person_id: str, files: Sequence[IncomingFile]) -> list[Path]:
        """Keep the files of one request: all of them or none.

        Raises TooLarge for a file over the limit, QuotaExceeded when the person's folder is full, StorageFull when the
        whole is.
        """
        limits = self._limits
        if any(file.size_bytes > limits.file_bytes for file in files):
            raise TooLarge(f"A file may have at most {limits.file_bytes // MEGABYTE} MB.")
        wanted = sum(_counted(file.size_bytes) for file in files)
        own = self._folder_of(person_id)
        with self._counting:
            self.tidy()
            if _bytes_in(own) + wanted > limits.person_bytes:
                raise QuotaExceeded(
                    "Your uploads wait to be used, and no more fit beside them. Use what is there, or try again later.",
                    retry_after_s=KEPT_S,
                )
            if _bytes_in(self._root) + wanted > limits.total_bytes:
                raise StorageFull("The folder for uploads is full. Try again later.")
            return [self._write(own, file) for file in files]

    def show(self, person_id: str, path: str) -> None:
        """Remember that Gradio made the file at `path` for that person to see, as it does with the mask editor's
        picture. It lies under the SHA-256 of its content, where two people's equal pictures are one file."""
        file = os.path.realpath(path)
        if re.fullmatch(r"[0-9a-f]{64}", Path(file).parent.name) is None:
            return
        self._shown[person_id, file] = None
        while len(self._shown) > KEPT_SHOWN:
            self._shown.popitem(last=False)

    def holds(self, person_id: str, path: str) -> Path | None:
        """The file at `path`, if it is an upload of that person or was made by Gradio for them. None for anything else,
        whatever it is."""
        if "\0" in path:
            return None
        # Both without symbolic links: Gradio names the folder as it was set.
        file = Path(os.path.realpath(path))
        own = Path(os.path.realpath(self._folder_of(person_id)))
        made = (person_id, str(file)) in self._shown and file.parent.parent == Path(os.path.realpath(self._root.parent))
        return file if (made or (file.is_relative_to(own) and file != own)) and file.is_file() else None

    def tidy(self, *, now: float | None = None) -> None:
        """Remove what has lain here for longer than `KEPT_S`."""
        oldest = (time.time() if now is None else now) - KEPT_S
        for folder in self._root.glob("*/*"):
            try:
                written_at = folder.stat().st_mtime
            except FileNotFoundError:
                continue
            if written_at < oldest:
                shutil.rmtree(folder, ignore_errors=True)

    def clear(self) -> None:
        """Remove everything: nothing waits for these files any more."""
        shutil.rmtree(self._root, ignore_errors=True)

    def forget(self, person_id: str) -> None:
        """Remove everything of one person."""
        shutil.rmtree(self._folder_of(person_id), ignore_errors=True)

    def _folder_of(self, person_id: str) -> Path:
        return self._root / hashlib.sha256(person_id.encode()).hexdigest()[:32]

    @staticmethod
    def _write(own: Path, file: IncomingFile) -> Path:
        folder = own / secrets.token_hex(16)
        folder.mkdir(parents=True)
        path = folder / _safe_name(file.name)
        with path.open("wb") as kept:
            shutil.copyfileobj(file.content, kept)
        return path


def _safe_name(name: str) -> str:
    """`name` without folders and with nothing in it that a file system or a header minds."""
    bare = re.sub(r"[^A-Za-z0-9._-]+", "_", name.replace("\\", "/").rpartition("/")[2]).strip("._")
    return bare[-MAX_NAME_CHARS:] or "file"


def _counted(size_bytes: int) -> int:
    return max(size_bytes, SMALLEST_COUNTED_BYTES)


def _bytes_in(folder: Path) -> int:
    return sum(map(_counted, _sizes(folder)))


def _sizes(folder: Path) -> Iterator[int]:
    for path in folder.rglob("*"):
        try:
            if path.is_file():
                yield path.stat().st_size
        except FileNotFoundError:  # tidied away meanwhile
            continue
