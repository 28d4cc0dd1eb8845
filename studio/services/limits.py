"""Holds people to their limits. Every refusal is a 429 that says when to come back."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from studio.database.schema import Asset, Job, Upload, UserProfile
from studio.errors import QuotaExceeded, RateLimited
from studio.people import Person
from studio.services.allowances import MEGABYTE, Allowances, Allowed
from studio.services.gpu_ledger import Month, gpu_seconds
from studio.services.profiles import now_s

if TYPE_CHECKING:
    from studio.database.engine import Database
    from studio.services.standing import Standings

ROOM_RETRY_S = 3600.0
"""When to ask again for room: nobody knows when its person makes some."""
WAITING_RETRY_S = 60.0
"""When to ask again where none of one's waiting jobs is expected to start by itself."""


class Limits:
    """Asked before anything that costs GPU or disk. The rates are counted in memory: one process serves the web."""

    def __init__(self, database: Database, allowances: Allowances, standings: Standings) -> None:
        self._database = database
        self._allowances = allowances
        self._standings = standings
        self._rates = MovingWindowRateLimiter(MemoryStorage())

    def check_order(self, session: Session, person: Person) -> None:
        """Let one more job of `person` wait, in their `session` that queues it and that began with `alone`.

        What was refused does not count as an order. Raises RateLimited or QuotaExceeded.
        """
        allowed = self._allowances.of(person)
        most = allowed.pending_jobs
        if most == 0:
            raise _nothing("order jobs")
        self._check_gpu(session, person, allowed)
        self._check_room(session, allowed)
        if most is not None:
            waiting = session.scalar(select(func.count(Job.id)).where(Job.status == "pending")) or 0
            if waiting >= most:
                raise self._no_place(person, most)
        self._hit("orders", person, allowed)

    def check_rewriting(self, person: Person) -> None:
        """Let `person` have a prompt rewritten. Blocks. Raises RateLimited or QuotaExceeded."""
        allowed = self._allowances.of(person)
        with self._database.as_person(person, write=False) as session:
            self._check_gpu(session, person, allowed)
        self._hit("rewritings", person, allowed)

    def check_upload(self, person: Person) -> None:
        """Let `person` bring a picture. Raises RateLimited, or QuotaExceeded where there is no room left."""
        allowed = self._allowances.of(person)
        self.check_room(person)
        self._hit("uploads", person, allowed)

    def check_room(self, person: Person, more_bytes: int = 1) -> None:
        """Let `person` keep so many bytes more. Raises QuotaExceeded."""
        with self._database.as_person(person, write=False) as session:
            self._check_room(session, self._allowances.of(person), more_bytes)

    def _hit(self, what: str, person: Person, allowed: Allowed) -> None:
        most = allowed.orders_per_minute
        if most is None:
            return
        if most == 0:
            raise _nothing(f"send {what}")
        rate = RateLimitItemPerMinute(most)
        if self._rates.hit(rate, what, person.id):
            return
        wait_s = max(1.0, self._rates.get_window_stats(rate, what, person.id).reset_time - time.time())
        raise RateLimited(
            f"You sent {most} {what} within a minute, as many as you may. You can send the next {in_about(wait_s)}.",
            retry_after_s=wait_s,
        )

    def _check_gpu(self, session: Session, person: Person, allowed: Allowed) -> None:
        most = allowed.gpu_minutes
        if most is None:
            return
        if most == 0:
            raise _nothing("use the GPU")
        now = now_s(session)
        month = Month.of(now)
        if gpu_seconds(session, person.id, month) >= most * 60:
            raise QuotaExceeded(
                f"You have used your {most} GPU minutes of this month. They begin anew on {_day(month.ends)} (UTC).",
                retry_after_s=month.ends - now,
            )

    def _check_room(self, session: Session, allowed: Allowed, more_bytes: int = 1) -> None:
        most = allowed.storage_mb
        if most is None:
            return
        if stored_bytes(session) + more_bytes > most * MEGABYTE:
            raise QuotaExceeded(
                f"Your {storage_size(most)} of storage are full. Delete what you do not need and empty the trash; "
                "there is room again at once.",
                retry_after_s=ROOM_RETRY_S,
            )

    def _no_place(self, person: Person, most: int) -> QuotaExceeded:
        wait_s = self._standings.next_start_s(person.id)
        waiting = f"You have {most} {'job' if most == 1 else 'jobs'} waiting, as many as you may."
        if wait_s is None:
            return QuotaExceeded(f"{waiting} Cancel one, or try again later.", retry_after_s=WAITING_RETRY_S)
        return QuotaExceeded(f"{waiting} The next place is free {in_about(wait_s)}.", retry_after_s=max(1.0, wait_s))


def alone(session: Session, person: Person) -> None:
    """Let what else `person` orders at this moment wait until this transaction ends, so that no two of their orders
    count the same jobs. Others are not held up."""
    # Not FOR UPDATE: rows that refer to the person, such as a delivery's, need not wait.
    session.scalars(select(UserProfile.id).where(UserProfile.id == person.id).with_for_update(key_share=True)).all()


def stored_bytes(session: Session) -> int:
    """Originals and uploads of the session's person, the trash included."""
    sums = (session.scalar(select(func.sum(column))) or 0 for column in (Asset.bytes, Upload.bytes))
    return int(sum(sums))


def _nothing(what: str) -> QuotaExceeded:
    """The refusal of somebody to whom an admin allows none of it: no moment is better than another."""
    return QuotaExceeded(f"You may not {what} at present. Ask an admin of this studio.", retry_after_s=ROOM_RETRY_S)


def in_about(seconds: float) -> str:
    """When something happens, as people say it: "in a moment", "in about 40 s", "in about 12 min", "in about 3 h"."""
    if seconds < 2:
        return "in a moment"
    if seconds < 90:
        return f"in about {seconds:.0f} s"
    if seconds < 5400:
        return f"in about {seconds / 60:.0f} min"
    return f"in about {seconds / 3600:.0f} h"


def storage_size(megabytes: int) -> str:
    """So many 2^20 bytes in the unit that reads best."""
    return f"{megabytes} MB" if megabytes < 1024 else f"{megabytes / 1024:.3g} GB"


def _day(epoch_s: float) -> str:
    day = datetime.fromtimestamp(epoch_s, UTC)
    return f"{day.day} {day:%B}"
