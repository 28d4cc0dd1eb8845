"""Assistants, as the official SDK's client plays them."""

from __future__ import annotations

import base64
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult, ImageContent, TextContent
from PIL import Image

from tests.integration.small_studio import ServedStudio

ACCEPT = {"Accept": "application/json, text/event-stream"}
CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}


@asynccontextmanager
async def assistant(served: ServedStudio, key: str | None = None, mode: Any = "auto") -> AsyncIterator[Client]:
    """A client of the SDK that brings `key`."""
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=60) as http,
        Client(streamable_http_client(f"{served.url}/mcp", http_client=http), mode=mode) as client,
    ):
        yield client


def body_of(result: CallToolResult) -> dict[str, Any]:
    """What a tool answered, which its text says too."""
    assert not result.is_error, result.content
    assert result.structured_content is not None
    return result.structured_content


def error_of(result: CallToolResult) -> str:
    """The sentence of a tool's error."""
    assert result.is_error
    (text,) = result.content
    assert isinstance(text, TextContent)
    return text.text


def pictures_of(result: CallToolResult) -> list[Image.Image]:
    shown = [one for one in result.content if isinstance(one, ImageContent)]
    return [Image.open(io.BytesIO(base64.b64decode(one.data))) for one in shown]
