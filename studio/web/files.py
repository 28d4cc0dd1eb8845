"""Answers with a stored file: conditional requests, byte ranges and streaming (RFC 9110, sections 13 and 14)."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import quote

from anyio import to_thread
from starlette.concurrency import iterate_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from studio.web.errors import plain_error

OpenRange = Callable[[int, int], Iterator[bytes]]
"""Reads the bytes [start, end) of a file in chunks."""

RANGE = re.compile(r"bytes=\s*(\d*)\s*-\s*(\d*)\s*", re.IGNORECASE)
MAX_FILENAME_CHARS = 120


@dataclass(frozen=True, kw_only=True)
class StoredFile:
    """A file to answer with. `etag` is a strong validator without its quotes, `read` opens a range of it."""

    mime_type: str
    size_bytes: int
    etag: str
    filename: str
    read: OpenRange


class RangeNotSatisfiable(Exception):
    """The range asked for lies outside the file."""


def parse_range(header: str | None, size_bytes: int) -> tuple[int, int] | None:
    """The (start, end) in bytes, end excluded, that a Range header asks for.

    None where the whole file is to be sent: no header, one that is malformed, or several ranges at once, all of which
    RFC 9110 lets a server ignore. Raises RangeNotSatisfiable.
    """
    match = RANGE.fullmatch(header.strip()) if header else None
    if match is None or not any(match.groups()):
        return None
    first, last = match.groups()
    if not first:
        start, end = max(size_bytes - int(last), 0), size_bytes
    else:
        start, end = int(first), min(int(last) + 1, size_bytes) if last else size_bytes
        if last and int(last) < int(first):
            return None
    if start >= end:
        raise RangeNotSatisfiable
    return start, end


def matches_etag(header: str | None, etag: str) -> bool:
    """Whether If-None-Match names `etag`, weakly compared as RFC 9110 wants it there."""
    if header is None:
        return False
    tags = (tag.strip().removeprefix("W/") for tag in header.split(","))
    return any(tag in ("*", f'"{etag}"') for tag in tags)


def content_disposition(filename: str, *, attachment: bool) -> str:
    """The header that names a file, safe for any `filename`: plain ASCII first, the true name as RFC 6266 has it."""
    kind = "attachment" if attachment else "inline"
    plain = re.sub(r"[^A-Za-z0-9._ -]+", "_", filename).strip(" .")[:MAX_FILENAME_CHARS] or "file"
    if plain == filename:
        return f'{kind}; filename="{plain}"'
    bare = re.sub(r"[\x00-\x1f\x7f/\\]+", "_", filename)[:MAX_FILENAME_CHARS]
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(bare, safe='')}"


async def file_answer(request: Request, file: StoredFile, *, cache_control: str, attachment: bool = False) -> Response:
    """Answer `request` with `file`, or the part of it that was asked for.

    200, 206 for a range, 304 if the client has it already, 416 for a range outside the file. The first chunk is read
    before the answer starts, so that a missing file is still an error and not half an answer.
    """
    headers = {
        "ETag": f'"{file.etag}"',
        "Accept-Ranges": "bytes",
        "Cache-Control": cache_control,
        "Content-Disposition": content_disposition(file.filename, attachment=attachment),
    }
    if matches_etag(request.headers.get("if-none-match"), file.etag):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    wanted = request.headers.get("range")
    if request.headers.get("if-range", f'"{file.etag}"') != f'"{file.etag}"':
        wanted = None
    try:
        part = parse_range(wanted, file.size_bytes)
    except RangeNotSatisfiable:
        refusal = {"Content-Range": f"bytes */{file.size_bytes}", "Accept-Ranges": "bytes"}
        return plain_error(416, f"The file has {file.size_bytes} bytes; the range lies outside.", headers=refusal)
    start, end = part or (0, file.size_bytes)
    status = HTTPStatus.OK if part is None else HTTPStatus.PARTIAL_CONTENT
    headers["Content-Length"] = str(end - start)
    if part is not None:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{file.size_bytes}"
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=file.mime_type)
    chunks = await to_thread.run_sync(file.read, start, end)
    first = await to_thread.run_sync(next, chunks, b"")
    return StreamingResponse(_chunks(first, chunks), status_code=status, headers=headers, media_type=file.mime_type)


async def _chunks(first: bytes, rest: Iterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in iterate_in_threadpool(rest):
        yield chunk
