"""The MP4 format as a tree of boxes: just enough to read what a film is, and to add texts without touching its frames.

Boxes: ISO/IEC 14496-12, section 4.2. Texts lie where iTunes put them and most tools look, in moov/udta/meta/ilst:
https://developer.apple.com/documentation/quicktime-file-format/metadata_atoms_and_types. XMP has a box of its own at
the end of the file: XMP specification, part 3, section 1.2.8.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

XMP_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
NAMESPACE = "com.apple.iTunes"
"""Where tools look for texts under names of one's own."""
MAX_TEXT_BYTES = 256 * 1024
_MAX_BOXES = 1024
"""In one box. A studio's film has a handful."""
_MAX_TABLE_BYTES = 16 * 1024 * 1024
_COPIED_BYTES = 1024 * 1024
_TITLE, _COMMENT, _ENCODER = b"\xa9nam", b"\xa9cmt", b"\xa9too"
_OWN = b"----"
_UTF8 = struct.pack(">II", 1, 0)
"""The kind of a value (1 is UTF-8 text) and its language (0 is any)."""


class BrokenMp4(ValueError):
    """The bytes are no MP4, or none that this module knows how to handle."""


@dataclass(frozen=True, kw_only=True)
class Box:
    """One box of a file: its name and where in the file it, its content and its end are."""

    name: bytes
    start: int
    content: int
    end: int


@dataclass(frozen=True, kw_only=True)
class FilmFacts:
    """What the tables of an MP4 with one video track say. `codec` is the four letters of its sample entry (avc1 is
    H.264); `plays_while_loading` whether the tables come before the frames."""

    codec: str
    width: int
    height: int
    frames: int
    fps: float
    plays_while_loading: bool


@dataclass(frozen=True, kw_only=True)
class Texts:
    """What to write into an MP4. `own` holds texts under names of one's own, `xmp` an XMP packet."""

    title: str
    comment: str
    encoder: str
    own: dict[str, str]
    xmp: str


@contextmanager
def opened(source: Path | bytes) -> Iterator[BinaryIO]:
    """`source` as an open file."""
    with source.open("rb") if isinstance(source, Path) else io.BytesIO(source) as file:
        yield file


def boxes(file: BinaryIO, start: int, end: int) -> Iterator[Box]:
    """The boxes between two places of `file`, in order. Raises BrokenMp4 for one that is cut off or has no length, and
    for more than _MAX_BOXES."""
    for _ in range(_MAX_BOXES):
        if start >= end:
            return
        file.seek(start)
        head = file.read(16)
        if len(head) < 8:
            raise BrokenMp4("A box is cut off.")
        length, content = struct.unpack_from(">I", head)[0], start + 8
        if length == 1 and len(head) == 16:
            length, content = struct.unpack_from(">Q", head, 8)[0], start + 16
        stop = start + length
        if not content <= stop <= end:
            raise BrokenMp4("A box reaches past the end of what holds it.")
        yield Box(name=head[4:8], start=start, content=content, end=stop)
        start = stop
    if start < end:
        raise BrokenMp4("It has too many boxes.")


def facts_of(path: Path) -> FilmFacts:
    """What the film at `path` is, by its own tables, without decoding. Raises BrokenMp4."""
    with path.open("rb") as file:
        top = _top(file)
        moov, mdat = _the(top, b"moov"), _the(top, b"mdat")
        tracks = [box for box in boxes(file, moov.content, moov.end) if box.name == b"trak"]
        if len(tracks) != 1:
            raise BrokenMp4(f"It has {len(tracks)} tracks; a film of this studio has one.")
        media = _inside(file, tracks[0], b"mdia")
        table = _inside(file, _inside(file, media, b"minf"), b"stbl")
        try:
            codec, width, height = struct.unpack_from(">4s24xHH", _read(file, _inside(file, table, b"stsd")), 12)
            (frames,) = struct.unpack_from(">I", _read(file, _inside(file, table, b"stsz")), 8)
            times = _read(file, _inside(file, media, b"mdhd"))
            scale, duration = struct.unpack_from(">IQ" if times[0] else ">II", times, 20 if times[0] else 12)
        except (struct.error, IndexError) as error:
            raise BrokenMp4("A table is too short.") from error
    return FilmFacts(
        codec=codec.decode("latin-1"),
        width=width,
        height=height,
        frames=frames,
        fps=frames * scale / duration if duration else 0.0,
        plays_while_loading=moov.start < mdat.start,
    )


def own_text(file: BinaryIO, name: str) -> str | None:
    """The text under a name of one's own; None where there is none, or it has more than MAX_TEXT_BYTES.

    Safe for any file: looks at a bounded number of boxes at four fixed levels. Raises BrokenMp4.
    """
    box = _the(_top(file), b"moov")
    for inner in (b"udta", b"meta", b"ilst"):
        box = _inside(file, box, inner)
    for entry in boxes(file, box.content, box.end):
        if entry.name != _OWN or entry.end - entry.content > MAX_TEXT_BYTES:
            continue
        parts = {part.name: _read(file, part) for part in boxes(file, entry.content, entry.end)}
        if parts.get(b"name", b"")[4:] == name.encode() and b"data" in parts:
            return parts[b"data"][8:].decode("utf-8", errors="replace")
    return None


