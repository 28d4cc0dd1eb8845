"""Which reports of remote workers were taken already, and what those that ended a lease were answered."""

from __future__ import annotations

import logging
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError

from studio.database.engine import Database, db_now
from studio.database.worker_tables import WorkerReport
from studio.errors import Conflict

log = logging.getLogger(__name__)

KEPT_S = 86_400.0
"""Far longer than a signature holds (five minutes), so that none comes back after its report is forgotten."""
Json = dict[str, Any]


class WorkerReports:
    """The memory of what workers reported."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, report_id: str, event: str) -> None:
        """Note that the report signed as `report_id` is here. Raises Conflict for one that was here before."""
        try:
            with self._database.as_system() as session:
                now = session.execute(select(db_now())).scalar_one()
                session.add(WorkerReport(id=report_id, event=event, received_at=now))
        except IntegrityError as error:
            log.warning("A worker's report %r (%s) came a second time and is refused.", report_id, event)
            raise Conflict("This report was sent before. A worker that repeats one signs it under a new id.") from error

    def answered(self, lease_token: str, event: str) -> Json | None:
        """What the report `event` that ended this lease was answered; None if none did."""
        found = select(WorkerReport.answer).where(
            WorkerReport.lease_token == lease_token, WorkerReport.event == event, WorkerReport.answer.is_not(None)
        )
        with self._database.as_system(write=False) as session:
            return session.scalars(found.limit(1)).one_or_none()

    def ended(self, report_id: str, lease_token: str, answer: Json) -> None:
        """Keep the answer to the report that ended a lease."""
        kept = update(WorkerReport).where(WorkerReport.id == report_id)
        with self._database.as_system() as session:
            session.execute(kept.values(lease_token=lease_token, answer=answer))

    def forget_old(self) -> None:
        """Remove what no signature can bring back any more."""
        with self._database.as_system() as session:
            session.execute(delete(WorkerReport).where(WorkerReport.received_at < db_now() - KEPT_S))
