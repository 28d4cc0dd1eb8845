"""Leases of workers on other machines, which keep nothing of a claim but the job's id and the lease's token."""

from __future__ import annotations

from sqlalchemy import select

from studio.database.engine import Database, db_now
from studio.database.schema import Job
from studio.services.claims import Claim, LeaseLost, claim_of
from studio.services.leases import LEASE_S, JobLeases
from studio.services.owners import REMOTE_WORKER


class RemoteLeases(JobLeases):
    """The protocol of `JobLeases` for them. A start of the studio does not touch their leases: only time ends them."""

    def __init__(self, database: Database, lease_s: float = LEASE_S) -> None:
        super().__init__(database, REMOTE_WORKER, lease_s)

    @property
    def lease_s(self) -> float:
        """How long a lease lasts without a report, in seconds."""
        return self._lease_s

    def held(self, job_id: str, lease_token: str) -> Claim:
        """The claim of that job and lease. Raises LeaseLost where it is over, by the clock too."""
        with self._database.as_worker(write=False) as session:
            job = session.get(Job, job_id)
            now = session.execute(select(db_now())).scalar_one()
            mine = job is not None and job.status == "processing" and job.lease_token == lease_token
            if job is None or not mine or (job.lease_expires_at or 0.0) <= now:
                raise LeaseLost("it has expired or was lost.")
            return claim_of(job)

    def status(self, job_id: str) -> str:
        """How the job stands; "deleted" where its person removed it."""
        with self._database.as_worker(write=False) as session:
            return session.scalars(select(Job.status).where(Job.id == job_id)).one_or_none() or "deleted"
