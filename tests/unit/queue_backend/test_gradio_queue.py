"""Tickets through a real Gradio app, mounted on FastAPI and called in process."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping

import gradio as gr
import httpx
import pytest
from fastapi import FastAPI, Request

from queue_backend.gradio_queue import TICKET_HEADER, GradioTicketQueue, is_ticket_secret, register_lanes

# Gradio's statistics, made after every event, use pandas in ways that pandas 3 calls deprecated.
pytestmark = [
    pytest.mark.filterwarnings("ignore:'future.no_silent_downcasting' is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The copy keyword is deprecated:DeprecationWarning"),
]

SECRET = "the secret"
DEADLINE_S = 20.0


class Lanes:
    """Stands behind the turnstile: records who is inside each lane and holds them until the gate opens."""

    def __init__(self) -> None:
        self.entered: Counter[str] = Counter()
        self.inside: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.gate = asyncio.Event()

    async def run_next(self, lane: str) -> None:
        self.entered[lane] += 1
        self.inside[lane] += 1
        self.most[lane] = max(self.most[lane], self.inside[lane])
        await self.gate.wait()
        self.inside[lane] -= 1
        if lane == "broken":
            raise LookupError("The lane's own error.")

    async def until_entered(self, **wanted: int) -> None:
        await until(lambda: all(self.entered[lane] >= count for lane, count in wanted.items()))


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition; fails after a generous deadline."""
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, "The condition never came true."
        await asyncio.sleep(0.01)


def ticket_holder(request: Request) -> str | None:
    """The app's sign-in: nobody but tickets is let through."""
    return "tickets" if is_ticket_secret(request.headers.get(TICKET_HEADER, ""), SECRET) else None


@contextlib.asynccontextmanager
async def serving(
    lanes: Mapping[str, int], behind: Lanes, max_size: int | None = None
) -> AsyncIterator[tuple[FastAPI, gr.Blocks]]:
    with gr.Blocks() as blocks:
        register_lanes(lanes, behind.run_next, SECRET)
    blocks.queue(max_size=max_size)
    app = FastAPI()
    gr.mount_gradio_app(app, blocks, path="/", auth_dependency=ticket_holder)
    async with app.router.lifespan_context(app):
        yield app, blocks


@contextlib.asynccontextmanager
async def bound(app: FastAPI, secret: str = SECRET) -> AsyncIterator[GradioTicketQueue]:
    tickets = GradioTicketQueue(secret)
    tickets.bind(app)
    yield tickets
    await tickets.aclose()


async def test_a_limit_of_one_serialises_a_lane_while_another_runs():
    behind = Lanes()
    async with serving({"sdxl": 1, "wan": 1}, behind) as (app, _), bound(app) as tickets:
        for lane in ("sdxl", "sdxl", "sdxl", "wan"):
            await tickets.issue(lane)
        await behind.until_entered(sdxl=1, wan=1)
        assert behind.inside == {"sdxl": 1, "wan": 1}
        behind.gate.set()
        await behind.until_entered(sdxl=3)
        assert behind.most == {"sdxl": 1, "wan": 1}


async def test_a_limit_of_two_lets_two_in():
    behind = Lanes()
    async with serving({"sdxl": 2}, behind) as (app, _), bound(app) as tickets:
        for _ in range(4):
            await tickets.issue("sdxl")
        await behind.until_entered(sdxl=2)
        behind.gate.set()
        await behind.until_entered(sdxl=4)
        assert behind.most["sdxl"] == 2


def kept(blocks: gr.Blocks) -> tuple[int, int, int]:
    """How many events, unfinished event ids and messages Gradio's queue remembers."""
    queue = blocks._queue
    return (
        len(queue.event_ids_to_events),
        sum(len(events) for events in queue.pending_event_ids_session.values()),
        sum(messages.qsize() for messages in queue.pending_messages_per_session.values()),
    )


async def test_gradio_keeps_nothing_of_the_tickets():
    behind = Lanes()
    behind.gate.set()
    async with serving({"sdxl": 1, "wan": 1}, behind) as (app, blocks), bound(app) as tickets:
        for round_number in range(1, 4):
            for _ in range(20):
                await tickets.issue("sdxl")
                await tickets.issue("wan")
            await behind.until_entered(sdxl=20 * round_number, wan=20 * round_number)
            await until(lambda: kept(blocks) <= (0, 0, 1))
        assert len(blocks._queue.pending_messages_per_session) == 1


async def test_tickets_run_although_nobody_listens():
    behind = Lanes()
    behind.gate.set()
    async with serving({"sdxl": 1}, behind) as (app, _):
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://localhost", headers={TICKET_HEADER: SECRET}
        ) as client:
            for _ in range(3):
                answer = await client.post("/gradio_api/call/run_sdxl", json={"data": [SECRET]})
                assert answer.status_code == 200
        await behind.until_entered(sdxl=3)


async def test_a_failing_lane_goes_on(caplog):
    behind = Lanes()
    behind.gate.set()
    async with serving({"broken": 1}, behind) as (app, _), bound(app) as tickets:
        for _ in range(2):
            await tickets.issue("broken")
        await until(lambda: caplog.text.count("A ticket of lane broken failed.") == 2)


@pytest.mark.parametrize("offered", ["wrong", "", 7, None])
async def test_a_wrong_secret_is_refused(offered):
    behind = Lanes()
    async with serving({"sdxl": 1}, behind) as (app, _):
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://localhost", headers={TICKET_HEADER: SECRET}
        ) as client:
            answer = await client.post("/gradio_api/call/run_sdxl", json={"data": [offered]})
            answer = await client.get(f"/gradio_api/call/run_sdxl/{answer.json()['event_id']}")
        assert "event: error" in answer.text
        assert behind.entered == {}


async def test_the_endpoints_are_not_listed():
    async with serving({"sdxl": 1}, Lanes()) as (app, _):
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://localhost", headers={TICKET_HEADER: SECRET}
        ) as client:
            answer = await client.get("/gradio_api/info")
        assert answer.status_code == 200
        assert "run_sdxl" not in answer.text


async def test_a_refused_ticket_is_left_to_the_sweep(caplog):
    behind = Lanes()
    async with serving({"sdxl": 1}, behind, max_size=1) as (app, _), bound(app) as tickets:
        await tickets.issue("sdxl")
        await behind.until_entered(sdxl=1)
        await tickets.issue("sdxl")
        await tickets.issue("sdxl")
        assert "Gradio refused a ticket of lane sdxl: 503" in caplog.text
        behind.gate.set()
        await behind.until_entered(sdxl=2)


async def test_a_stranger_s_ticket_does_not_pass_the_sign_in(caplog):
    behind = Lanes()
    async with serving({"sdxl": 1}, behind) as (app, _), bound(app, secret="wrong") as tickets:
        await tickets.issue("sdxl")
    assert "Gradio refused a ticket of lane sdxl: 401" in caplog.text
    assert behind.entered == {}


async def test_a_ticket_before_the_app_is_a_mistake():
    with pytest.raises(RuntimeError, match="not bound"):
        await GradioTicketQueue(SECRET).issue("sdxl")
