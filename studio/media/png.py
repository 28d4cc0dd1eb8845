"""The PNG format as a row of chunks: just enough to add text to a picture without touching its pixels.

Chunk layout and text chunks: https://www.w3.org/TR/png-3/ sections 5.3 and 11.3.3.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_FRAME_BYTES = 12
"""Length (4), name (4) and checksum (4) around a chunk's data."""
_TEXT_CHUNKS = (b"tEXt", b"iTXt", b"zTXt")
_MAX_KEYWORD_BYTES = 79


class BrokenPng(ValueError):
    """The bytes are no complete, well-formed PNG."""


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """One chunk of a PNG. `raw` is all of it, ready to be written again."""

    name: bytes
    data: memoryview
    raw: memoryview


def chunks(png: bytes, *, verify: bool = True) -> Iterator[Chunk]:
    """The chunks of `png` in order, up to and with IEND. Raises BrokenPng.

    With `verify` every checksum is compared, and IEND must be there with nothing after it.
    """
    if not png.startswith(SIGNATURE):
        raise BrokenPng("The signature of a PNG is missing.")
    view, at = memoryview(png), len(SIGNATURE)
    while at + _FRAME_BYTES <= len(png):
        (length,) = struct.unpack_from(">I", png, at)
        end = at + _FRAME_BYTES + length
        if end > len(png):
            raise BrokenPng("A chunk reaches past the end of the file.")
        name, data = bytes(view[at + 4 : at + 8]), view[at + 8 : end - 4]
        if verify and zlib.crc32(view[at + 4 : end - 4]) != struct.unpack_from(">I", png, end - 4)[0]:
            raise BrokenPng("A checksum is wrong.")
        yield Chunk(name=name, data=data, raw=view[at:end])
        if name == b"IEND":
            if verify and end != len(png):
                raise BrokenPng("Something follows the end of the picture.")
            return
        at = end
    raise BrokenPng("The end of the picture is missing.")


def dimensions(png: bytes) -> tuple[int, int]:
    """(width, height) in pixels from the header, without decoding. Raises BrokenPng."""
    header = next(chunks(png, verify=False))
    if header.name != b"IHDR" or len(header.data) != 13:
        raise BrokenPng("The header is missing.")
    width, height = struct.unpack_from(">II", header.data)
    return width, height


def with_texts(png: bytes, texts: dict[str, str]) -> bytes:
    """`png` with one text chunk per keyword of `texts`, right after the header; every other byte is kept.

    A text of Latin-1 characters goes into tEXt, any other into iTXt (UTF-8). Chunks that had one of these keywords
    are replaced. Raises BrokenPng.
    """
    written = [SIGNATURE]
    for number, chunk in enumerate(chunks(png)):
        if (number == 0) != (chunk.name == b"IHDR"):
            raise BrokenPng("The header is not where it belongs.")
        if keyword_of(chunk) in texts:
            continue
        written.append(bytes(chunk.raw))
        if number == 0:
            written.extend(_text_chunk(keyword, text) for keyword, text in texts.items())
    return b"".join(written)


def keyword_of(chunk: Chunk) -> str | None:
    """The keyword of a text chunk; None for any other chunk."""
    if chunk.name not in _TEXT_CHUNKS:
        return None
    return bytes(chunk.data[: _MAX_KEYWORD_BYTES + 1]).partition(b"\0")[0].decode("latin-1")


def plain_text(chunk: Chunk) -> str | None:
    """The text of a tEXt or an uncompressed iTXt chunk. None for any other: what is compressed is never unpacked."""
    _, _, rest = bytes(chunk.data).partition(b"\0")
    if chunk.name == b"tEXt":
        return rest.decode("latin-1")
    if chunk.name == b"iTXt" and rest[:1] == b"\0":
        return rest[2:].split(b"\0", 2)[-1].decode("utf-8", errors="replace")
    return None


def _text_chunk(keyword: str, text: str) -> bytes:
    # NUL ends a field in both chunks, so a text cannot hold one; half a surrogate pair has no UTF-8 form.
    clean = text.replace("\0", "").encode("utf-8", errors="replace").decode()
    try:
        return _chunk(b"tEXt", keyword.encode("latin-1") + b"\0" + clean.encode("latin-1"))
    except UnicodeEncodeError:
        # Not compressed, no language, no translated keyword.
        return _chunk(b"iTXt", keyword.encode("latin-1") + b"\0\0\0\0\0" + clean.encode())


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
