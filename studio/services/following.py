"""Following one job through the feed: one query of the feed serves every follower."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from studio.database.schema import ENDED
from studio.people import Person
from studio.services.feed import JobFeed
from studio.services.jobs import JobService


async def follow_job(feed: JobFeed, jobs: JobService, person: Person, job_id: str) -> AsyncGenerator[dict[str, Any]]:
    """The job as it is now and after each of its changes, until it has ended. Raises NotFound."""
    async with aclosing(feed.subscribe(person)) as changes:
        await changes.begun()
        job = await asyncio.to_thread(jobs.get, person, job_id)
        yield job
        while job["status"] not in ENDED:
            _, changed = await anext(changes, (0, None))
            if changed is None:
                return
            if changed["id"] == job_id:
                job = changed
                yield job
