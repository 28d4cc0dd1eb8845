"""What tools answer: JSON for programs, small pictures to look at, links to the originals."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from mcp.types import CallToolResult, ContentBlock, ImageContent, ResourceLink, TextContent
from pydantic import Field

from studio.media.storage import MediaStorage
from studio.people import Person
from studio.services.library import LibraryService
from studio.web.mcp.calls import Call
from studio.web.models import Answer, AssetAnswer, JobAnswer

ADDRESSES = ("url", "thumbnail_url", "preview_url", "download_url")
ONE_ALONE_PX = 768
ONE_OF_SEVERAL_PX = 256
"""Long side of what an assistant looks at: originals would fill its context with little to see in them."""
PICTURE_URI = "asset://{asset_id}"
Json = dict[str, Any]


class Made(Answer):
    """A job and what came out of it: no assets unless it is completed."""

    job: JobAnswer
    assets: list[AssetAnswer] = Field(description="the finished pictures or film, with links for people")


class Catalog(Answer):
    """Every job type with its defaults, limits and sizes."""

    items: list[dict[str, Any]]


def result(body: Json, *content: ContentBlock) -> CallToolResult:
    """`body` as structured content and as text, then `content`."""
    text = TextContent(type="text", text=json.dumps(body, ensure_ascii=False))
    return CallToolResult(content=[text, *content], structured_content=body)


def brief(job: Mapping[str, Any]) -> Json:
    """A job without its receipt, which is long and which get_job has."""
    return {**job, "receipt": None}


def linked(asset: Mapping[str, Any], call: Call) -> Json:
    """An asset with addresses that a person can open."""
    whole = {name: f"{call.studio}{asset[name]}" for name in ADDRESSES if asset.get(name)}
    return {**asset, **whole}


class Shelf:
    """Shows assets to assistants. Its methods block."""

    def __init__(self, library: LibraryService, storage: MediaStorage) -> None:
        self._library = library
        self._storage = storage

    def shown(self, call: Call, assets: list[Json]) -> list[ContentBlock]:
        """A small picture of each asset (of a film its poster), and a link to each original."""
        size = ONE_ALONE_PX if len(assets) == 1 else ONE_OF_SEVERAL_PX
        small = [self._small(call.person, asset, size) for asset in assets]
        return [*small, *(_link(asset) for asset in assets)]

    def original(self, person: Person, asset_id: str) -> tuple[str, bytes]:
        """Mime type and bytes of an asset's file. Raises NotFound."""
        file = self._library.media(person, asset_id)
        return file.mime_type, self._storage.read(file.storage_key)

    def _small(self, person: Person, asset: Json, size_px: int) -> ImageContent:
        file = self._library.thumbnail(person, asset["id"], size_px)
        data = b64encode(self._storage.read(file.storage_key)).decode()
        return ImageContent(type="image", data=data, mime_type=file.mime_type)


def _link(asset: Json) -> ResourceLink:
    """To a picture as a resource, which the assistant can read; to a film as the address that its person opens."""
    is_film = asset["kind"] == "video"
    return ResourceLink(
        type="resource_link",
        uri=asset["url"] if is_film else PICTURE_URI.format(asset_id=asset["id"]),
        name=f"{asset['id']}.{'mp4' if is_film else 'png'}",
        description=asset["prompt"],
        mime_type=asset["mime_type"],
        size=asset["bytes"],
    )
