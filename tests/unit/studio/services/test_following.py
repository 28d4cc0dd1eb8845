from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import pytest

from studio.errors import NotFound
from studio.services import following
from studio.services.feed import JobFeed
from studio.services.following import follow_job

Json = dict[str, Any]


async def _next(states: AsyncGenerator[Json]) -> Json:
    async with asyncio.timeout(20):
        return await anext(states)


async def test_a_job_is_followed_from_where_it_stands_to_its_end(desk, feed):
    other, job = desk.submit(desk.alice), desk.submit(desk.alice)
    desk.jobs.cancel(desk.alice, other["id"])
    async with aclosing(follow_job(feed, desk.jobs, desk.alice, job["id"])) as states:
        assert (await _next(states))["status"] == "pending"
        claim = desk.claim()
        feed.poke()
        assert (await _next(states))["status"] == "processing"
        desk.deliver(claim)
        feed.poke()
        ended = await _next(states)
        assert (ended["id"], ended["status"]) == (job["id"], "completed")
        with pytest.raises(StopAsyncIteration):
            await _next(states)


async def test_one_that_has_ended_is_told_once(desk, feed):
    job = desk.submit(desk.alice)
    desk.jobs.cancel(desk.alice, job["id"])
    states = [state async for state in follow_job(feed, desk.jobs, desk.alice, job["id"])]
    assert [state["status"] for state in states] == ["cancelled"]


async def test_a_waiting_job_is_told_again_when_others_leave_the_line_before_it(desk, feed, monkeypatch):
    monkeypatch.setattr(following, "PLACE_INTERVAL_S", 0.05)
    before = desk.submit(desk.bob)
    job = desk.submit(desk.alice)
    async with aclosing(follow_job(feed, desk.jobs, desk.alice, job["id"])) as states:
        assert (await _next(states))["progress"]["queue_position"] == 1
        moved = asyncio.ensure_future(_next(states))
        await asyncio.sleep(0.3)
        assert not moved.done(), "an unchanged place is not told again"
        desk.jobs.cancel(desk.bob, before["id"])
        assert (await moved)["progress"]["queue_position"] == 0


async def test_what_looking_for_the_place_finds_else_is_left_to_the_feed(desk, feed, monkeypatch):
    """Otherwise a change that the feed tells later would come after one that is newer."""
    monkeypatch.setattr(following, "PLACE_INTERVAL_S", 0.05)
    job = desk.submit(desk.alice)
    async with aclosing(follow_job(feed, desk.jobs, desk.alice, job["id"])) as states:
        await _next(states)
        claim = desk.claim()  # of which the feed is told nothing yet
        started = asyncio.ensure_future(_next(states))
        await asyncio.sleep(0.3)
        assert not started.done()
        feed.poke()
        assert (await started)["status"] == "processing"
        desk.deliver(claim)


async def test_the_job_of_somebody_else_is_not_found(desk, feed):
    job = desk.submit(desk.bob)
    with pytest.raises(NotFound):
        await _next(follow_job(feed, desk.jobs, desk.alice, job["id"]))


async def test_following_ends_with_the_feed(desk):
    feed = JobFeed(desk.database, desk.views)
    task = asyncio.create_task(feed.run())
    job = desk.submit(desk.alice)
    states = follow_job(feed, desk.jobs, desk.alice, job["id"])
    assert (await _next(states))["status"] == "pending"
    task.cancel()
    await asyncio.wait([task])
    with pytest.raises(StopAsyncIteration):
        await _next(states)
