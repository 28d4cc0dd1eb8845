"""Server-sent events: the changes of one's own jobs, as they happen."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Header, Query, Request
from sse_starlette import EventSourceResponse, ServerSentEvent

from studio.errors import InvalidInput, StudioError
from studio.services.container import Services
from studio.services.feed import Subscription
from studio.web.dependencies import Acting, ServicesOf, StoppingOf

HEARTBEAT_S = 15
SIGNED_IN_CHECK_S = 10.0
"""How long at most a stream goes on after its person signed out or their key was revoked."""
RECONNECT_MS = 2000
SEND_TIMEOUT_S = 60.0

router = APIRouter(prefix="/api", tags=["jobs"])


@router.get(
    "/events",
    response_class=EventSourceResponse,
    responses={200: {"description": "A stream without end", "content": {"text/event-stream": {}}}},
)
async def events(
    *,
    request: Request,
    person: Acting,
    services: ServicesOf,
    stopping: StoppingOf,
    last_event_id: Annotated[str | None, Header(description="resume after this event")] = None,
    after: Annotated[str | None, Query(description="the same, for a first connection")] = None,
) -> EventSourceResponse:
    """Follow one's own jobs. Each event is named "job", its data is a job and its id a revision, which only rises."""
    revision = _revision(last_event_id if last_event_id is not None else after)
    changes = services.feed.subscribe(person, revision)
    # The answer begins only now, so that what the client lists after its connection opened misses no change.
    await changes.begun()
    mine = stopping.cut_short(_job_events(changes), partial(_signed_out, services, request))
    return EventSourceResponse(mine, ping=HEARTBEAT_S, send_timeout=SEND_TIMEOUT_S)


async def _signed_out(services: Services, request: Request) -> None:
    """Returns when the session, key or token by which `request` came does not hold any more."""
    while True:
        await asyncio.sleep(SIGNED_IN_CHECK_S)
        try:
            await to_thread.run_sync(services.person_for, request)
        except StudioError:
            return


async def _job_events(changes: Subscription) -> AsyncGenerator[ServerSentEvent]:
    async with aclosing(changes):
        yield ServerSentEvent(comment="open", retry=RECONNECT_MS)
        async for revision, job in changes:
            yield ServerSentEvent(json.dumps(job, ensure_ascii=False), event="job", id=str(revision))


def _revision(text: str | None) -> int | None:
    """The revision a client resumes after; None for a client that wants only what comes."""
    if text is None or not text.strip():
        return None
    if not text.isdecimal() or len(text) > 18:
        raise InvalidInput("The last event id is a revision: a whole number.", field="after")
    return int(text)
