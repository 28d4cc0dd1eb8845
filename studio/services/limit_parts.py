"""Wires what holds people to their limits and tells them what they used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from studio.catalog import Catalog
from studio.database.engine import Database
from studio.services.allowances import Allowances
from studio.services.audit import AuditLog
from studio.services.gpu_ledger import Price
from studio.services.limits import Limits
from studio.services.rendering import JobViews
from studio.services.standing import Standings
from studio.services.usage import UsageService


@dataclass(frozen=True, kw_only=True)
class LimitParts:
    """Limits, what they are by person, what was used, and the JSON of jobs with their GPU time."""

    allowances: Allowances
    limits: Limits
    usage: UsageService
    views: JobViews


def build_limits(database: Database, catalog: Catalog, lanes: Mapping[str, int], price: Price) -> LimitParts:
    """The services, none of which has asked the database yet. `lanes` maps each lane to its number of workers."""
    standings = Standings(database, catalog, lanes)
    allowances = Allowances(database, AuditLog(database))
    return LimitParts(
        allowances=allowances,
        limits=Limits(database, allowances, standings),
        usage=UsageService(database, allowances, price),
        views=JobViews(standings, price),
    )
