"""Pictures and films: for the browser under /media, for gradio_client where that looks for files."""

from __future__ import annotations

from functools import partial
from pathlib import PurePosixPath
from typing import Annotated, Literal

from anyio import to_thread
from fastapi import APIRouter, Query, Request, Response

from studio.errors import NotFound
from studio.media.storage import MediaStorage
from studio.services.library import MediaFile
from studio.web.dependencies import Acting, PartsOf, ServicesOf
from studio.web.files import StoredFile, file_answer

ORIGINAL_CACHE = "private, no-cache"
"""Kept by the browser, but asked about each time: one removed for good, or another person's, is gone at once."""
THUMBNAIL_CACHE = "private, max-age=86400"
ThumbnailSize = Annotated[Literal["256", "768"], Query(description="long side in pixels")]

router = APIRouter(tags=["media"])


@router.head("/media/{asset_id}", include_in_schema=False)
@router.get("/media/{asset_id}", response_class=Response)
async def media(
    *, request: Request, asset_id: str, person: Acting, services: ServicesOf, parts: PartsOf, download: bool = False
) -> Response:
    """An asset's file, whole or in ranges; `download=1` makes the browser save it."""
    file = await to_thread.run_sync(services.library.media, person, asset_id)
    return await file_answer(request, _stored(parts.storage, file), cache_control=ORIGINAL_CACHE, attachment=download)


@router.head("/media/{asset_id}/thumbnail", include_in_schema=False)
@router.get("/media/{asset_id}/thumbnail", response_class=Response)
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
    return await file_answer(request, _stored(parts.storage, file), cache_control=THUMBNAIL_CACHE)


@router.head("/media/{asset_id}/preview", include_in_schema=False)
@router.get("/media/{asset_id}/preview", response_class=Response)
async def preview(*, request: Request, asset_id: str, person: Acting, services: ServicesOf, parts: PartsOf) -> Response:
    """A few moving frames of a film as a small animated WebP."""
    file = await to_thread.run_sync(services.library.preview, person, asset_id)
    return await file_answer(request, _stored(parts.storage, file), cache_control=THUMBNAIL_CACHE)


@router.head("/gradio_api/file=asset/{name}", include_in_schema=False)
@router.get("/gradio_api/file=asset/{name}", include_in_schema=False)
async def client_file(request: Request, name: str, person: Acting, services: ServicesOf, parts: PartsOf) -> Response:
    """The same file for gradio_client, which downloads "asset/<id>.<extension>" from here."""
    asked = PurePosixPath(name)
    file = await to_thread.run_sync(services.library.media, person, asked.stem)
    if asked.suffix != PurePosixPath(file.filename).suffix:
        raise NotFound("There is no such file.")
    return await file_answer(request, _stored(parts.storage, file), cache_control=ORIGINAL_CACHE, attachment=True)


def _stored(storage: MediaStorage, file: MediaFile) -> StoredFile:
    return StoredFile(
        mime_type=file.mime_type,
        size_bytes=file.bytes,
        etag=file.etag,
        filename=file.filename,
        read=partial(storage.stream, file.storage_key),
    )
