"""Following one job through the feed: one query of the feed serves every follower."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from studio.database.schema import ENDED
from studio.people import Person
from studio.services.feed import JobFeed, Subscription
from studio.services.jobs import JobService

PLACE_INTERVAL_S = 5.0
"""How often a waiting job's place in the queue is looked up: it moves when other people's jobs end, of which the feed
tells only them."""


async def follow_job(feed: JobFeed, jobs: JobService, person: Person, job_id: str) -> AsyncGenerator[dict[str, Any]]:
    """The job as it is now, after each of its changes, and when its place in the queue moved, until it has ended.
    Raises NotFound."""
    async with aclosing(feed.subscribe(person)) as changes:
        await changes.begun()
        job = await asyncio.to_thread(jobs.get, person, job_id)
        yield job
        while job["status"] not in ENDED:
            waits = job["status"] == "pending"
            try:
                async with asyncio.timeout(PLACE_INTERVAL_S if waits else None):
                    job = await _next_change(changes, job_id)
            except TimeoutError:
                now = await asyncio.to_thread(jobs.get, person, job_id)
                # Anything but a place the feed will tell, in its order.
                if now["status"] != "pending" or _place(now) == _place(job):
                    continue
                job = now
            except StopAsyncIteration:
                return
            yield job


async def _next_change(changes: Subscription, job_id: str) -> dict[str, Any]:
    while True:
        _, job = await anext(changes)
        if job["id"] == job_id:
            return job


def _place(job: dict[str, Any]) -> int:
    place: int = job["progress"]["queue_position"]
    return place
