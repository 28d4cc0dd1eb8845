"""The GPU ledger: a row for each attempt that has ended, and the sums by person, month and job.

What counts is how long an attempt kept its worker: from the claim to the end, however it ended, with loading the model,
making room for it and storing the result. The worker is not there for anybody else meanwhile.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session, object_session

from studio.database.limit_tables import GpuUsage
from studio.database.schema import Job
from studio.errors import InvalidInput

HOUR_S = 3600.0
_MONTH = re.compile(r"(20\d\d)-(0[1-9]|1[0-2])")


@dataclass(frozen=True, kw_only=True)
class Price:
    """What an hour of the GPU costs, in units of `currency`; None where nobody said."""

    per_hour: float | None = None
    currency: str = "USD"

    def of(self, seconds: float) -> float | None:
        """What so many seconds cost, to a hundredth of a cent."""
        return None if self.per_hour is None else round(seconds * self.per_hour / HOUR_S, 4)

    def tag(self, seconds: float) -> dict[str, Any]:
        """{"gpu_s", "cost", "currency"}: seconds, and the money they cost or None."""
        return {"gpu_s": round(seconds, 3), "cost": self.of(seconds), "currency": self.currency}


@dataclass(frozen=True, kw_only=True)
class Month:
    """A calendar month in UTC, [begins, ends) in seconds since 1970."""

    year: int
    month: int

    @classmethod
    def of(cls, epoch_s: float) -> Month:
        """The month of a moment."""
        moment = datetime.fromtimestamp(epoch_s, UTC)
        return cls(year=moment.year, month=moment.month)

    @classmethod
    def parse(cls, text: str) -> Month:
        """The month called "2026-11". Raises InvalidInput."""
        found = _MONTH.fullmatch(text)
        if found is None:
            raise InvalidInput("A month is written like 2026-11.", field="month")
        return cls(year=int(found[1]), month=int(found[2]))

    @property
    def name(self) -> str:
        """As in "2026-11"."""
        return f"{self.year}-{self.month:02}"

    @property
    def next(self) -> Month:
        """The month after it."""
        return Month(year=self.year + self.month // 12, month=self.month % 12 + 1)

    @property
    def begins(self) -> float:
        return datetime(self.year, self.month, 1, tzinfo=UTC).timestamp()

    @property
    def ends(self) -> float:
        return self.next.begins

    @property
    def holds(self) -> ColumnElement[bool]:
        """Of a row of the ledger: it ended in this month."""
        return (GpuUsage.ended_at >= self.begins) & (GpuUsage.ended_at < self.ends)


def note_attempt(job: Job, now: float, outcome: str) -> None:
    """Write the attempt that `job` is in to the ledger, in the session that holds the job.

    A lease that ran out ended the attempt: what nobody was there to see does not count.
    """
    session = object_session(job)
    assert session is not None
    started = now if job.started_at is None else job.started_at
    ended = max(started, min(now, job.lease_expires_at or now))
    session.add(
        GpuUsage(
            user_id=job.user_id,
            job_id=job.id,
            job_type=job.type,
            lane=job.lane,
            attempt=job.attempt,
            started_at=started,
            ended_at=ended,
            seconds=ended - started,
            outcome=outcome,
        )
    )


def gpu_seconds(session: Session, user_id: str, month: Month) -> float:
    """What a person used of the GPU in a month, in seconds."""
    used = select(func.sum(GpuUsage.seconds)).where(GpuUsage.user_id == user_id, month.holds)
    return float(session.scalar(used) or 0.0)


def seconds_by_job(session: Session, job_ids: Sequence[str]) -> dict[str, float]:
    """The seconds of all ended attempts of each job that has some."""
    if not job_ids:
        return {}
    sums = select(GpuUsage.job_id, func.sum(GpuUsage.seconds)).where(GpuUsage.job_id.in_(job_ids))
    return {str(job_id): float(seconds) for job_id, seconds in session.execute(sums.group_by(GpuUsage.job_id))}
