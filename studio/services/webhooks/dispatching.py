"""From ended jobs to deliveries: each ending is written down once for everybody who is to hear of it.

It walks the numbers of changes above a cursor that is kept in the database (see `feed.py`: changes become visible in
the order of their numbers) and moves the cursor in the transaction that writes the deliveries, so neither a crash nor a
second process loses an ending or tells it twice. What counts is how a job stands when it is looked at: one that failed
and was tried again within the moment before tells of its later ending alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from studio.database.engine import Database
from studio.database.schema import ENDED, Asset, ChangeCounter, Job
from studio.database.webhook_tables import JobWebhook, Webhook, WebhookCursor, WebhookDelivery
from studio.services.profiles import now_s
from studio.services.rendering import JobViews
from studio.services.webhooks.events import job_event, job_payload
from studio.services.webhooks.waking import Waker

log = logging.getLogger(__name__)

PAGE_JOBS = 200
PAUSE_S = 0.2
"""Running jobs change several times a second: at least so long lies between two looks."""
ERROR_PAUSE_S = 2.0
LOOK_AGAIN_S = 15.0
"""A look without being woken: for what another process changed and did not live to tell."""
CURSOR_ROW = 1


@dataclass(frozen=True, kw_only=True)
class _Telling:
    """One ending for one address."""

    job: Job
    ended_at: float
    webhook_id: str | None
    url: str

    @property
    def occasion(self) -> str:
        return f"{self.webhook_id or 'job'}/{self.job.id}/{self.ended_at!r}"


class WebhookDispatcher:
    """Writes deliveries. `wake_sender()` is called after each commit that has new ones, `attempts` is how often each
    may be tried, and `public_url` begins the links in them."""

    def __init__(
        self,
        database: Database,
        views: JobViews,
        *,
        wake_sender: Callable[[], None],
        attempts: int,
        public_url: str | None,
    ) -> None:
        self._database = database
        self._views = views
        self._wake_sender = wake_sender
        self._attempts = attempts
        self._public_url = public_url
        self._waker = Waker()
        self._seen = -1
        """The last change that was looked at, and that no ending below it is left of."""

    def poke(self) -> None:
        """Say that jobs may have changed. Any thread may call this, at any time."""
        self._waker.poke()

    async def run(self) -> None:
        """Look whenever woken, until cancelled."""
        with self._waker.bound():
            while True:
                await self._waker.sleep(LOOK_AGAIN_S)
                try:
                    await asyncio.to_thread(self.look)
                except SQLAlchemyError:
                    log.exception("What jobs have ended could not be read for webhooks; it is tried again.")
                    await asyncio.sleep(ERROR_PAUSE_S)
                    self._waker.poke()
                await asyncio.sleep(PAUSE_S)

    def look(self) -> int:
        """Write the deliveries of all endings since the cursor. Returns how many that were. Blocks."""
        written = 0
        while self._something_ended():
            with self._database.as_system() as session:
                count, reached = self._write_page(session)
            self._seen = reached
            written += count
        if written:
            self._wake_sender()
        return written

    def _something_ended(self) -> bool:
        """Whether a job ended since the last look: a question that locks nothing, asked at every change of any job."""
        with self._database.as_system(write=False) as session:
            last = session.scalars(select(ChangeCounter.last)).one()
            if self._seen < 0:
                self._seen = session.get_one(WebhookCursor, CURSOR_ROW).position
            newer = Job.revision > self._seen, Job.revision <= last, Job.status.in_(ENDED)
            if session.scalars(select(Job.id).where(*newer).limit(1)).first() is not None:
                return True
        self._seen = last
        return False

    def _write_page(self, session: Session) -> tuple[int, int]:
        """Write the next deliveries. Returns how many, and the change up to which there are no more."""
        cursor = session.scalars(select(WebhookCursor).with_for_update()).one()
        # The counter first: every change up to it is visible to what is read after it.
        last = session.scalars(select(ChangeCounter.last)).one()
        newer = Job.revision > cursor.position, Job.revision <= last, Job.status.in_(ENDED)
        jobs = session.scalars(select(Job).where(*newer).order_by(Job.revision).limit(PAGE_JOBS)).all()
        cursor.position = last if len(jobs) < PAGE_JOBS else jobs[-1].revision
        tellings = list(_tellings(session, jobs))
        known = WebhookDelivery.occasion.in_([one.occasion for one in tellings])
        told = set(session.scalars(select(WebhookDelivery.occasion).where(known)))
        fresh = [one for one in tellings if one.occasion not in told]
        session.add_all(self._deliveries(session, fresh))
        return len(fresh), cursor.position

    def _deliveries(self, session: Session, tellings: Sequence[_Telling]) -> list[WebhookDelivery]:
        if not tellings:
            return []
        jobs = {one.job.id: one.job for one in tellings}
        shown = dict(zip(jobs, self._views.render(session, list(jobs.values())), strict=True))
        assets = _assets(session, list(jobs))
        now = now_s(session)
        return [
            WebhookDelivery(
                user_id=one.job.user_id,
                webhook_id=one.webhook_id,
                job_id=one.job.id,
                occasion=one.occasion,
                event=(event := job_event(one.job.status)),
                url=one.url,
                payload=job_payload(event, one.ended_at, shown[one.job.id], assets[one.job.id], self._public_url),
                attempts_allowed=self._attempts,
                next_attempt_at=now,
                log=[],
                created_at=now,
            )
            for one in tellings
        ]


def _tellings(session: Session, jobs: Sequence[Job]) -> Iterator[_Telling]:
    """Who is to hear of which of `jobs`. Nobody hears of what ended before they asked to."""
    hooks: dict[str, list[Webhook]] = defaultdict(list)
    whose = {job.user_id for job in jobs}
    for hook in session.scalars(select(Webhook).where(Webhook.active, Webhook.user_id.in_(whose)).order_by(Webhook.id)):
        hooks[hook.user_id].append(hook)
    of_job = select(JobWebhook.job_id, JobWebhook.url).where(JobWebhook.job_id.in_([job.id for job in jobs]))
    own = dict(session.execute(of_job).all())
    for job in jobs:
        ended_at = job.finished_at or 0.0
        if job.id in own:
            yield _Telling(job=job, ended_at=ended_at, webhook_id=None, url=own[job.id])
        for hook in hooks[job.user_id]:
            if job_event(job.status) in hook.events and hook.created_at <= ended_at:
                yield _Telling(job=job, ended_at=ended_at, webhook_id=hook.id, url=hook.url)


def _assets(session: Session, job_ids: Sequence[str]) -> dict[str, list[Asset]]:
    """The assets of each job in the order of their index, without those in the trash."""
    found: dict[str, list[Asset]] = defaultdict(list)
    kept = select(Asset).where(Asset.job_id.in_(job_ids), Asset.trashed_at.is_(None))
    for asset in session.scalars(kept.order_by(Asset.job_id, Asset.index)):
        found[asset.job_id].append(asset)
    return found
