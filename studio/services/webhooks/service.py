"""One's webhooks: made, changed, tested and removed by their person. A secret is shown when it is made."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from uuid6 import uuid7

from studio.database.engine import Database
from studio.database.webhook_tables import JobWebhookSecret, Webhook, WebhookDelivery
from studio.errors import Conflict, Forbidden, InvalidInput, NotFound
from studio.orders import MAX_URL_CHARS
from studio.people import Person, require_scope
from studio.services.profiles import GUEST, now_s, printable
from studio.services.views import iso
from studio.services.webhooks.deliveries import delivery_json
from studio.services.webhooks.destinations import Destinations, Refused
from studio.services.webhooks.events import JOB_EVENTS, PING, ping_payload
from studio.services.webhooks.signing import Signing, change_salt, new_salt

log = logging.getLogger(__name__)

MAX_WEBHOOKS = 10
MAX_DESCRIPTION_CHARS = 200
Json = dict[str, Any]


class NewWebhook(BaseModel):
    """A webhook to be made. It hears of every ending of a job unless `events` names fewer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(min_length=1, max_length=MAX_URL_CHARS)
    description: str = Field("", max_length=MAX_DESCRIPTION_CHARS)
    events: list[str] = Field(default=list(JOB_EVENTS), min_length=1)


class WebhookChange(BaseModel):
    """What to change about a webhook; fields left out stay as they are."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str | None = Field(None, min_length=1, max_length=MAX_URL_CHARS)
    description: str | None = Field(None, max_length=MAX_DESCRIPTION_CHARS)
    events: list[str] | None = Field(None, min_length=1)
    active: bool | None = None


class WebhookService:
    """`wake_sender()` is called after each commit that has something to send, `attempts` is how often it may be
    tried."""

    def __init__(
        self,
        database: Database,
        signing: Signing,
        destinations: Destinations,
        *,
        wake_sender: Callable[[], None],
        attempts: int,
    ) -> None:
        self._database = database
        self._signing = signing
        self._destinations = destinations
        self._wake_sender = wake_sender
        self._attempts = attempts

    def list(self, person: Person) -> list[Json]:
        """The person's webhooks, oldest first."""
        with self._database.as_person(person, write=False) as session:
            return [webhook_json(one) for one in session.scalars(select(Webhook).order_by(Webhook.id))]

    def get(self, person: Person, webhook_id: str) -> Json:
        """One webhook. Raises NotFound."""
        with self._database.as_person(person, write=False) as session:
            return webhook_json(_found(session, webhook_id))

    def create(self, person: Person, new: NewWebhook) -> tuple[str, Json]:
        """Make a webhook. Returns its secret, which is not shown again, and what is known of it. Resolves its host.

        Raises Forbidden for guests, InvalidInput for an address that may not be called, Conflict over MAX_WEBHOOKS.
        """
        need_account(person)
        self._check(person, new.url)
        events = _checked_events(new.events)
        with self._database.as_person(person) as session:
            if (session.scalar(select(func.count(Webhook.id))) or 0) >= MAX_WEBHOOKS:
                raise Conflict(f"There are {MAX_WEBHOOKS} webhooks already. Remove one first.")
            webhook = Webhook(
                user_id=person.id,
                url=new.url.strip(),
                description=_tidy(new.description),
                events=events,
                salt=new_salt(),
                active=True,
                created_at=now_s(session),
            )
            session.add(webhook)
            session.flush()
            return self._signing.secret_of(webhook), webhook_json(webhook)

    def change(self, person: Person, webhook_id: str, change: WebhookChange) -> Json:
        """Change a webhook. What still waits to be sent goes to the new address. Raises NotFound, InvalidInput."""
        need_account(person)
        self.get(person, webhook_id)
        if change.url is not None:
            self._check(person, change.url)
        events = None if change.events is None else _checked_events(change.events)
        with self._database.as_person(person) as session:
            webhook = _found(session, webhook_id, lock=True)
            if change.url is not None:
                webhook.url = change.url.strip()
            if change.description is not None:
                webhook.description = _tidy(change.description)
            webhook.events = events or webhook.events
            webhook.active = webhook.active if change.active is None else change.active
            if change.url is not None or change.active:
                webhook.failing_since = None
            return webhook_json(webhook)

    def remove(self, person: Person, webhook_id: str) -> None:
        """Remove a webhook and its deliveries. Raises NotFound."""
        with self._database.as_person(person) as session:
            session.delete(_found(session, webhook_id, lock=True))

    def rotate(self, person: Person, webhook_id: str) -> tuple[str, Json]:
        """Give a webhook another secret. Returns it and the webhook; for a day both secrets sign. Raises NotFound."""
        with self._database.as_person(person) as session:
            webhook = _found(session, webhook_id, lock=True)
            change_salt(webhook, now_s(session))
            return self._signing.secret_of(webhook), webhook_json(webhook)

    def test(self, person: Person, webhook_id: str) -> Json:
        """Send a ping. Returns its delivery, which is under way. Raises NotFound, or Conflict while one is."""
        with self._database.as_person(person) as session:
            webhook = _found(session, webhook_id, lock=True)
            if not webhook.active:
                raise Conflict("The webhook is switched off. Switch it on first.")
            waiting = select(WebhookDelivery.id).where(
                WebhookDelivery.webhook_id == webhook_id,
                WebhookDelivery.event == PING,
                WebhookDelivery.status == "pending",
            )
            if session.scalars(waiting.limit(1)).first() is not None:
                raise Conflict("A test of this webhook is still under way.")
            now = now_s(session)
            ping = WebhookDelivery(
                user_id=person.id,
                webhook_id=webhook_id,
                occasion=f"{webhook_id}/ping/{uuid7()}",
                event=PING,
                url=webhook.url,
                payload=ping_payload(now, webhook_id),
                attempts_allowed=self._attempts,
                next_attempt_at=now,
                log=[],
                created_at=now,
            )
            session.add(ping)
        self._wake_sender()
        return delivery_json(ping)

    def check_order(self, person: Person, url: str | None) -> None:
        """Whether an order of the person's may name `url` to be told of its job. Resolves its host.

        Raises Forbidden for guests, InvalidInput.
        """
        if url is not None:
            need_account(person)
            self._check(person, url, "webhook_url")

    def _check(self, person: Person, url: str, field: str = "url") -> None:
        try:
            self._destinations.check(url, field)
        except Refused as error:
            log.warning("%s may not be told by webhook: %s", person.id, error)
            raise

    def job_secret(self, person: Person) -> Json:
        """The secret that signs what goes to the `webhook_url` of orders. Raises Forbidden for guests and for keys that
        may only read: who knows it can write such messages."""
        need_account(person)
        require_scope(person, "generate")
        with self._database.as_person(person, write=False) as session:
            return self._secret_json(person, session.get(JobWebhookSecret, person.id))

    def rotate_job_secret(self, person: Person) -> Json:
        """Change that secret. For a day both sign. Raises Conflict where two do so at once for the first time."""
        need_account(person)
        try:
            with self._database.as_person(person) as session:
                row = session.get(JobWebhookSecret, person.id, with_for_update=True)
                if row is None:
                    row = JobWebhookSecret(user_id=person.id, salt="")
                    session.add(row)
                change_salt(row, now_s(session))
        except IntegrityError:
            raise Conflict("The secret was changed in this moment. Look at it again.") from None
        return self._secret_json(person, row)

    def _secret_json(self, person: Person, row: JobWebhookSecret | None) -> Json:
        rotated_at = None if row is None or row.rotated_at is None else iso(row.rotated_at)
        return {"secret": self._signing.job_secret(person.id, row), "rotated_at": rotated_at}


