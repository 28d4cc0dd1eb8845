"""Tells followers which jobs changed: one task and one query a wake-up, however many follow.

Every change of a job takes a number from one counter inside its transaction, so changes become visible in the order of
their numbers. A follower therefore needs to remember one number to miss nothing and to see nothing twice. Places in the
queue have no number, since the jobs of others move them: who wants them asks (`following`).
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakSet

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from studio.database.engine import Database
from studio.database.schema import ChangeCounter, Job
from studio.people import Person
from studio.services.rendering import JobViews

log = logging.getLogger(__name__)

PAGE_ROWS = 500
MAX_BACKLOG = 1000
"""A follower this many jobs behind gets no more until it has read some."""
RETRY_PAUSE_S = 1.0
Json = dict[str, Any]
Change = tuple[int, Json]


class Subscription(AsyncIterator[Change]):
    """The changes of one person's jobs, as (number, job JSON) in rising order of the numbers.

    Of a job that changes faster than it is read only the latest state is kept. Close it with `aclose`; one that is
    merely dropped is forgotten too. A cancelled `anext` loses nothing.
    """

    def __init__(self, user_id: str, after: int | None, on_drained: Callable[[], None]) -> None:
        self.user_id = user_id
        self.position = after
        self._begun = asyncio.Event()
        self._waiting: dict[str, Change] = {}
        self._arrived = asyncio.Event()
        self._closed = False
        self._on_drained = on_drained

    async def begun(self) -> None:
        """Return once the feed has noted where the subscription begins: what is read from the database afterwards is
        never newer than the first change told, and nothing slips by between the two."""
        await self._begun.wait()

    @property
    def is_full(self) -> bool:
        """Whether the reader is too far behind to be sent more."""
        return len(self._waiting) >= MAX_BACKLOG

    def catch_up(self, position: int) -> None:
        """The follower now knows of every change up to `position`."""
        self.position = position
        self._begun.set()

    def put(self, revision: int, job: Json) -> None:
        """Leave a change for the reader, in place of an earlier one of the same job."""
        self._waiting[job["id"]] = (revision, job)
        self._arrived.set()

    async def __anext__(self) -> Change:
        while not self._waiting:
            if self._closed:
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        was_full = self.is_full
        job_id = min(self._waiting, key=lambda waiting: self._waiting[waiting][0])
        change = self._waiting.pop(job_id)
        if was_full:
            self._on_drained()
        return change

    async def aclose(self) -> None:
        """End the subscription; a waiting `anext` ends too."""
        self.close()

    def close(self) -> None:
        """End the subscription after what already waits."""
        self._closed = True
        self._arrived.set()
        self._begun.set()

    @property
    def is_closed(self) -> bool:
        return self._closed


class JobFeed:
    """Fans changed jobs out to whoever follows. `run` is the one task; it belongs to one event loop."""

    def __init__(self, database: Database, views: JobViews) -> None:
        self._database = database
        self._views = views
        self._followers: WeakSet[Subscription] = WeakSet()
        self._wake = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._has_stopped = False

    def poke(self) -> None:
        """Say that jobs may have changed. Any thread may call this, at any time."""
        loop = self._loop
        if loop is None:
            return
        try:
            loop.call_soon_threadsafe(self._wake.set)
        except RuntimeError:
            log.debug("The feed's event loop has closed; nobody follows any more.")

    def subscribe(self, person: Person, after: int | None = None) -> Subscription:
        """Follow `person`'s jobs from now on, in the feed's event loop; with `after`, first what changed after that
        number."""
        follower = Subscription(person.id, after, self._wake.set)
        self._followers.add(follower)
        if self._has_stopped:
            follower.close()
        self._wake.set()
        return follower

    async def run(self) -> None:
        """Serve followers until cancelled; then their subscriptions end. Without followers nothing is asked."""
        self._loop = asyncio.get_running_loop()
        self._wake.set()
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                await self._serve([one for one in self._followers if not one.is_closed and not one.is_full])
        finally:
            self._loop = None
            self._has_stopped = True
            for follower in self._followers:
                follower.close()

    async def _serve(self, followers: Sequence[Subscription]) -> None:
        if not followers:
            return
        groups: dict[int | None, set[str]] = defaultdict(set)
        for follower in followers:
            groups[follower.position].add(follower.user_id)
        try:
            seen = await asyncio.to_thread(self._look, groups)
        except SQLAlchemyError:
            log.exception("The feed could not read what changed; it tries again.")
            await asyncio.sleep(RETRY_PAUSE_S)
            self._wake.set()
            return
        for follower in followers:
            _tell(follower, seen)
        if any(not group.is_complete for group in seen.groups.values()):
            self._wake.set()

    def _look(self, groups: Mapping[int | None, set[str]]) -> _Seen:
        """What changed since each group's position, in one query a group; all followers but new ones are one group."""
        with self._database.as_system(write=False) as session:
            found = {position: _changed(session, position, ids) for position, ids in groups.items()}
            jobs = {job.id: job for group in found.values() for job in group.jobs}
            shown = dict(zip(jobs, self._views.render(session, list(jobs.values())), strict=True))
        return _Seen(groups=found, shown=shown)


@dataclass(frozen=True, kw_only=True)
class _Group:
    """What changed for the followers at one position: rows in the order of their numbers."""

    jobs: Sequence[Job]
    reached: int
    is_complete: bool


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """What one look found; `shown` has the JSON of each changed job by its id."""

    groups: Mapping[int | None, _Group]
    shown: Mapping[str, Json]


def _changed(session: Session, position: int | None, user_ids: Iterable[str]) -> _Group:
    if position is None:
        return _Group(jobs=(), reached=session.scalars(select(ChangeCounter.last)).one(), is_complete=True)
    newer = (Job.revision > position) & Job.user_id.in_(user_ids)
    rows = session.execute(
        select(ChangeCounter.last, Job).outerjoin(Job, newer).order_by(Job.revision).limit(PAGE_ROWS)
    ).all()
    # The counter comes with the rows, so that nothing can slip in between; alone, it says that nothing changed.
    jobs = [job for _, job in rows if job is not None]
    is_complete = len(jobs) < PAGE_ROWS
    return _Group(jobs=jobs, reached=rows[0][0] if is_complete else jobs[-1].revision, is_complete=is_complete)


def _tell(follower: Subscription, seen: _Seen) -> None:
    group = seen.groups[follower.position]
    for job in group.jobs:
        if job.user_id == follower.user_id:
            follower.put(job.revision, seen.shown[job.id])
    follower.catch_up(group.reached)
