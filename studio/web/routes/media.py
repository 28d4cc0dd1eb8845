"""Pictures and films: for the browser under /media, for gradio_client where that looks for files."""

from __future__ import annotations

from functools import partial
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from anyio import to_thread
from fastapi import APIRouter, Query, Request, Response

from studio.errors import NotFound
from studio.media.storage import MediaStorage
from studio.services.library import MediaFile
from studio.web.dependencies import Acting, PartsOf, ServicesOf
from studio.web.files import StoredFile, file_answer
from studio.web.openapi import refuses

ORIGINAL_CACHE = "private, no-cache"
"""Kept by the browser, but asked about each time: one removed for good, or another person's, is gone at once."""
THUMBNAIL_CACHE = "private, max-age=86400"
ThumbnailSize = Annotated[Literal["256", "768"], Query(description="long side in pixels")]

ORIGINALS = ("image/png", "video/mp4")
SMALL = ("image/webp",)


def file_answers(*types: str) -> dict[int | str, dict[str, Any]]:
    """How a stored file of one of these media types is answered, for OpenAPI."""
    content: dict[str, dict[str, Any]] = {media_type: {} for media_type in types}
    return {
        200: {"content": content},
        206: {"description": "The range that was asked for", "content": content},
        304: {"description": "The client has it already"},
        **refuses(416, 503),
    }


router = APIRouter(tags=["media"])


@router.head("/media/{asset_id}", include_in_schema=False)
@router.get("/media/{asset_id}", response_class=Response, responses=file_answers(*ORIGINALS))
async def media(
    *, request: Request, asset_id: str, person: Acting, services: ServicesOf, parts: PartsOf, download: bool = False
) -> Response:
    """An asset's file, whole or in ranges; `download=1` makes the browser save it."""
    file = await to_thread.run_sync(services.library.media, person, asset_id)
    return await file_answer(request, stored(parts.storage, file), cache_control=ORIGINAL_CACHE, attachment=download)


@router.head("/media/{asset_id}/thumbnail", include_in_schema=False)
@router.get("/media/{asset_id}/thumbnail", response_class=Response, responses=file_answers(*SMALL))
async def thumbnail(
    *,
    request: Request,
    asset_id: str,
    person: Acting,
    services: ServicesOf,
    parts: PartsOf,
    size: ThumbnailSize = "256",
) -> Response:
    """A small WebP of an asset."""
    file = await to_thread.run_sync(services.library.thumbnail, person, asset_id, int(size))
    return await file_answer(request, stored(parts.storage, file), cache_control=THUMBNAIL_CACHE)


@router.head("/media/{asset_id}/preview", include_in_schema=False)
@router.get("/media/{asset_id}/preview", response_class=Response, responses=file_answers(*SMALL))
async def preview(*, request: Request, asset_id: str, person: Acting, services: ServicesOf, parts: PartsOf) -> Response:
    """A few moving frames of a film as a small animated WebP."""
    file = await to_thread.run_sync(services.library.preview, person, asset_id)
    return await file_answer(request, stored(parts.storage, file), cache_control=THUMBNAIL_CACHE)


@router.head("/gradio_api/file=asset/{name}", include_in_schema=False)
@router.get("/gradio_api/file=asset/{name}", include_in_schema=False)
async def client_file(request: Request, name: str, person: Acting, services: ServicesOf, parts: PartsOf) -> Response:
    """The same file for gradio_client, which downloads "asset/<id>.<extension>" from here."""
    asked = PurePosixPath(name)
    file = await to_thread.run_sync(services.library.media, person, asked.stem)
    if asked.suffix != PurePosixPath(file.filename).suffix:
        raise NotFound("There is no such file.")
    return await file_answer(request, stored(parts.storage, file), cache_control=ORIGINAL_CACHE, attachment=True)


def stored(storage: MediaStorage, file: MediaFile) -> StoredFile:
    """What is answered of `file`."""
    return StoredFile(
        mime_type=file.mime_type,
        size_bytes=file.bytes,
        etag=file.etag,
        filename=file.filename,
        read=partial(storage.stream, file.storage_key),
    )
