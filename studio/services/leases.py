"""How work gets at jobs: claim one, report on it, deliver it or give it back.

Everything here is plain data, so that a worker on another machine can speak the same protocol. A claim carries a
fresh lease token; every later write must still hold it, so a worker that lost its job writes nothing.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from sqlalchemy import ColumnElement, case, func, or_, select, update
from sqlalchemy.orm import Session

from pipelines.contract import Progress
from studio.database.engine import Database, db_now, next_revision, take_turns
from studio.database.schema import Job, Lane, new_id
from studio.services import transitions
from studio.services.claims import Claim, FinishedLeg, LeaseLost, claim_of
from studio.services.owners import REMOTE_WORKER, is_dead
from studio.services.recording import NewAsset, asset_of, parent_of
from studio.services.running_caps import CLAIM_LOCK, RunningCaps
from studio.services.turns import next_turn

LEASE_S = 30.0
MAX_ATTEMPTS = 3
MAX_WORKER_LOSSES = 3
BACKOFF_BASE_S = 2.0
"""Wait before the second attempt; it doubles for each further one."""
BACKOFF_JITTER = 0.25
"""Waits vary by up to this share, so that jobs that failed together do not return together."""
MAX_WAITING = 1000
"""Tickets that a start issues at most; if more jobs wait, the sweep sees to the rest."""
WORKER_LOST = "worker_lost"
log = logging.getLogger(__name__)

UNREADABLE_SENTENCE = "Another version of the studio wrote this job differently, so it cannot be run. Order it again."
LOST_SENTENCE = "The studio stopped while the job was running, three times. Try it again."
POISONED_SENTENCE = "The worker broke down on this job three times, so it is not tried again. {reason}"


class JobLeases:
    """The protocol by which work reaches jobs. `owner` names this process (`owners.this_process`).

    `lane_workers` says how many jobs a lane runs at once (1 where it is silent): the sweep asks for tickets only
    where a worker is free. `caps` says who may have how many jobs running.
    """

    def __init__(
        self,
        database: Database,
        owner: str,
        lease_s: float = LEASE_S,
        lane_workers: Mapping[str, int] | None = None,
        caps: RunningCaps | None = None,
    ) -> None:
        self._database = database
        self._owner = owner
        self._lease_s = lease_s
        self._lane_workers = dict(lane_workers or {})
        self._caps = caps or RunningCaps()

    def claim(self, lane: str) -> Claim | None:
        """Take the due job with the smallest turn, in one atomic statement; None if there is none. Those who have as
        many jobs running as they may are passed over."""
        due = (
            select(Job.id)
            .where(Job.lane == lane, *self._startable())
            .order_by(Job.turn, Job.id)
            .limit(1)
            .with_for_update(skip_locked=True)
            .cte("due")
        )
        take = (
            update(Job)
            .where(Job.id == select(due.c.id).scalar_subquery(), Job.status == "pending")
            .values(
                status="processing",
                attempt=Job.attempt + 1,
                started_at=db_now(),
                lease_token=new_id(),
                lease_owner=self._owner,
                lease_expires_at=db_now() + self._lease_s,
            )
            .returning(Job)
        )
        while True:
            with self._database.as_worker() as session:
                take_turns(session, CLAIM_LOCK)
                job = session.scalars(take, execution_options={"synchronize_session": False}).one_or_none()
                if job is None:
                    return None
                self._begin(session, job)
                try:
                    return claim_of(job)
                except ValidationError:
                    # Ordered by another version: it must not stand in the way of those behind it.
                    log.exception("Job %s cannot be read by this version.", job.id)
                    transitions.fail(job, "internal", UNREADABLE_SENTENCE, _now(session))

    @staticmethod
    def _begin(session: Session, job: Job) -> None:
        """Note the start of an attempt, and move the lane's clock to the turn that was claimed."""
        ahead = case((Lane.clock > job.turn, Lane.clock), else_=job.turn)
        session.execute(update(Lane).where(Lane.name == job.lane).values(clock=ahead))
        due_at = job.created_at if job.not_before is None else job.not_before
        waited_s = max(0.0, (job.started_at or due_at) - due_at)
        job.timings = {**job.timings, "queued_s": job.timings.get("queued_s", 0.0) + waited_s}
        job.revision = next_revision(session)

    def renew(self, claim: Claim, progress: Progress | None, timings: Mapping[str, float]) -> bool:
        """Keep the lease, and write `progress` and `timings` (seconds a stage) down. True asks to stop the run.

        Raises LeaseLost.
        """
        with self._database.as_worker() as session:
            job = _held(session, claim)
            job.lease_expires_at = _now(session) + self._lease_s
            if progress is not None:
                transitions.write_progress(job, progress)
                job.timings = {**job.timings, **timings}
                job.revision = next_revision(session)
            return job.cancel_requested

    def pass_on(self, claim: Claim, leg: FinishedLeg) -> None:
        """Send the job to its next lane, with a turn there and the prompt that was written for it. Raises LeaseLost.

        Every leg has its own attempts, so what follows never begins with the rewriting again.
        """
        with self._database.as_worker() as session:
            job = _held(session, claim)
            now = _now(session)
            if job.cancel_requested:
                transitions.end(job, "cancelled", now)
            else:
                turn = next_turn(session, leg.next_lane, job.user_id, leg.next_cost_s)
                transitions.change_lane(job, leg.next_lane, turn, now)
                job.cost_s = leg.next_cost_s
                job.enhanced_prompt = leg.enhanced_prompt
            job.receipt = {"enhancement": dict(leg.receipt)}
            job.timings = {**job.timings, **leg.timings}
            job.revision = next_revision(session)

    def deliver(
        self, claim: Claim, assets: Sequence[NewAsset], timings: Mapping[str, float], receipt: Mapping[str, Any]
    ) -> None:
        """Complete the job and make its assets appear, in one transaction. Delivering twice is delivering once.

        Raises LeaseLost, or ValueError if `assets` are not exactly the pictures that were ordered.
        """
        if sorted(asset.index for asset in assets) != list(range(claim.config.count)):
            raise ValueError(f"Job {claim.job_id} wants {claim.config.count} assets; got {len(assets)}.")
        with self._database.as_worker() as session:
            job = session.get(Job, claim.job_id, with_for_update=True)
            if job is not None and job.status == "completed" and job.lease_token == claim.lease_token:
                return
            job = _held(session, claim)
            now = _now(session)
            parent_id = parent_of(session, job, claim.config.image)
            session.add_all(asset_of(job, asset, parent_id, now) for asset in assets)
            transitions.end(job, "completed", now)
            job.fraction = 1.0
            job.timings = {**job.timings, **timings}
            job.receipt = {**(job.receipt or {}), **receipt}
            job.error_code = job.error_message = None
            job.revision = next_revision(session)

    def fail(self, claim: Claim, code: str, message: str, *, transient: bool) -> None:
        """Record that the attempt failed: the job waits for another attempt, or has failed for good.

        `code` and `message` are public. A job that was asked to stop is cancelled instead. Raises LeaseLost.
        """
        with self._database.as_worker() as session:
            job = _held(session, claim)
            now = _now(session)
            if code == WORKER_LOST:
                job.worker_losses += 1
            if job.cancel_requested:
                transitions.end(job, "cancelled", now)
            elif job.worker_losses >= MAX_WORKER_LOSSES:
                transitions.fail(job, "poisoned", POISONED_SENTENCE.format(reason=message), now)
            elif transient and job.attempt < MAX_ATTEMPTS:
                transitions.put_back(job, now, "failed", wait_s=backoff_s(job.attempt))
            else:
                transitions.fail(job, code, message, now)
            job.revision = next_revision(session)

    def cancelled(self, claim: Claim) -> None:
        """Record that the run stopped because its person asked for it. Raises LeaseLost."""
        with self._database.as_worker() as session:
            job = _held(session, claim)
            transitions.end(job, "cancelled", _now(session))
            job.revision = next_revision(session)

    def hand_back(self, claim: Claim) -> None:
        """Give the job back untried, as a studio that stops does: no attempt is spent. Raises LeaseLost."""
        with self._database.as_worker() as session:
            job = _held(session, claim)
            if job.cancel_requested:
                transitions.end(job, "cancelled", _now(session))
            else:
                transitions.put_back(job, _now(session), "handed_back")
                job.attempt -= 1
            job.revision = next_revision(session)

    def sweep(self) -> list[str]:
        """Put jobs with an expired lease back. Returns the lanes to issue a ticket for: work is due there and a
        worker is free, or something has just changed."""
        with self._database.as_worker() as session:
            expired = Job.status == "processing", Job.lease_expires_at <= db_now()
            changed = self._release(session, _locked(session, *expired))
            return sorted(changed | self._idle_lanes_with_work(session))

    def freed_by(self, claim: Claim) -> list[str]:
        """The lanes to issue a ticket for since the claimed job has ended: jobs of its person wait there that had to be
        passed over."""
        with self._database.as_worker(write=False) as session:
            return sorted(self._caps.freed(session, claim.user_id))

    def waiting(self) -> list[str]:
        """The lane of every waiting job that is due, an entry a job, at most MAX_WAITING: a studio that starts has to
        issue a ticket for each, since those of the process before it are lost."""
        with self._database.as_worker(write=False) as session:
            return list(session.scalars(select(Job.lane).where(*_due()).order_by(Job.turn).limit(MAX_WAITING)))

    def reset_orphans(self) -> list[str]:
        """Put jobs back whose studio process has died on this host, without waiting for their leases to expire."""
        with self._database.as_worker() as session:
            running = _locked(session, Job.status == "processing")
            return sorted(self._release(session, [job for job in running if is_dead(job.lease_owner or "::")]))

    def live_tokens(self) -> set[str]:
        """The lease tokens of all running attempts, which name their scratch folders."""
        with self._database.as_worker(write=False) as session:
            running = select(Job.lease_token).where(Job.status == "processing")
            return {token for token in session.scalars(running) if token is not None}

    def _startable(self) -> tuple[ColumnElement[bool], ...]:
        return *_due(), Job.user_id.not_in(self._caps.full())

    def _release(self, session: Session, lost: Sequence[Job]) -> set[str]:
        """Take lost attempts off their owners. Returns the lanes touched."""
        now = _now(session)
        for job in lost:
            if job.cancel_requested:
                transitions.end(job, "cancelled", now)
            elif job.attempt >= MAX_ATTEMPTS:
                transitions.fail(job, WORKER_LOST, LOST_SENTENCE, now)
            else:
                transitions.put_back(job, now, "lost")
        session.flush()
        for job in lost:
            job.revision = next_revision(session)
        return {job.lane for job in lost}

    def _idle_lanes_with_work(self, session: Session) -> set[str]:
        waiting = select(Job.lane).where(*self._startable())
        here = Job.status == "processing", Job.lease_owner != REMOTE_WORKER
        running = select(Job.lane, func.count()).where(*here).group_by(Job.lane)
        busy = dict(session.execute(running).all())
        return {
            lane for lane in session.scalars(waiting.distinct()) if busy.get(lane, 0) < self._lane_workers.get(lane, 1)
        }


