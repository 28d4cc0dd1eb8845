"""The audit: what is worth knowing later, for admins."""

from __future__ import annotations

import logging
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from studio.database.engine import Database
from studio.database.schema import AuditEvent
from studio.errors import InvalidInput
from studio.people import Origin, Person
from studio.services.profiles import MAX_AGENT_CHARS, MAX_EMAIL_CHARS, need_admin, now_s, printable
from studio.services.views import iso

log = logging.getLogger(__name__)

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
SOMEBODY = "somebody"


class AuditLog:
    """Notes who did what, when and from where. `action` is a short name such as "sign_in" or "key_revoked"."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def note(
        self, action: str, actor: Person | str | None, origin: Origin, target: str | None = None, **details: Any
    ) -> None:
        """Keep an event in a transaction of its own. `actor` may be the name that somebody unknown gave; `details` is
        JSON and holds no secret."""
        with self._database.as_system() as session:
            self.note_in(session, action, actor, origin, target, **details)

    def note_in(
        self,
        session: Session,
        action: str,
        actor: Person | str | None,
        origin: Origin,
        target: str | None = None,
        **details: Any,
    ) -> None:
        """Keep an event in the system session that does what it tells of: both are committed or neither."""
        person = actor if isinstance(actor, Person) else None
        named = (person.email or person.display_name) if person else (actor if isinstance(actor, str) else "")
        event = AuditEvent(
            at=now_s(session),
            actor_id=person.id if person else None,
            actor=printable(named or SOMEBODY, MAX_EMAIL_CHARS),
            action=action,
            target=target,
            address=printable(origin.address, MAX_EMAIL_CHARS),
            agent=printable(origin.agent, MAX_AGENT_CHARS),
            details=details,
        )
        session.add(event)
        log.info("%s by %s from %s%s", action, event.actor, event.address, f" on {target}" if target else "")

    def list(self, admin: Person, *, limit: int = DEFAULT_LIMIT, cursor: str | None = None) -> dict[str, Any]:
        """The events, newest first: {"items": [...], "next": cursor or None}. Raises Forbidden, InvalidInput."""
        need_admin(admin)
        if not 1 <= limit <= MAX_LIMIT:
            raise InvalidInput(f"A page has 1 to {MAX_LIMIT} entries.", field="limit")
        page = select(AuditEvent).order_by(AuditEvent.id.desc()).limit(limit + 1)
        if cursor is not None:
            page = page.where(AuditEvent.id < cursor)
        with self._database.as_system(write=False) as session:
            events = session.scalars(page).all()
        items = [_json(event) for event in events[:limit]]
        return {"items": items, "next": items[-1]["id"] if len(events) > limit else None}


def _json(event: AuditEvent) -> dict[str, Any]:
    return {
        "id": event.id,
        "at": iso(event.at),
        "actor_id": event.actor_id,
        "actor": event.actor,
        "action": event.action,
        "target": event.target,
        "address": event.address,
        "agent": event.agent,
        "details": dict(event.details),
    }
