"""A studio's core, and what tests do with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_network
from typing import Any

from sqlalchemy import select, update

from studio.catalog import MAX_PICTURES, Catalog, Defaults
from studio.database.engine import Database
from studio.database.schema import Asset, Job, UserProfile
from studio.orders import Order, cost_s
from studio.people import Person
from studio.services.allowances import Allowances, Allowed
from studio.services.audit import AuditLog
from studio.services.claims import Claim, FinishedLeg
from studio.services.jobs import JobService
from studio.services.leases import JobLeases
from studio.services.limits import Limits
from studio.services.policy import ContentPolicy
from studio.services.recording import NewAsset
from studio.services.rendering import JobViews
from studio.services.running_caps import RunningCaps
from studio.services.standing import Standings
from studio.services.webhooks.destinations import Destinations
from studio.services.webhooks.parts import build_webhooks
from tests.small_catalog import small_catalog

PATIENCE_S = 60.0
POLL_S = 0.01
FAST_S = 4.0
HIGH_S = 24.0
"""What one picture of each quality costs, of the default steps and size."""


def small_types() -> Catalog:
    """The ten job types; one SDXL picture costs FAST_S or HIGH_S."""
    return small_catalog(
        fast=Defaults(steps=4, guidance=0.0, scheduler="euler"),
        high=Defaults(steps=20, guidance=6.0, scheduler="dpmpp_2m_karras"),
        expected_s=(MAX_PICTURES * FAST_S, MAX_PICTURES * HIGH_S),
    )


async def until(condition: Callable[[], Any]) -> None:
    """Wait until `condition` holds. Fails after a minute."""
    for _ in range(round(PATIENCE_S / POLL_S)):
        if condition():
            return
        await asyncio.sleep(POLL_S)
    raise AssertionError("What the test waited for did not happen.")


UNLIMITED = {"member": Allowed(), "guest": Allowed(), "admin": Allowed()}
"""Nobody is held to anything, as most tests want it."""


class Desk:
    """The core of a studio, and what tests do with it."""

    def __init__(
        self, database: Database, catalog: Catalog, policy: ContentPolicy, built_in: Mapping[str, Allowed] = UNLIMITED
    ) -> None:
        self.database = database
        self.catalog = catalog
        self.announced: list[str] = []
        self.hurried: list[str] = []
        caps = RunningCaps(built_in)
        standings = Standings(database, catalog, caps=caps)
        self.views = JobViews(standings)
        self.allowances = Allowances(database, AuditLog(database), built_in)
        self.limits = Limits(database, self.allowances, standings)
        self.webhooks = build_webhooks(
            database,
            self.views,
            Destinations((ip_network("127.0.0.0/8"),)),
            secret="a secret of the studio",
            version="0.0",
            public_url="https://studio.example.org",
        )
        self.jobs = JobService(
            database,
            catalog,
            policy,
            self.views,
            self.limits,
            announce=self.announced.append,
            look_again=self.hurried.append,
            check_webhook=self.webhooks.service.check_order,
        )
        self.leases = JobLeases(database, "elsewhere:1:1.0", caps=caps)
        self.alice = self.person("Alice")
        self.bob = self.person("Bob")

    def person(self, name: str) -> Person:
        """A new member."""
        with self.database.as_system() as session:
            profile = UserProfile(display_name=name, role="member", created_at=0.0)
            session.add(profile)
            session.flush()
            return Person(id=profile.id, role=profile.role, display_name=name)

    def submit(self, person: Person, *, key: str | None = None, **fields: Any) -> dict[str, Any]:
        """Order a picture; one fast one unless `fields` say otherwise."""
        order = Order.parse({"prompt": "a red boat", "count": 1, **fields})
        return self.jobs.submit(person, order, idempotency_key=key)

    def claim(self, lane: str = "sdxl") -> Claim:
        """The next job of the lane; there must be one."""
        claim = self.leases.claim(lane)
        assert claim is not None
        return claim

    def rewrite(self, claim: Claim, text: str | None = "a red boat in soft light") -> None:
        """End the first leg of `claim` with the rewritten prompt `text`, None for an unusable one."""
        kind = self.catalog.types[claim.type]
        lane = kind.lane_after(claim.lane)
        assert lane is not None
        leg = FinishedLeg(
            enhanced_prompt=text,
            receipt={"model": "tiny", "note": None if text else "It was used as written."},
            timings={"enhancing_s": 1.0},
            next_lane=lane,
            next_cost_s=cost_s(kind, claim.config, self.catalog.rules(kind), lane),
        )
        self.leases.pass_on(claim, leg)

    def deliver(self, claim: Claim, leases: JobLeases | None = None) -> None:
        """Complete `claim` with as many pictures as were ordered."""
        (leases or self.leases).deliver(claim, self.assets(claim), {"denoising_s": 1.0}, {"model": "tiny"})

    def assets(self, claim: Claim) -> list[NewAsset]:
        return [
            NewAsset(
                index=index,
                kind="image",
                format="png",
                mime_type="image/png",
                width=64,
                height=64,
                frames=None,
                fps=None,
                bytes=100,
                sha256="0" * 64,
                seed=seed,
                storage_key=f"{claim.type}/{claim.user_id}/{claim.job_id}/{index}.png",
            )
            for index, seed in enumerate(claim.config.seeds)
        ]

    def row(self, job_id: str) -> Job:
        """The job's row as it is now."""
        with self.database.as_system(write=False) as session:
            return session.scalars(select(Job).where(Job.id == job_id)).one()

    def asset_rows(self, job_id: str) -> Sequence[Asset]:
        with self.database.as_system(write=False) as session:
            return session.scalars(select(Asset).where(Asset.job_id == job_id).order_by(Asset.index)).all()

    def set(self, job_id: str, **columns: Any) -> None:
        """Change the row past every rule, as time would."""
        with self.database.as_system() as session:
            session.execute(update(Job).where(Job.id == job_id).values(**columns))

    def make_due(self, job_id: str) -> None:
        """Let the wait before the next attempt be over."""
        self.set(job_id, not_before=1.0)

    def expire(self, job_id: str) -> None:
        """Let the job's lease run out."""
        self.set(job_id, lease_expires_at=1.0)
