"""Progress reports on their way to a reader who may be slower than the worker."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

OnProgress = Callable[[Any], Awaitable[None]]


class ProgressMailbox:
    """Holds at most two undelivered reports: the newest, and the newest that carries a `preview`.

    Reports overtaken by a newer one before they were read are dropped, so a slow reader costs no memory.
    """

    def __init__(self) -> None:
        self._latest: Any = None
        self._with_preview: Any = None
        self._arrived = asyncio.Event()
        self._closed = False

    def put(self, progress: Any) -> None:
        """Leave a report; the one waiting before it is dropped, unless it holds the only new preview."""
        if getattr(progress, "preview", None) is not None:
            self._with_preview = None
        elif getattr(self._latest, "preview", None) is not None:
            self._with_preview = self._latest
        self._latest = progress
        self._arrived.set()

    def close(self) -> None:
        """No more reports will come; `deliver` hands over what is left and returns."""
        self._closed = True
        self._arrived.set()

    async def deliver(self, on_progress: OnProgress) -> None:
        """Hand reports over one by one, oldest first, until closed and empty. Raises what `on_progress` raises."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            waiting = [report for report in (self._with_preview, self._latest) if report is not None]
            self._with_preview = self._latest = None
            for report in waiting:
                await on_progress(report)
            if self._closed and self._latest is None:
                return
