"""Reads the multipart form in which gradio_client sends files."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import Request

from studio.errors import InvalidInput, UnsupportedMedia
from studio.media.pictures import MAX_UPLOAD_BYTES
from studio.web.client_uploads import IncomingFile
from studio.web.security import MULTIPART_OVERHEAD_BYTES, limited, too_large

MAX_FILES = 8
MAX_FIELDS = 8


@asynccontextmanager
async def read_files(request: Request) -> AsyncIterator[list[IncomingFile]]:
    """The files of the field "files", for as long as the context lasts.

    Raises TooLarge as soon as the body passes what one file may have, UnsupportedMedia and InvalidInput.
    """
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise UnsupportedMedia("Send this as multipart/form-data.")
    limit = MAX_UPLOAD_BYTES + MULTIPART_OVERHEAD_BYTES
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length) > limit:
        raise too_large(limit)
    bounded = Request(request.scope, limited(request.receive, limit))
    try:
        form = await bounded.form(max_files=MAX_FILES, max_fields=MAX_FIELDS)
    except MultiPartException as error:
        raise InvalidInput(f"The form cannot be read: {error.message}") from error
    except HTTPException as error:
        raise (too_large(limit) if error.status_code == 413 else InvalidInput(str(error.detail))) from error
    try:
        files = [one for one in form.getlist("files") if isinstance(one, UploadFile)]
        if not files:
            raise InvalidInput('Send at least one file in the field "files".', field="files")
        yield [IncomingFile(name=one.filename or "", size_bytes=one.size or 0, content=one.file) for one in files]
    finally:
        await form.close()
