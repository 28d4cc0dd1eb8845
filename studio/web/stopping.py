"""The end of the studio, announced early enough that long answers finish by themselves."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TypeVar

import uvicorn

ItemT = TypeVar("ItemT")


class Stopping:
    """Set once, on the event loop, when the studio begins to stop."""

    def __init__(self) -> None:
        self._begun = asyncio.Event()

    @property
    def begun(self) -> bool:
        return self._begun.is_set()

    def begin(self) -> None:
        """From now on the studio is not ready, and streams end after their current item."""
        self._begun.set()

    async def cut_short(
        self, items: AsyncGenerator[ItemT], *ends: Callable[[], Awaitable[object]]
    ) -> AsyncGenerator[ItemT]:
        """`items` until the studio begins to stop or one of `ends` is over; then, and when the reader goes away, they
        are closed."""
        stops = [asyncio.ensure_future(end()) for end in (self._begun.wait, *ends)]
        try:
            while True:
                following = asyncio.ensure_future(anext(items, None))
                try:
                    await asyncio.wait((following, *stops), return_when=asyncio.FIRST_COMPLETED)
                finally:
                    if not following.done():
                        following.cancel()
                        await asyncio.wait((following,))
                if following.cancelled() or (item := following.result()) is None:
                    return
                yield item
        finally:
            for stop in stops:
                stop.cancel()
            await items.aclose()


class StudioServer(uvicorn.Server):
    """uvicorn that tells the studio before it waits for open answers, so that it does not wait for endless ones."""

    def __init__(self, config: uvicorn.Config, stopping: Stopping) -> None:
        super().__init__(config)
        self._stopping = stopping

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stopping.begin()
        await super().shutdown(sockets)