def write_texts(path: Path, texts: Texts) -> None:
    """Put `texts` into the film at `path`, in place of any it has; its frames are copied byte for byte.

    The same texts give the same file, however often. Raises BrokenMp4 where the film does not play while loading.
    """
    draft = path.with_name(f"{path.name}.draft")
    try:
        with path.open("rb") as file, draft.open("wb") as new:
            top = _top(file)
            moov, mdat = _the(top, b"moov"), _the(top, b"mdat")
            if moov.start > mdat.start or any(box.name == b"moof" for box in top):
                raise BrokenMp4("Its tables do not come before its frames.")
            tables = _with_texts(file, moov, _udta(texts))
            shift = len(tables) - (moov.end - moov.start)
            for box in top:
                if box is moov:
                    new.write(_shifted(tables, shift))
                elif box.start < mdat.start or not _is_xmp(file, box):
                    file.seek(box.start)
                    _copy(file, new, box.end - box.start)
            new.write(_box(b"uuid", XMP_UUID, _clean(texts.xmp)))
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _top(file: BinaryIO) -> list[Box]:
    found = list(boxes(file, 0, file.seek(0, io.SEEK_END)))
    if not found or found[0].name != b"ftyp":
        raise BrokenMp4("It does not begin as an MP4 does.")
    return found


def _the(row: list[Box], name: bytes) -> Box:
    found = [box for box in row if box.name == name]
    if len(found) != 1:
        raise BrokenMp4(f"It has {len(found)} {name.decode('latin-1')} boxes.")
    return found[0]


def _inside(file: BinaryIO, outer: Box, name: bytes) -> Box:
    """The box `name` inside `outer`."""
    skipped = 4 if outer.name == b"meta" else 0  # a version and flags come before its boxes
    return _the([box for box in boxes(file, outer.content + skipped, outer.end) if box.name == name], name)


def _read(file: BinaryIO, box: Box) -> bytes:
    if box.end - box.content > _MAX_TABLE_BYTES:
        raise BrokenMp4("A table is too large.")
    file.seek(box.content)
    return file.read(box.end - box.content)


def _is_xmp(file: BinaryIO, box: Box) -> bool:
    file.seek(box.content)
    return box.name == b"uuid" and file.read(16) == XMP_UUID


def _copy(file: BinaryIO, new: BinaryIO, length: int) -> None:
    """Copy the next `length` bytes. Raises BrokenMp4 where there are fewer."""
    while length:
        piece = file.read(min(length, _COPIED_BYTES))
        if not piece:
            raise BrokenMp4("It ends too early.")
        new.write(piece)
        length -= len(piece)


def _with_texts(file: BinaryIO, moov: Box, udta: bytes) -> bytes:
    """The moov box with `udta` in place of its own."""
    if moov.end - moov.start > _MAX_TABLE_BYTES:
        raise BrokenMp4("Its tables are too large.")
    kept = [box for box in boxes(file, moov.content, moov.end) if box.name != b"udta"]
    inner = []
    for box in kept:
        file.seek(box.start)
        inner.append(file.read(box.end - box.start))
    return _box(b"moov", *inner, udta)


def _shifted(tables: bytes, shift: int) -> bytes:
    """The moov box with every place of a chunk moved by `shift` bytes."""
    moved, file = bytearray(tables), io.BytesIO(tables)
    for track in boxes(file, 8, len(tables)):
        if track.name != b"trak":
            continue
        table = track
        for inner in (b"mdia", b"minf", b"stbl"):
            table = _inside(file, table, inner)
        for box in boxes(file, table.content, table.end):
            if box.name not in (b"stco", b"co64"):
                continue
            width = 4 if box.name == b"stco" else 8
            try:
                (count,) = struct.unpack_from(">I", tables, box.content + 4)
                if count * width > box.end - box.content - 8:
                    raise BrokenMp4("A table is too short.")
                places = f">{count}{'I' if width == 4 else 'Q'}"
                at = struct.unpack_from(places, tables, box.content + 8)
                struct.pack_into(places, moved, box.content + 8, *(place + shift for place in at))
            except struct.error as error:
                raise BrokenMp4("A table of places makes no sense.") from error
    return bytes(moved)


def _udta(texts: Texts) -> bytes:
    entries = [
        _box(name, _box(b"data", _UTF8, _clean(text)))
        for name, text in ((_TITLE, texts.title), (_COMMENT, texts.comment), (_ENCODER, texts.encoder))
    ]
    for name, text in texts.own.items():
        mean = _box(b"mean", bytes(4), NAMESPACE.encode())
        entries.append(_box(_OWN, mean, _box(b"name", bytes(4), name.encode()), _box(b"data", _UTF8, _clean(text))))
    handler = _box(b"hdlr", bytes(8), b"mdirappl", bytes(9))
    return _box(b"udta", _box(b"meta", bytes(4), handler, _box(b"ilst", *entries)))


def _box(name: bytes, *content: bytes) -> bytes:
    data = b"".join(content)
    return struct.pack(">I", len(data) + 8) + name + data


def _clean(text: str) -> bytes:
    # Some readers end a text at NUL; half a surrogate pair has no UTF-8 form.
    return text.replace("\0", "").encode("utf-8", errors="replace")
