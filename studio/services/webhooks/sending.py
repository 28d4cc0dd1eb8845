"""Sends what is due: claims deliveries, attempts them, writes down what came of it and when to try again.

The row is the truth. An attempt is counted and leased before it is made, so what a killed process was sending is sent
again when the lease has run out, and by nobody else before. A receiver may therefore hear something twice, under the
same message id, but never not at all while it answers within the schedule.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from studio.database.engine import Database
from studio.database.webhook_tables import JobWebhookSecret, Webhook, WebhookDelivery
from studio.services.profiles import now_s
from studio.services.views import iso
from studio.services.webhooks.posting import ATTEMPT_S, Message, Outcome, Poster
from studio.services.webhooks.signing import Signing
from studio.services.webhooks.waking import Waker

log = logging.getLogger(__name__)

RETRY_AFTER_S = (2.0, 5.0, 10.0, 20.0, 300.0, 3600.0, 21_600.0)
"""Seconds between the attempts, each lengthened by up to JITTER of itself: five attempts within the first minute for a
receiver that restarts, three more within seven hours for one that is down."""
JITTER = 0.2
LEASE_S = 2 * ATTEMPT_S
MAX_AT_ONCE = 8
MAX_OF_ONE = 3
"""Attempts under way for one person: nobody's slow receiver keeps the others waiting."""
LOOKED_AT = 64
"""Deliveries looked at to find those to send."""
LOOK_AGAIN_S = 30.0
ERROR_PAUSE_S = 2.0
LOGGED_ATTEMPTS = 20
SWITCHED_OFF = "The webhook is switched off."
CUT_OFF = "The last attempt was cut off; whether it arrived is not known."


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """A claimed delivery. `number` counts its attempts and tells whose outcome may be written."""

    message: Message
    user_id: str
    webhook_id: str | None
    number: int


