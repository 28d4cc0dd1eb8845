"""What is remembered of workers on other machines: their reports, so that none counts twice."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from studio.database.schema import Base


class WorkerReport(Base):
    """A report that was taken. `id` is the one it was signed with; `lease_token` and `answer` are of those that ended a
    lease, so that the same report under another id gets the same answer. No people's data is in it."""

    __tablename__ = "worker_reports"
    __table_args__ = (Index("worker_reports_lease", "lease_token"), Index("worker_reports_age", "received_at"))
    id: Mapped[str] = mapped_column(primary_key=True)
    event: Mapped[str]
    lease_token: Mapped[str | None]
    answer: Mapped[dict[str, Any] | None]
    received_at: Mapped[float]
