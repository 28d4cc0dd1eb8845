"""Tickets through Gradio's own queue: the embedded default, with the queue as each lane's turnstile.

A ticket is a call of the app's own endpoint `/run_<lane>`, posted in process. Gradio runs at most the lane's
concurrency limit of them at once and keeps the others waiting, in order.

Gradio keeps an event's messages until somebody reads them, in one of 2,000 remembered sessions; tickets on sessions of
their own would push the browsers' sessions out, and those left over would be kept forever. So all tickets share one
session, of a name nobody can guess, and one listener reads it for as long as tickets are under way.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import gradio as gr
import httpx
from gradio.events import api
from starlette.types import ASGIApp

from queue_backend.tickets import TicketQueue

TICKET_HEADER: Final = "X-Studio-Ticket"
"""Carries the secret past an `auth_dependency`, which sees the headers alone."""

_REFUSED_PAUSES_S: Final = (0.1, 0.5)
_ORIGIN: Final = "http://localhost"

_logger = logging.getLogger(__name__)

RunNext = Callable[[str], Awaitable[object]]


def is_ticket_secret(offered: str, secret: str) -> bool:
    """Whether `offered` is the secret, compared in constant time."""
    return hmac.compare_digest(offered.encode(), secret.encode())


def register_lanes(lanes: Mapping[str, int], run_next: RunNext, secret: str) -> None:
    """Register an endpoint `run_<lane>` for each lane, with the lane's number of workers as its concurrency limit.

    To be called inside `gr.Blocks`. `run_next(lane)` does the next piece of work and holds the lane's place
    meanwhile; it should return quickly when there is none. The endpoints are hidden, but anybody may call them: only
    `secret` makes one run. Each running ticket takes one of the app's `max_threads` (40) slots, also as an async
    function; whoever registers other long events must leave enough of them free.
    """
    for lane, workers in lanes.items():
        api(
            _lane_endpoint(lane, run_next, secret),
            api_name=f"run_{lane}",
            concurrency_id=lane,
            concurrency_limit=workers,
            api_visibility="private",
        )


def _lane_endpoint(lane: str, run_next: RunNext, secret: str) -> Callable[[str], Awaitable[None]]:
    async def take_ticket(ticket: str) -> None:
        if not isinstance(ticket, str) or not is_ticket_secret(ticket, secret):
            _logger.warning("A call of lane %s without the ticket secret was refused.", lane)
            raise gr.Error("This endpoint is not for calling.", print_exception=False)
        try:
            await run_next(lane)
        except Exception:  # nobody listens to a ticket: Gradio would print the error past the log
            _logger.exception("A ticket of lane %s failed.", lane)

    return take_ticket


class GradioTicketQueue(TicketQueue):
    """Issues tickets to the Gradio app that `register_lanes` prepared. Belongs to one event loop."""

    def __init__(self, secret: str) -> None:
        self._secret = secret
        self._session = secrets.token_hex(16)
        self._client: httpx.AsyncClient | None = None
        self._newest_event: str | None = None
        self._listener: asyncio.Task[None] | None = None

    def bind(self, app: ASGIApp) -> None:
        """Name the app that Gradio is mounted on, at its root. Before the first ticket."""
        self._client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app, raise_app_exceptions=False),
            base_url=_ORIGIN,
            headers={TICKET_HEADER: self._secret},
        )

    async def issue(self, lane: str) -> None:
        """Ask that the lane's runner be called once more.

        A ticket that Gradio refuses (its queue is full or stopped) is logged and left to the sweep: the work is
        recorded already, and its submission must not fail here. Raises RuntimeError before `bind`.
        """
        if self._client is None:
            raise RuntimeError("The ticket queue is not bound to an app yet.")
        body = {"data": [self._secret], "session_hash": self._session}
        for pause_s in (*_REFUSED_PAUSES_S, None):
            answer = await self._client.post(f"/gradio_api/call/run_{lane}", json=body)
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE or pause_s is None:
                break
            await asyncio.sleep(pause_s)
        if not answer.is_success:
            _logger.warning("Gradio refused a ticket of lane %s: %d %s", lane, answer.status_code, answer.text[:200])
            return
        self._newest_event = f"run_{lane}/{answer.json()['event_id']}"
        if self._listener is None or self._listener.done():
            self._listener = asyncio.create_task(self._listen(self._client), name="ticket listener")

    async def aclose(self) -> None:
        """Stop listening. Tickets that still wait in Gradio's queue are dropped; their work is recorded elsewhere."""
        if self._listener is not None:
            self._listener.cancel()
            await asyncio.wait([self._listener])
        if self._client is not None:
            await self._client.aclose()

    async def _listen(self, client: httpx.AsyncClient) -> None:
        """Read the session's messages, so that Gradio forgets them.

        Reading one event's stream reads the whole session, and ends when no ticket is under way; opened on a ticket
        that had just ended, it stays and reads the next ones. The answer grows by 26 bytes a ticket meanwhile.
        A ticket issued while the stream was closing is newer than the one it was opened for, hence the loop.
        """
        while self._newest_event is not None:
            event, self._newest_event = self._newest_event, None
            answer = await client.get(f"/gradio_api/call/{event}")
            if not answer.is_success:
                _logger.warning("Gradio keeps the tickets' messages: %d %s", answer.status_code, answer.text[:200])
