"""What the routes of webhooks read and answer, as OpenAPI describes it."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, model_validator

from studio.services.webhooks.service import NewWebhook, WebhookChange
from studio.web.models import Answer, refuse_nul


class NewWebhookBody(NewWebhook):
    """An address to be told of one's finished jobs. `events` are job.completed, job.failed and job.cancelled."""

    @model_validator(mode="after")
    def _refuse_nul(self) -> Self:
        refuse_nul(self)
        return self


class WebhookChangeBody(WebhookChange):
    """What to change about a webhook; fields left out stay as they are."""

    @model_validator(mode="after")
    def _refuse_nul(self) -> Self:
        refuse_nul(self)
        return self


class WebhookAnswer(Answer):
    id: str
    url: str
    description: str
    events: list[str]
    active: bool
    created_at: str
    rotated_at: str | None = Field(description="when its secret was last changed; for a day the one before signs too")
    failing_since: str | None = Field(description="when a delivery failed for good with none delivered since")


class WebhookMade(WebhookAnswer):
    """A webhook with its `secret`, which is shown when it is made or changed and not again."""

    secret: str


class JobSecretAnswer(Answer):
    """What signs the messages to the `webhook_url` of one's orders."""

    secret: str
    rotated_at: str | None


class DeliveryAnswer(Answer):
    """One event for one address. `id` is the message's: the header webhook-id of every attempt."""

    id: str
    webhook_id: str | None = Field(description="null for the webhook_url of an order")
    job_id: str | None = Field(description="null for a test")
    event: str
    url: str
    status: str = Field(description="pending, delivered or failed")
    attempts: int
    next_attempt_at: str | None
    last_status_code: int | None = Field(description="null where nothing answered")
    last_error: str | None
    created_at: str
    delivered_at: str | None


class AttemptAnswer(Answer):
    attempt: int
    at: str
    status_code: int | None
    error: str | None
    took_s: float


class WholeDeliveryAnswer(DeliveryAnswer):
    """A delivery with what is sent and how its latest attempts went, oldest first."""

    payload: dict[str, Any]
    log: list[AttemptAnswer]
