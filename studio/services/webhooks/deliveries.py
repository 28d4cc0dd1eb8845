"""The log of deliveries, and sending one again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import defer

from studio.database.engine import Database, db_now
from studio.database.webhook_tables import DELIVERY_STATUSES, WebhookDelivery
from studio.errors import InvalidInput, NotFound
from studio.people import Person
from studio.services.profiles import now_s
from studio.services.views import iso

DEFAULT_PAGE = 50
MAX_PAGE = 200
KEPT_DAYS = 30
DAY_S = 86_400.0
Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class DeliveryFilter:
    """Which deliveries to list; None leaves open."""

    webhook: str | None = None
    job: str | None = None
    status: str | None = None


class DeliveryLog:
    """What was sent, or is about to be. `wake_sender()` is called after each commit that has something to send,
    `attempts` is how often it may be tried."""

    def __init__(self, database: Database, *, wake_sender: Callable[[], None], attempts: int) -> None:
        self._database = database
        self._wake_sender = wake_sender
        self._attempts = attempts

    def list(
        self,
        person: Person,
        wanted: DeliveryFilter = DeliveryFilter(),
        *,
        limit: int = DEFAULT_PAGE,
        cursor: str | None = None,
    ) -> Json:
        """The person's deliveries, newest first: {"items", "next"}, without payloads. Raises InvalidInput."""
        if not 1 <= limit <= MAX_PAGE:
            raise InvalidInput(f"The limit must be from 1 to {MAX_PAGE}; {limit} was asked.", field="limit")
        if wanted.status not in (None, *DELIVERY_STATUSES):
            raise InvalidInput(f"A delivery's status is one of: {', '.join(DELIVERY_STATUSES)}.", field="status")
        page = select(WebhookDelivery).order_by(WebhookDelivery.id.desc()).limit(limit + 1)
        for column, value in (
            (WebhookDelivery.webhook_id, _id(wanted.webhook, "webhook")),
            (WebhookDelivery.job_id, _id(wanted.job, "job")),
            (WebhookDelivery.status, wanted.status),
        ):
            page = page if value is None else page.where(column == value)
        if cursor is not None:
            page = page.where(WebhookDelivery.id < _id(cursor, "cursor"))
        with self._database.as_person(person, write=False) as session:
            rows = session.scalars(page.options(defer(WebhookDelivery.payload, raiseload=True))).all()
        items = [delivery_json(row) for row in rows[:limit]]
        return {"items": items, "next": items[-1]["id"] if len(rows) > limit else None}

    def get(self, person: Person, delivery_id: str) -> Json:
        """One delivery with its payload and every attempt that is kept. Raises NotFound."""
        with self._database.as_person(person, write=False) as session:
            row = session.get(WebhookDelivery, delivery_id)
        if row is None:
            raise NotFound("There is no such delivery.")
        return {**delivery_json(row), "payload": row.payload, "log": list(row.log)}

    def redeliver(self, person: Person, delivery_id: str) -> Json:
        """Send a delivery again, now, under the same message id; as often as a new one if it fails. One that waits for
        its next attempt need not wait longer. Raises NotFound."""
        with self._database.as_person(person) as session:
            row = session.get(WebhookDelivery, delivery_id, with_for_update=True)
            if row is None:
                raise NotFound("There is no such delivery.")
            row.status = "pending"
            row.attempts_allowed = row.attempts + self._attempts
            row.next_attempt_at = now_s(session)
        self._wake_sender()
        return self.get(person, delivery_id)

    def forget_old(self) -> int:
        """Remove what ended and is older than KEPT_DAYS, for everybody. Returns how many that were."""
        old = WebhookDelivery.created_at < db_now() - KEPT_DAYS * DAY_S
        with self._database.as_system() as session:
            gone = session.execute(delete(WebhookDelivery).where(WebhookDelivery.status != "pending", old))
            count: int = getattr(gone, "rowcount", 0)
        return count


def delivery_json(row: WebhookDelivery) -> Json:
    """A delivery for clients, as lists show it. `webhook_id` is None for what goes to the address of one order."""
    return {
        "id": row.id,
        "webhook_id": row.webhook_id,
        "job_id": row.job_id,
        "event": row.event,
        "url": row.url,
        "status": row.status,
        "attempts": row.attempts,
        "next_attempt_at": _iso(row.next_attempt_at),
        "last_status_code": row.last_status_code,
        "last_error": row.last_error,
        "created_at": iso(row.created_at),
        "delivered_at": _iso(row.delivered_at),
    }


def _iso(epoch_s: float | None) -> str | None:
    return None if epoch_s is None else iso(epoch_s)


def _id(text: str | None, field: str) -> str | None:
    """An id as it is kept. Raises InvalidInput for what can be none."""
    if text is None:
        return None
    try:
        return str(UUID(text))
    except ValueError:
        raise InvalidInput(f"{field}: that is no id.", field=field) from None
