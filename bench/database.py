"""The queue alone: jobs submitted and claimed a second, in one process, with the real services."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench.measure import Row, stopwatch
from studio.database.engine import Database
from studio.models import build_catalog_of
from studio.orders import Order
from studio.people import Person
from studio.services.accounts import local_person
from studio.services.allowances import Allowances
from studio.services.audit import AuditLog
from studio.services.jobs import JobService
from studio.services.leases import JobLeases
from studio.services.limits import Limits
from studio.services.owners import this_process
from studio.services.policy import ContentPolicy
from studio.services.rendering import JobViews
from studio.services.standing import Standings
from studio.settings import Settings

JOBS = 1000


def measure(folder: Path) -> Iterator[Row]:
    settings = Settings(data_dir=folder, models="demo")
    catalog = build_catalog_of(settings)
    database = Database(settings.database)
    database.migrate()
    try:
        standings = Standings(database, catalog)
        limits = Limits(database, Allowances(database, AuditLog(database)), standings)
        jobs = JobService(
            database,
            catalog,
            ContentPolicy(()),
            JobViews(standings),
            limits,
            announce=lambda lane: None,
            look_again=lambda job_id: None,
            check_webhook=lambda person, url: None,
        )
        yield submits_per_second(jobs, local_person(database))
        yield claims_per_second(JobLeases(database, this_process()))
    finally:
        database.close()


def submits_per_second(jobs: JobService, person: Person) -> Row:
    order = Order(prompt="a red balloon over the sea at sunset", count=1)
    with stopwatch() as elapsed:
        for _ in range(JOBS):
            jobs.submit(person, order)
    return Row(name=f"jobs submitted, {JOBS} in the queue at the end", value=JOBS / elapsed(), unit="1/s")


def claims_per_second(leases: JobLeases) -> Row:
    with stopwatch() as elapsed:
        claimed = sum(leases.claim("sdxl") is not None for _ in range(JOBS))
    return Row(name="jobs claimed", value=claimed / elapsed(), unit="1/s", note=f"{claimed} of {JOBS}, none twice")
