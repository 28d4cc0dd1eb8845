"""What people used in a month: GPU time by type and what it costs, beside what they may use."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from studio.catalog import REWRITING_LANE
from studio.database.engine import Database
from studio.database.limit_tables import GpuUsage
from studio.database.schema import Asset, Job, Upload, UserProfile
from studio.people import Person
from studio.services.allowances import MEGABYTE, Allowances
from studio.services.gpu_ledger import Month, Price
from studio.services.limits import stored_bytes
from studio.services.profiles import need_admin, now_s
from studio.services.views import iso

REWRITING = "enhance_prompt"
"""What the ledger calls a rewriting that somebody waited for, in the place of a job type."""
COLUMNS = ("user_id", "email", "display_name", "role", "runs", "gpu_s", "cost", "currency", "storage_bytes")
Json = dict[str, Any]


class UsageService:
    """Reads the GPU ledger for people and admins. `price` is the GPU's, as it is now: it holds for past months too."""

    def __init__(self, database: Database, allowances: Allowances, price: Price) -> None:
        self._database = database
        self._allowances = allowances
        self._price = price

    def mine(self, person: Person, month: str | None = None) -> Json:
        """One's own month ("2026-11", by default the present), and what one uses and may use now.

        {"month", "gpu_s", "cost", "currency", "by_type": [{"job_type", "runs", "gpu_s", "cost", "currency"}], "used",
        "limits", "resets_at"}; `used` and `limits` have pending_jobs, running_jobs, storage_mb, gpu_minutes (of the
        present month), `limits` also orders_per_minute; null is no limit. Raises InvalidInput.
        """
        with self._database.as_person(person, write=False) as session:
            present = Month.of(now_s(session))
            wanted = Month.parse(month) if month else present
            by_type = _by_type(session, wanted)
            present_s = sum(seconds for _, _, seconds in (by_type if wanted == present else _by_type(session, present)))
            used = _used(session, present_s)
        return {
            "month": wanted.name,
            **self._price.tag(sum(seconds for _, _, seconds in by_type)),
            "by_type": [
                {"job_type": job_type, "runs": runs, **self._price.tag(seconds)} for job_type, runs, seconds in by_type
            ],
            "used": used,
            "limits": asdict(self._allowances.of(person)),
            "resets_at": iso(present.ends),
        }

    def everybody(self, admin: Person, month: str | None = None) -> Json:
        """Everybody's month, most GPU time first: {"month", "items": [...]} with `COLUMNS`. Guests who used no GPU are
        left out. Raises Forbidden, InvalidInput."""
        need_admin(admin)
        with self._database.as_system(write=False) as session:
            wanted = Month.parse(month) if month else Month.of(now_s(session))
            sums = select(GpuUsage.user_id, func.count(), func.sum(GpuUsage.seconds)).where(wanted.holds)
            ran = {one: (runs, float(used)) for one, runs, used in session.execute(sums.group_by(GpuUsage.user_id))}
            stored = _stored_by_person(session)
            shown = (UserProfile.role != "guest") | UserProfile.id.in_(select(GpuUsage.user_id).where(wanted.holds))
            people = session.scalars(select(UserProfile).where(shown).order_by(UserProfile.id)).all()
        items = [self._of_person(profile, *ran.get(profile.id, (0, 0.0)), stored) for profile in people]
        return {"month": wanted.name, "items": sorted(items, key=lambda item: -item["gpu_s"])}

    def everybody_csv(self, admin: Person, month: str | None = None) -> str:
        """The same as a table in CSV."""
        text = io.StringIO()
        table = csv.DictWriter(text, COLUMNS)
        table.writeheader()
        for item in self.everybody(admin, month)["items"]:
            table.writerow({name: _inert(value) if isinstance(value, str) else value for name, value in item.items()})
        return text.getvalue()

    def note_rewriting(self, person: Person, seconds: float, outcome: str) -> None:
        """Write a rewriting that `person` waited for to the ledger."""
        with self._database.as_system() as session:
            now = now_s(session)
            session.add(
                GpuUsage(
                    user_id=person.id,
                    job_type=REWRITING,
                    lane=REWRITING_LANE,
                    attempt=1,
                    started_at=now - seconds,
                    ended_at=now,
                    seconds=seconds,
                    outcome=outcome,
                )
            )

    def _of_person(self, profile: UserProfile, runs: int, seconds: float, stored: Mapping[str, int]) -> Json:
        return {
            "user_id": profile.id,
            "email": profile.email,
            "display_name": profile.display_name,
            "role": profile.role,
            "runs": runs,
            **self._price.tag(seconds),
            "storage_bytes": stored.get(profile.id, 0),
        }


def _by_type(session: Session, month: Month) -> list[tuple[str, int, float]]:
    """Job type, runs and seconds of the session's person, most first."""
    sums = select(GpuUsage.job_type, func.count(GpuUsage.id), func.sum(GpuUsage.seconds)).where(month.holds)
    found = session.execute(sums.group_by(GpuUsage.job_type)).all()
    return sorted(((name, runs, float(seconds)) for name, runs, seconds in found), key=lambda row: -row[2])


def _used(session: Session, gpu_s: float) -> Json:
    active = select(Job.status, func.count(Job.id)).where(Job.status.in_(("pending", "processing")))
    counts = dict(session.execute(active.group_by(Job.status)).all())
    return {
        "pending_jobs": counts.get("pending", 0),
        "running_jobs": counts.get("processing", 0),
        "storage_mb": round(stored_bytes(session) / MEGABYTE, 1),
        "gpu_minutes": round(gpu_s / 60, 2),
    }


def _stored_by_person(session: Session) -> dict[str, int]:
    found: dict[str, int] = {}
    for table in (Asset, Upload):
        for user_id, size in session.execute(select(table.user_id, func.sum(table.bytes)).group_by(table.user_id)):
            found[user_id] = found.get(user_id, 0) + int(size)
    return found


def _inert(text: str) -> str:
    """`text` that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
