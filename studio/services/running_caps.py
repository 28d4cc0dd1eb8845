"""Who has as many jobs running as they may: asked inside the statement that would start another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, case, func, select
from sqlalchemy.orm import Session, aliased

from studio.database.limit_tables import UNLIMITED, Allowance
from studio.database.schema import Job, UserProfile
from studio.services.allowances import BUILT_IN, ROLE_PREFIX, Allowed

CLAIM_LOCK = 0x0C1A1
"""Key of the lock under which claims are made one after the other: two at once would both see the last free place."""


class RunningCaps:
    """The caps in the database; `built_in` holds for roles that nobody changed."""

    def __init__(self, built_in: Mapping[str, Allowed] = BUILT_IN) -> None:
        caps = {role: allowed.running_jobs for role, allowed in built_in.items()}
        self._built_in = {role: UNLIMITED if cap is None else cap for role, cap in caps.items()}

    def full(self) -> Select[Any]:
        """The ids of those at their cap, for use as a subquery. Jobs of all lanes count together."""
        running = aliased(Job)
        own = select(running.user_id).join(UserProfile, UserProfile.id == running.user_id)
        capped, cap = self._capped(own)
        return capped.where(running.status == "processing").group_by(running.user_id, cap).having(func.count() >= cap)

    def freed(self, session: Session, user_id: str) -> Sequence[str]:
        """The lanes in which jobs of the person wait that their cap held back until a moment ago, when another job of
        theirs ended."""
        capped, cap = self._capped(select(UserProfile.id).where(UserProfile.id == user_id))
        running = select(func.count(Job.id)).where(Job.user_id == user_id, Job.status == "processing")
        held_back = capped.where(running.scalar_subquery() == cap - 1)
        waiting = select(Job.lane).where(Job.status == "pending", Job.user_id.in_(held_back))
        return session.scalars(waiting.distinct()).all()

    def _capped(self, people: Select[Any]) -> tuple[Select[Any], ColumnElement[int]]:
        """Those of `people`, a selection that has their profiles, who have a cap, and the expression of it."""
        mine, of_role = aliased(Allowance), aliased(Allowance)
        usual = case(self._built_in, value=UserProfile.role, else_=UNLIMITED)
        cap = func.coalesce(mine.running_jobs, of_role.running_jobs, usual)
        capped = (
            people.outerjoin(mine, mine.subject == UserProfile.id)
            .outerjoin(of_role, of_role.subject == ROLE_PREFIX + UserProfile.role)
            .where(cap >= 0)
        )
        return capped, cap
