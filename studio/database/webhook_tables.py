"""The tables of webhooks: whom to tell, of what, and how each telling went."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, Text, true
from sqlalchemy.orm import Mapped, mapped_column

from studio.database.schema import Base, OwnedRow, new_id

DELIVERY_STATUSES = ("pending", "delivered", "failed")


class SaltedRow:
    """Mixed into rows that webhooks are signed for. What signs is derived from the salt and the studio's own key, which
    no database holds; until a day after `rotated_at` the secret of `previous_salt` signs beside it."""

    salt: Mapped[str]
    previous_salt: Mapped[str | None]
    rotated_at: Mapped[float | None]


class Webhook(OwnedRow, SaltedRow, Base):
    """An address that hears of every job of its person's. `failing_since` is when a delivery last failed for good with
    none delivered after it."""

    __tablename__ = "webhooks"
    __table_args__ = (Index("webhooks_owner", "user_id", "id"),)
    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    url: Mapped[str] = mapped_column(Text)
    description: Mapped[str] = mapped_column(default="")
    events: Mapped[list[str]]
    active: Mapped[bool] = mapped_column(default=True, server_default=true())
    created_at: Mapped[float]
    failing_since: Mapped[float | None]


class JobWebhook(OwnedRow, Base):
    """The address that hears of one job, as its order named it. Beside the job and not in it: nothing that is made of
    the job's settings, such as provenance, may hold it."""

    __tablename__ = "job_webhooks"
    __table_args__ = (Index("job_webhooks_owner", "user_id"),)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    url: Mapped[str] = mapped_column(Text)


class JobWebhookSecret(OwnedRow, SaltedRow, Base):
    """What signs a person's per-job webhooks. There is a row once the secret was changed; the first one has no salt."""

    __tablename__ = "job_webhook_secrets"
    user_id: Mapped[str] = mapped_column(ForeignKey("user_profiles.id", ondelete="CASCADE"), primary_key=True)


class WebhookDelivery(OwnedRow, Base):
    """One event for one address; its id is the message's, the same at every attempt.

    `occasion` names what it tells to whom, so that nothing is told twice. `attempts` counts all that were made and
    names the one that may write its outcome; `attempts_allowed` is where it ends. Who makes an attempt holds the row
    until `leased_until`. `log` has the latest attempts, oldest first.
    """

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        CheckConstraint("status in ('pending','delivered','failed')", name="webhook_delivery_status"),
        Index("webhook_deliveries_owner", "user_id", "id"),
        Index("webhook_deliveries_due", "status", "next_attempt_at"),
        Index("webhook_deliveries_webhook", "webhook_id", "id"),
        Index("webhook_deliveries_job", "job_id"),
    )
    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    webhook_id: Mapped[str | None] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"))
    job_id: Mapped[str | None] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    occasion: Mapped[str] = mapped_column(unique=True)
    event: Mapped[str]
    url: Mapped[str] = mapped_column(Text)
    payload: Mapped[dict[str, Any]]
    status: Mapped[str] = mapped_column(default="pending")
    attempts: Mapped[int] = mapped_column(default=0)
    attempts_allowed: Mapped[int]
    next_attempt_at: Mapped[float | None]
    leased_until: Mapped[float | None]
    last_status_code: Mapped[int | None]
    last_error: Mapped[str | None] = mapped_column(Text)
    log: Mapped[list[dict[str, Any]]] = mapped_column(JSON, default=list)
    created_at: Mapped[float]
    delivered_at: Mapped[float | None]


class WebhookCursor(Base):
    """One row: the number of the last change of a job up to which every ending has its deliveries."""

    __tablename__ = "webhook_cursor"
    id: Mapped[int] = mapped_column(primary_key=True)
    position: Mapped[int]
