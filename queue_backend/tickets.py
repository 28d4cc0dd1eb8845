"""Tickets: the announcement that a lane has work. A ticket names a lane, never a job; the job's row is the truth."""

from __future__ import annotations

from typing import Protocol


class TicketQueue(Protocol):
    """Carries tickets to the lanes. A lost ticket is issued again by a sweep, a spare one finds nothing to do."""

    async def issue(self, lane: str) -> None:
        """Ask that the lane's runner be called once more. Returns as soon as the ticket is queued."""
