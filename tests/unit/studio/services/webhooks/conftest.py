"""The webhooks of a studio's core, and what tests do with them: senders that run, on a clock that need not pass."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_network
from typing import Any

import pytest
from sqlalchemy import select, update

from studio.catalog import Catalog
from studio.database.engine import Database
from studio.database.webhook_tables import Webhook, WebhookDelivery
from studio.people import Person
from studio.services.policy import ContentPolicy
from studio.services.webhooks.destinations import Destinations, Resolve, system_addresses
from studio.services.webhooks.parts import Webhooks, build_webhooks
from studio.services.webhooks.service import NewWebhook
from tests.unit.studio.desk import until

LOOPBACK = "127.0.0.0/8"
SOON_S = (0.02, 0.02, 0.02, 0.02, 0.02, 0.02, 0.02)
"""As many attempts as in the program, without the waiting."""


class Outbox:
    """The webhooks over the core of a studio (`desk`), and what tests do with them."""

    def __init__(self, desk: Any) -> None:
        self.desk = desk
        self.database = desk.database
        self.alice: Person = desk.alice
        self.parts = self.build()

    def build(
        self,
        *,
        networks: Sequence[str] = (LOOPBACK,),
        resolve: Resolve = system_addresses,
        retry_after_s: Sequence[float] = SOON_S,
    ) -> Webhooks:
        """The services once more, as another process on the same database has them."""
        return build_webhooks(
            self.database,
            self.desk.views,
            Destinations([ip_network(one) for one in networks], resolve),
            secret="a secret of the studio",
            version="1.0",
            public_url="https://studio.example.org",
            retry_after_s=retry_after_s,
        )

    def hook(self, url: str, person: Person | None = None, **fields: Any) -> tuple[str, str]:
        """A new webhook. Returns its id and its secret."""
        secret, made = self.parts.service.create(person or self.alice, NewWebhook(url=url, **fields))
        return made["id"], secret

    def complete(self, person: Person | None = None, **fields: Any) -> str:
        """A job that is completed. Returns its id."""
        job_id: str = self.desk.submit(person or self.alice, **fields)["id"]
        self.desk.deliver(self.desk.claim())
        return job_id

    def rows(self) -> list[WebhookDelivery]:
        """Every delivery, oldest first."""
        with self.database.as_system(write=False) as session:
            return list(session.scalars(select(WebhookDelivery).order_by(WebhookDelivery.id)))

    def row(self) -> WebhookDelivery:
        """The only delivery."""
        (row,) = self.rows()
        return row

    def webhook(self, webhook_id: str) -> Webhook:
        with self.database.as_system(write=False) as session:
            return session.get_one(Webhook, webhook_id)

    def set(self, **columns: Any) -> None:
        """Change every delivery past every rule, as time would."""
        with self.database.as_system() as session:
            session.execute(update(WebhookDelivery).values(**columns))

    @asynccontextmanager
    async def running(self, parts: Webhooks | None = None) -> AsyncIterator[Webhooks]:
        """The task of the studio, by `parts` if given."""
        running = parts or self.parts
        task = asyncio.create_task(running.run())
        try:
            yield running
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def settled(self, status: str) -> WebhookDelivery:
        """The only delivery once it stands at `status`."""
        await until(lambda: [row.status for row in self.rows()] == [status])
        return self.row()


@pytest.fixture
def outbox(desk: Any) -> Outbox:
    """On either kind of database, for what is asked of it."""
    return Outbox(desk)


@pytest.fixture
def sqlite_outbox(sqlite_database: Database, small_catalog: Catalog, desk_class: type[Any]) -> Outbox:
    """For what is said over the network."""
    return Outbox(desk_class(sqlite_database, small_catalog, ContentPolicy(())))
