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
        if job["status"] in ENDED:
            return
        async for _, changed in changes:
            if changed["id"] == job_id:
                yield changed
                if changed["status"] in ENDED:
                    return
