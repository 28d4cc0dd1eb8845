"""One's webhooks, and the log of what they were sent."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response

from studio.services.container import Services
from studio.services.webhooks.deliveries import DeliveryFilter
from studio.services.webhooks.parts import Webhooks
from studio.web.dependencies import Acting, Cursor, Limit, services_of
from studio.web.models import Page
from studio.web.openapi import refuses
from studio.web.webhook_models import (
    DeliveryAnswer,
    JobSecretAnswer,
    NewWebhookBody,
    WebhookAnswer,
    WebhookChangeBody,
    WebhookMade,
    WholeDeliveryAnswer,
)

router = APIRouter(prefix="/api/webhooks", tags=["webhooks"])

Json = dict[str, Any]
NOT_KEPT = {"Cache-Control": "no-store"}


async def webhooks_of(services: Annotated[Services, Depends(services_of)]) -> Webhooks:
    """What the routes and the page of webhooks use."""
    return services.webhooks


WebhooksOf = Annotated[Webhooks, Depends(webhooks_of)]


@router.get("", response_model=Page[WebhookAnswer])
def list_webhooks(person: Acting, webhooks: WebhooksOf) -> Json:
    """One's webhooks, oldest first."""
    return {"items": webhooks.service.list(person), "next": None}


@router.post("", status_code=HTTPStatus.CREATED, response_model=WebhookMade, responses=refuses(409))
def make_webhook(new: NewWebhookBody, response: Response, person: Acting, webhooks: WebhooksOf) -> Json:
    """Make a webhook. Its `secret`, which verifies what it is sent, is in this answer and nowhere else."""
    secret, webhook = webhooks.service.create(person, new)
    response.headers.update(NOT_KEPT)
    return {**webhook, "secret": secret}


@router.get("/job-secret", response_model=JobSecretAnswer)
def job_secret(response: Response, person: Acting, webhooks: WebhooksOf) -> Json:
    """The secret that signs what goes to the `webhook_url` of one's orders."""
    response.headers.update(NOT_KEPT)
    return webhooks.service.job_secret(person)


@router.post("/job-secret/rotate", response_model=JobSecretAnswer, responses=refuses(409))
def rotate_job_secret(response: Response, person: Acting, webhooks: WebhooksOf) -> Json:
    """Change the secret that signs what goes to the `webhook_url` of one's orders. For a day the old one signs too."""
    response.headers.update(NOT_KEPT)
    return webhooks.service.rotate_job_secret(person)


@router.get("/deliveries", response_model=Page[DeliveryAnswer])
def list_deliveries(
    *,
    person: Acting,
    webhooks: WebhooksOf,
    webhook: str | None = None,
    job: str | None = None,
    status: str | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Json:
    """What one's webhooks were sent and are about to be, newest first; of one webhook, job or status if asked so."""
    wanted = DeliveryFilter(webhook=webhook, job=job, status=status)
    return webhooks.deliveries.list(person, wanted, limit=limit, cursor=cursor)


@router.get("/deliveries/{delivery_id}", response_model=WholeDeliveryAnswer)
def get_delivery(delivery_id: str, person: Acting, webhooks: WebhooksOf) -> Json:
    """One delivery: what is sent, and how its attempts went."""
    return webhooks.deliveries.get(person, delivery_id)


@router.post("/deliveries/{delivery_id}/redeliver", response_model=WholeDeliveryAnswer, responses=refuses(409))
def redeliver(delivery_id: str, person: Acting, webhooks: WebhooksOf) -> Json:
    """Send a delivery again, now, under the same id."""
    return webhooks.deliveries.redeliver(person, delivery_id)


@router.get("/{webhook_id}", response_model=WebhookAnswer)
def get_webhook(webhook_id: str, person: Acting, webhooks: WebhooksOf) -> Json:
    """One webhook."""
    return webhooks.service.get(person, webhook_id)


@router.patch("/{webhook_id}", response_model=WebhookAnswer, responses=refuses(409))
def change_webhook(webhook_id: str, change: WebhookChangeBody, person: Acting, webhooks: WebhooksOf) -> Json:
    """Change a webhook, or switch it off and on."""
    return webhooks.service.change(person, webhook_id, change)


@router.delete("/{webhook_id}", status_code=HTTPStatus.NO_CONTENT)
def remove_webhook(webhook_id: str, person: Acting, webhooks: WebhooksOf) -> None:
    """Remove a webhook and the log of its deliveries."""
    webhooks.service.remove(person, webhook_id)


@router.post("/{webhook_id}/rotate-secret", response_model=WebhookMade)
def rotate_secret(webhook_id: str, response: Response, person: Acting, webhooks: WebhooksOf) -> Json:
    """Change a webhook's secret. It is in this answer and nowhere else; for a day the old one signs too."""
    secret, webhook = webhooks.service.rotate(person, webhook_id)
    response.headers.update(NOT_KEPT)
    return {**webhook, "secret": secret}


@router.post(
    "/{webhook_id}/test", status_code=HTTPStatus.ACCEPTED, response_model=DeliveryAnswer, responses=refuses(409)
)
def ping_webhook(webhook_id: str, person: Acting, webhooks: WebhooksOf) -> Json:
    """Send a ping. The answer is its delivery, which is under way."""
    return webhooks.service.test(person, webhook_id)
