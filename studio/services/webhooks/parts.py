"""Wires everything that tells others of finished jobs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from studio.database.engine import Database
from studio.services.rendering import JobViews
from studio.services.webhooks.deliveries import DeliveryLog
from studio.services.webhooks.destinations import Destinations
from studio.services.webhooks.dispatching import WebhookDispatcher
from studio.services.webhooks.posting import Poster
from studio.services.webhooks.sending import RETRY_AFTER_S, WebhookSender
from studio.services.webhooks.service import WebhookService
from studio.services.webhooks.signing import Signing


@dataclass(frozen=True, kw_only=True)
class Webhooks:
    """The services of webhooks. `run` is the studio's task that writes and sends deliveries."""

    service: WebhookService
    deliveries: DeliveryLog
    dispatcher: WebhookDispatcher
    sender: WebhookSender

    async def run(self) -> None:
        """Write and send deliveries until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.dispatcher.run(), name="webhook dispatcher")
            tasks.create_task(self.sender.run(), name="webhook sender")


def build_webhooks(
    database: Database,
    views: JobViews,
    destinations: Destinations,
    *,
    secret: str,
    version: str,
    public_url: str | None,
    retry_after_s: Sequence[float] = RETRY_AFTER_S,
) -> Webhooks:
    """The services, none of which has asked the database yet. Signing secrets are derived from `secret`; `version` is
    what the studio calls itself, `public_url` where people open it, if that is known."""
    signing = Signing(secret)
    sender = WebhookSender(database, signing, Poster(destinations, version), retry_after_s=retry_after_s)
    attempts = sender.attempts
    return Webhooks(
        service=WebhookService(database, signing, destinations, wake_sender=sender.poke, attempts=attempts),
        deliveries=DeliveryLog(database, wake_sender=sender.poke, attempts=attempts),
        dispatcher=WebhookDispatcher(
            database, views, wake_sender=sender.poke, attempts=attempts, public_url=public_url
        ),
        sender=sender,
    )
