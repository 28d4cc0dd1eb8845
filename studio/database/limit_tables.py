"""The tables of limits: what people may use of the studio, and what they used of its GPU."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from studio.database.schema import Base, OwnedRow, new_id

UNLIMITED = -1
"""What stands in a column of `Allowance` where there is no limit."""


class Allowance(Base):
    """What an admin granted: to a role (`subject` is "role:member") or to one person (their id, also in `user_id`).

    A column without a value leaves it to what holds otherwise: the role's, then the built-in allowance.
    """

    __tablename__ = "allowances"
    __table_args__ = (Index("allowances_user", "user_id"),)
    subject: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str | None] = mapped_column(ForeignKey("user_profiles.id", ondelete="CASCADE"))
    orders_per_minute: Mapped[int | None]
    pending_jobs: Mapped[int | None]
    running_jobs: Mapped[int | None]
    storage_mb: Mapped[int | None]
    gpu_minutes: Mapped[int | None]


class GpuUsage(OwnedRow, Base):
    """One attempt at a job, or one rewriting of a prompt, that has ended: how long it kept a worker busy.

    `job_id` and `job_type` stay when the job's row goes; a rewriting that somebody waited for has no job.
    """

    __tablename__ = "gpu_usage"
    __table_args__ = (
        Index("gpu_usage_owner", "user_id", "ended_at"),
        Index("gpu_usage_ended", "ended_at"),
        Index("gpu_usage_job", "job_id"),
    )
    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    job_id: Mapped[str | None]
    job_type: Mapped[str]
    lane: Mapped[str]
    attempt: Mapped[int]
    started_at: Mapped[float]
    ended_at: Mapped[float]
    seconds: Mapped[float]
    outcome: Mapped[str]
