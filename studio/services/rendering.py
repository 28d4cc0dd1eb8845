"""Rows to the JSON of clients, many at once: the figures of the queue and the assets are looked up together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from studio.database.schema import Asset, Job
from studio.services.gpu_ledger import Price, seconds_by_job
from studio.services.standing import Standings
from studio.services.views import job_json


class JobViews:
    """Makes job JSON. Takes a fixed number of statements, however many jobs there are. `price` is the GPU's."""

    def __init__(self, standings: Standings, price: Price | None = None) -> None:
        self.standings = standings
        self._price = price or Price()

    def render(self, session: Session, jobs: Sequence[Job]) -> list[dict[str, Any]]:
        """The JSON of `jobs`, in their order. `session` must be able to see their assets."""
        assets = _asset_ids(session, [job.id for job in jobs if job.status == "completed"])
        used_s = seconds_by_job(session, [job.id for job in jobs])
        standings = self.standings.of(jobs)
        return [
            job_json(
                job,
                asset_ids=assets.get(job.id, ()),
                queue_position=standings[job.id].queue_position,
                eta_s=standings[job.id].eta_s,
                usage=self._price.tag(used_s.get(job.id, 0.0)),
            )
            for job in jobs
        ]


def _asset_ids(session: Session, job_ids: Sequence[str]) -> dict[str, list[str]]:
    """The assets of each job in the order of their index, without those in the trash."""
    found: dict[str, list[str]] = defaultdict(list)
    if job_ids:
        kept = select(Asset.job_id, Asset.id).where(Asset.job_id.in_(job_ids), Asset.trashed_at.is_(None))
        for job_id, asset_id in session.execute(kept.order_by(Asset.job_id, Asset.index)):
            found[job_id].append(asset_id)
    return found
