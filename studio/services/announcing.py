"""Says after a commit that something changed: a ticket for the lane, and a nudge for everybody who follows."""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from queue_backend.tickets import TicketQueue

log = logging.getLogger(__name__)


class Follower(Protocol):
    """Somebody who wants to look again."""

    def poke(self) -> None: ...


class Announcer:
    """Called from any thread with the lane that has work. An announcement that gets lost is made again by the sweep."""

    def __init__(self, tickets: TicketQueue, *followers: Follower) -> None:
        self._tickets = tickets
        self._followers = followers
        self._loop: asyncio.AbstractEventLoop | None = None
        self._issuing: set[asyncio.Task[None]] = set()

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """Name the loop that tickets are issued on. What is announced before is left to the sweep."""
        self._loop = loop

    def poke(self) -> None:
        """Something changed that people follow."""
        for follower in self._followers:
            follower.poke()

    def __call__(self, lane: str) -> None:
        self.poke()
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._issue, lane)

    def _issue(self, lane: str) -> None:
        task = asyncio.get_running_loop().create_task(self._tickets.issue(lane), name=f"ticket {lane}")
        self._issuing.add(task)
        task.add_done_callback(self._issued)

    def _issued(self, task: asyncio.Task[None]) -> None:
        self._issuing.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("A ticket could not be issued; the sweep will try again.", exc_info=error)