class WebhookSender:
    """Makes attempts. `retry_after_s` has the seconds between them and so says how many there are; `jitter(most)` gives
    a random share from 0 to `most`."""

    def __init__(
        self,
        database: Database,
        signing: Signing,
        poster: Poster,
        *,
        retry_after_s: Sequence[float] = RETRY_AFTER_S,
        jitter: Callable[[float], float] = lambda most: random.uniform(0.0, most),  # noqa: S311
    ) -> None:
        self._database = database
        self._signing = signing
        self._poster = poster
        self._retry_after_s = tuple(retry_after_s)
        self._jitter = jitter
        self._waker = Waker()
        self._under_way: Counter[str] = Counter()

    @property
    def attempts(self) -> int:
        """How often a delivery is tried in all."""
        return len(self._retry_after_s) + 1

    def poke(self) -> None:
        """Say that something may be due. Any thread may call this, at any time."""
        self._waker.poke()

    async def run(self) -> None:
        """Send whatever is due, until cancelled."""
        with self._waker.bound():
            async with self._poster, asyncio.TaskGroup() as attempts:
                while True:
                    try:
                        for attempt in await asyncio.to_thread(self.claim):
                            self._under_way[attempt.user_id] += 1
                            attempts.create_task(self._attend(attempt), name=f"webhook {attempt.message.id}")
                        wait_s = await asyncio.to_thread(self._until_due_s)
                    except SQLAlchemyError:
                        log.exception("What webhooks are due could not be read; it is tried again.")
                        wait_s = ERROR_PAUSE_S
                    await self._waker.sleep(wait_s)

    async def _attend(self, attempt: Attempt) -> None:
        try:
            outcome = await self._poster.send(attempt.message)
            await asyncio.to_thread(self.record, attempt, outcome)
        # Whatever one message breaks, the others are sent. Its lease runs out, and it is sent again.
        except Exception:
            log.exception("What came of webhook message %s could not be kept.", attempt.message.id)
        finally:
            self._under_way[attempt.user_id] -= 1
            self._waker.poke()

    def claim(self) -> list[Attempt]:
        """Lease as many due deliveries as may be sent now. Blocks."""
        room = MAX_AT_ONCE - self._under_way.total()
        if room <= 0:
            return []
        taken = Counter(+self._under_way)
        claimed: list[Attempt] = []
        with self._database.as_system() as session:
            now = now_s(session)
            for row in session.scalars(self._due(now).limit(LOOKED_AT).with_for_update(skip_locked=True)):
                if len(claimed) == room:
                    break
                if taken[row.user_id] < MAX_OF_ONE and (message := self._message(session, row, now)) is not None:
                    taken[row.user_id] += 1
                    row.attempts += 1
                    row.leased_until = now + LEASE_S
                    claimed.append(
                        Attempt(message=message, user_id=row.user_id, webhook_id=row.webhook_id, number=row.attempts)
                    )
        return claimed

    def _due(self, now: float) -> Select[WebhookDelivery]:
        is_free = or_(WebhookDelivery.leased_until.is_(None), WebhookDelivery.leased_until <= now)
        due = select(WebhookDelivery).where(*self._waiting(), WebhookDelivery.next_attempt_at <= now, is_free)
        return due.order_by(WebhookDelivery.next_attempt_at)

    def _waiting(self) -> tuple[ColumnElement[bool], ...]:
        """What holds of deliveries that could be claimed if they were due."""
        busy = [user_id for user_id, count in self._under_way.items() if count >= MAX_OF_ONE]
        return WebhookDelivery.status == "pending", WebhookDelivery.user_id.not_in(busy)

    def _until_due_s(self) -> float:
        if self._under_way.total() >= MAX_AT_ONCE:
            return LOOK_AGAIN_S  # whoever ends first wakes
        free_at = func.coalesce(WebhookDelivery.leased_until, 0.0)
        due_at = WebhookDelivery.next_attempt_at
        with self._database.as_system(write=False) as session:
            times = session.execute(select(due_at, free_at).where(*self._waiting()).order_by(due_at).limit(LOOKED_AT))
            first = min((max(due or 0.0, free) for due, free in times), default=None)
            now = now_s(session)
        return LOOK_AGAIN_S if first is None else min(LOOK_AGAIN_S, max(0.0, first - now))

    def _message(self, session: Session, row: WebhookDelivery, now: float) -> Message | None:
        """What to send; None where nothing is to be sent any more, which ends the delivery."""
        if row.attempts >= row.attempts_allowed:
            _end(row, CUT_OFF)
            return None
        if row.webhook_id is None:
            secrets = self._signing.job_secrets(row.user_id, session.get(JobWebhookSecret, row.user_id), now)
        else:
            webhook = session.get_one(Webhook, row.webhook_id)
            if not webhook.active:
                _end(row, SWITCHED_OFF)
                return None
            row.url = webhook.url
            secrets = self._signing.secrets_of(webhook, now)
        return Message(id=row.id, url=row.url, payload=row.payload, secrets=secrets)

    def record(self, attempt: Attempt, outcome: Outcome) -> None:
        """Write down what came of an attempt, unless a later one was begun meanwhile. Blocks."""
        with self._database.as_system() as session:
            # The webhook before its delivery, as who removes one locks them.
            webhook = session.get(Webhook, attempt.webhook_id, with_for_update=True) if attempt.webhook_id else None
            mine = WebhookDelivery.id == attempt.message.id, WebhookDelivery.attempts == attempt.number
            row = session.scalars(select(WebhookDelivery).where(*mine).with_for_update()).one_or_none()
            if row is None:
                return
            now = now_s(session)
            row.leased_until = None
            row.last_status_code, row.last_error = outcome.status_code, outcome.error
            row.log = [*row.log, _logged(attempt.number, outcome, now)][-LOGGED_ATTEMPTS:]
            left = row.attempts_allowed - row.attempts
            if outcome.error is None:
                row.status, row.delivered_at, row.next_attempt_at = "delivered", now, None
            elif outcome.is_final or left <= 0:
                row.status, row.next_attempt_at = "failed", None
            else:
                row.next_attempt_at = now + self._wait_s(left)
            if webhook is not None and row.status != "pending":
                _mark(webhook, outcome, now)
        _tell_of(attempt, outcome, row.status)

    def _wait_s(self, left: int) -> float:
        """How long until the next attempt, if `left` are left."""
        wait_s = self._retry_after_s[-min(left, len(self._retry_after_s))]
        return wait_s * (1 + self._jitter(JITTER))


def _logged(number: int, outcome: Outcome, now: float) -> dict[str, object]:
    return {
        "attempt": number,
        "at": iso(now),
        "status_code": outcome.status_code,
        "error": outcome.error,
        "took_s": outcome.took_s,
    }


def _end(row: WebhookDelivery, why: str) -> None:
    row.status, row.last_error, row.next_attempt_at = "failed", why, None


def _mark(webhook: Webhook, outcome: Outcome, now: float) -> None:
    """Note at the webhook whether it gets what it is sent."""
    if outcome.error is None:
        webhook.failing_since = None
    else:
        webhook.failing_since = webhook.failing_since or now
        webhook.active = webhook.active and not outcome.is_gone


def _tell_of(attempt: Attempt, outcome: Outcome, status: str) -> None:
    if outcome.error is None:
        log.info("Webhook message %s was delivered at attempt %d.", attempt.message.id, attempt.number)
    elif status == "failed":
        log.warning("Webhook message %s failed at attempt %d: %s", attempt.message.id, attempt.number, outcome.error)
    else:
        log.info("Webhook message %s is tried again: %s", attempt.message.id, outcome.error)
