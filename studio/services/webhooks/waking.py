"""Wakes a task that otherwise sleeps until it is due."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress

log = logging.getLogger(__name__)


class Waker:
    """One sleeper in one event loop; any thread may wake it, at any time."""

    def __init__(self) -> None:
        self._awake = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    @contextmanager
    def bound(self) -> Iterator[None]:
        """The sleeper lives in the running loop while this is open."""
        self._loop = asyncio.get_running_loop()
        self._awake.set()
        try:
            yield
        finally:
            self._loop = None

    def poke(self) -> None:
        """There may be something to do."""
        loop = self._loop
        if loop is None:
            return
        try:
            loop.call_soon_threadsafe(self._awake.set)
        except RuntimeError:
            log.debug("The loop has closed; nobody sleeps there any more.")

    async def sleep(self, at_most_s: float) -> None:
        """Return when poked since the last return, or after `at_most_s` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(at_most_s):
                await self._awake.wait()
        self._awake.clear()