def need_account(person: Person) -> None:
    """Raises Forbidden for guests: nobody could be asked what their webhooks are for."""
    if person.role == GUEST:
        raise Forbidden("Webhooks belong to an account. Sign in to use them.")


def webhook_json(webhook: Webhook) -> Json:
    """A webhook for clients, without its secret."""
    return {
        "id": webhook.id,
        "url": webhook.url,
        "description": webhook.description,
        "events": list(webhook.events),
        "active": webhook.active,
        "created_at": iso(webhook.created_at),
        "rotated_at": None if webhook.rotated_at is None else iso(webhook.rotated_at),
        "failing_since": None if webhook.failing_since is None else iso(webhook.failing_since),
    }


def _found(session: Session, webhook_id: str, *, lock: bool = False) -> Webhook:
    webhook = session.get(Webhook, webhook_id, with_for_update=True if lock else None)
    if webhook is None:
        raise NotFound("There is no such webhook.")
    return webhook


def _checked_events(events: Sequence[str]) -> list[str]:
    unknown = set(events) - set(JOB_EVENTS)
    if unknown or not events:
        raise InvalidInput(f"events names one or more of: {', '.join(JOB_EVENTS)}.", field="events")
    return [event for event in JOB_EVENTS if event in events]


def _tidy(description: str) -> str:
    return " ".join(printable(description, MAX_DESCRIPTION_CHARS).split())