def _due() -> tuple[ColumnElement[bool], ...]:
    """Of a job that waits and is due."""
    return Job.status == "pending", or_(Job.not_before.is_(None), Job.not_before <= db_now())


def backoff_s(attempt: int) -> float:
    """Seconds to wait after the failed `attempt` (from 1): exponential, with jitter."""
    jitter = secrets.SystemRandom().uniform(1 - BACKOFF_JITTER, 1 + BACKOFF_JITTER)
    return float(BACKOFF_BASE_S * 2 ** (attempt - 1) * jitter)


def _now(session: Session) -> float:
    return session.execute(select(db_now())).scalar_one()


def _held(session: Session, claim: Claim) -> Job:
    """The claim's job, locked, if the claim still holds it. Raises LeaseLost."""
    job = session.get(Job, claim.job_id, with_for_update=True)
    if job is None or job.status != "processing" or job.lease_token != claim.lease_token:
        raise LeaseLost(f"Attempt {claim.attempt} of job {claim.job_id} has lost its lease.")
    return job


def _locked(session: Session, *which: ColumnElement[bool]) -> Sequence[Job]:
    """Jobs, locked in the order of their ids: two studios that lock the same ones do not wait for each other."""
    return session.scalars(select(Job).where(*which).order_by(Job.id).with_for_update()).all()
