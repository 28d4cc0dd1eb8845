"""What a person may use of the studio: built in by role, changed by an admin for a role or for one person."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from studio.database.engine import Database
from studio.database.limit_tables import UNLIMITED, Allowance
from studio.database.schema import UserProfile
from studio.errors import InvalidInput
from studio.people import Origin, Person
from studio.services.audit import AuditLog
from studio.services.profiles import need_admin, profile_of

KNOWN_FOR_S = 3.0
"""How long an allowance is kept before the database is asked again: a change holds within this time."""
MAX_KNOWN = 10_000
MEGABYTE = 2**20
MOST = 2**31 - 1
"""The largest number that a limit can be set to."""
ROLE_PREFIX = "role:"
ROLES = ("member", "guest", "admin")
Json = dict[str, Any]
Limit = int | Literal["unlimited"] | None
"""A limit as an admin gives it: a number, "unlimited", or None for what holds without a word of theirs."""


@dataclass(frozen=True, kw_only=True)
class Allowed:
    """What somebody may use; None is no limit.

    `orders_per_minute` counts orders, rewritings and uploads, each by itself. `running_jobs` are those of all lanes
    together. `storage_mb` is originals and uploads in 2^20 bytes, the trash included. `gpu_minutes` are of a calendar
    month in UTC.
    """

    orders_per_minute: int | None = None
    pending_jobs: int | None = None
    running_jobs: int | None = None
    storage_mb: int | None = None
    gpu_minutes: int | None = None


LIMITS = tuple(field.name for field in fields(Allowed))
BUILT_IN: Mapping[str, Allowed] = {
    "member": Allowed(
        orders_per_minute=60, pending_jobs=100, running_jobs=8, storage_mb=50 * 1024, gpu_minutes=100 * 60
    ),
    "guest": Allowed(orders_per_minute=6, pending_jobs=3, running_jobs=1, storage_mb=250, gpu_minutes=20),
    "admin": Allowed(),
}


class Allowances:
    """Answers what somebody may use, and lets admins change it. `built_in` holds for roles that nobody changed."""

    def __init__(
        self,
        database: Database,
        audit: AuditLog,
        built_in: Mapping[str, Allowed] = BUILT_IN,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._audit = audit
        self._built_in = built_in
        self._now = now
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, Allowed]] = {}

    def of(self, person: Person) -> Allowed:
        """What `person` may use: what was granted to them, else to their role, else what is built in."""
        with self._lock:
            until, known = self._known.get(person.id, (-1.0, Allowed()))
        if self._now() < until:
            return known
        with self._database.as_system(write=False) as session:
            found = self._resolved(session, person.role, person.id)
        with self._lock:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            self._known[person.id] = (self._now() + KNOWN_FOR_S, found)
        return found

    def list(self, admin: Person) -> list[Json]:
        """Every role, then everybody to whom something was granted: {"subject", "role", "user_id", "name", "granted",
        "allowed"}. `granted` holds what an admin set, `allowed` what holds; null is no limit. Raises Forbidden."""
        need_admin(admin)
        own = select(Allowance, UserProfile).join(UserProfile, UserProfile.id == Allowance.user_id)
        with self._database.as_system(write=False) as session:
            people = session.execute(own.order_by(UserProfile.id)).all()
            roles = [self._role_json(session, role) for role in ROLES]
            return [*roles, *(self._person_json(session, profile) for _, profile in people)]

    def of_people(self, admin: Person, user_ids: Sequence[str]) -> dict[str, Json]:
        """What holds for each account, as `list` tells it. Raises Forbidden."""
        need_admin(admin)
        wanted = select(UserProfile).where(UserProfile.id.in_(user_ids))
        with self._database.as_system(write=False) as session:
            return {one.id: self._person_json(session, one) for one in session.scalars(wanted).all()}

    def change(self, admin: Person, subject: str, changes: Mapping[str, Limit], origin: Origin) -> Json:
        """Set limits of a role or of one person (by id); what `changes` does not name stays. Returns as `list`.

        Raises Forbidden, InvalidInput, or NotFound for an unknown person.
        """
        need_admin(admin)
        stored = {name: _stored(name, value) for name, value in changes.items()}
        with self._database.as_system() as session:
            profile = None if subject in ROLES else profile_of(session, subject, lock=True)
            key = f"{ROLE_PREFIX}{subject}" if profile is None else profile.id
            row = session.get(Allowance, key, with_for_update=True)
            if row is None:
                row = Allowance(subject=key, user_id=None if profile is None else profile.id)
                session.add(row)
            for name, value in stored.items():
                setattr(row, name, value)
            if all(getattr(row, name) is None for name in LIMITS):
                session.expunge(row) if row in session.new else session.delete(row)
            session.flush()
            target = subject if profile is None else profile.email or profile.display_name
            self._audit.note_in(session, "limits_changed", admin, origin, key, name=target, **changes)
            answer = self._role_json(session, subject) if profile is None else self._person_json(session, profile)
        with self._lock:
            self._known.clear()
        return answer

    def _resolved(self, session: Session, role: str, user_id: str | None) -> Allowed:
        allowed = self._built_in.get(role, Allowed())
        for subject in (f"{ROLE_PREFIX}{role}", user_id):
            row = session.get(Allowance, subject) if subject else None
            allowed = replace(allowed, **_granted(row))
        return allowed

    def _role_json(self, session: Session, role: str) -> Json:
        granted = _granted(session.get(Allowance, f"{ROLE_PREFIX}{role}"))
        allowed = asdict(self._resolved(session, role, None))
        told = {"subject": role, "role": role, "user_id": None, "name": role}
        return {**told, "granted": granted, "allowed": allowed}

    def _person_json(self, session: Session, profile: UserProfile) -> Json:
        return {
            "subject": profile.id,
            "role": profile.role,
            "user_id": profile.id,
            "name": profile.email or profile.display_name,
            "granted": _granted(session.get(Allowance, profile.id)),
            "allowed": asdict(self._resolved(session, profile.role, profile.id)),
        }


def _granted(row: Allowance | None) -> dict[str, int | None]:
    """What an admin set in `row`, None for no limit."""
    found = {} if row is None else {name: getattr(row, name) for name in LIMITS}
    return {name: None if value == UNLIMITED else value for name, value in found.items() if value is not None}


def _stored(name: str, value: Limit) -> int | None:
    """What stands in the column `name` for the limit `value`. Raises InvalidInput."""
    if name not in LIMITS:
        raise InvalidInput(f"A limit is one of: {', '.join(LIMITS)}.", field=name)
    if value is None:
        return None
    if value == "unlimited":
        return UNLIMITED
    least = 1 if name == "running_jobs" else 0
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= MOST:
        raise InvalidInput(f'A limit is a whole number from {least} on, or "unlimited".', field=name)
    return value
