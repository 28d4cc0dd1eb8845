"""Every attempt that ends leaves one row, whatever ended it; the sums are those of the attempts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from studio.database.limit_tables import GpuUsage
from studio.database.schema import Job
from studio.errors import InvalidInput
from studio.services.claims import Claim
from studio.services.gpu_ledger import Month, Price, gpu_seconds, seconds_by_job
from studio.services.profiles import now_s

RUN_S = 100.0


def rows(desk: Any) -> list[GpuUsage]:
    with desk.database.as_system(write=False) as session:
        return list(session.scalars(select(GpuUsage).order_by(GpuUsage.id)))


def begun(desk: Any, lane: str = "sdxl", seconds: float = RUN_S) -> Claim:
    """An attempt that has run for so long."""
    claim = desk.claim(lane)
    desk.set(claim.job_id, started_at=desk.row(claim.job_id).started_at - seconds)
    return claim


ENDS: dict[str, Any] = {
    "completed": lambda desk, claim: desk.deliver(claim),
    "failed": lambda desk, claim: desk.leases.fail(claim, "internal", "No.", transient=False),
    "failed, to be tried again": lambda desk, claim: desk.leases.fail(claim, "timeout", "No.", transient=True),
    "failed, its worker killed": lambda desk, claim: desk.leases.fail(claim, "worker_lost", "Gone.", transient=True),
    "cancelled": lambda desk, claim: desk.leases.cancelled(claim),
    "handed_back": lambda desk, claim: desk.leases.hand_back(claim),
}


@pytest.mark.parametrize("end", ENDS)
def test_every_end_of_an_attempt_is_written_with_its_time(desk, end):
    job = desk.submit(desk.alice)
    ENDS[end](desk, begun(desk))

    (row,) = rows(desk)
    assert (row.user_id, row.job_id, row.job_type, row.lane) == (desk.alice.id, job["id"], "sdxl_image_fast", "sdxl")
    assert (row.attempt, row.outcome) == (1, end.partition(",")[0])
    assert row.seconds == row.ended_at - row.started_at == pytest.approx(RUN_S, abs=30)


def test_a_lost_attempt_counts_until_its_lease_ran_out(desk):
    job = desk.submit(desk.alice)
    begun(desk, seconds=3 * 3600.0)
    started = desk.row(job["id"]).started_at
    desk.set(job["id"], lease_expires_at=started + 42.0)
    desk.leases.sweep()

    (row,) = rows(desk)
    assert (row.outcome, row.seconds) == ("lost", pytest.approx(42.0))


def test_both_legs_of_a_rewritten_job_count(desk):
    job = desk.submit(desk.alice, job_type="video7b_fast_enhanced")
    desk.rewrite(begun(desk, "qwen", 3.0))
    desk.deliver(begun(desk, "wan", 50.0))

    assert [(row.lane, row.outcome) for row in rows(desk)] == [("qwen", "completed"), ("wan", "completed")]
    assert desk.jobs.get(desk.alice, job["id"])["usage"]["gpu_s"] == pytest.approx(53.0, abs=30)


def test_a_job_that_was_cancelled_while_it_waited_used_nothing(desk):
    job = desk.submit(desk.alice)
    shown = desk.jobs.cancel(desk.alice, job["id"])

    assert rows(desk) == []
    assert shown["usage"] == {"gpu_s": 0.0, "cost": None, "currency": "USD"}


def test_what_was_used_outlives_the_job(desk):
    job = desk.submit(desk.alice)
    desk.deliver(begun(desk))
    with desk.database.as_system() as session:
        session.execute(delete(Job))

    assert [row.job_id for row in rows(desk)] == [job["id"]]


STEPS = ("order", "claim", "deliver", "fail", "kill", "hand back", "expire", "stop", "retry")


@given(steps=st.lists(st.sampled_from(STEPS), min_size=4, max_size=16))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
def test_the_ledger_is_the_sum_of_all_attempts_whatever_happens(desk, steps):
    with desk.database.as_system() as session:
        session.execute(delete(Job))
        session.execute(delete(GpuUsage))
    desk.submit(desk.alice)
    running: list[Claim] = []
    ended: dict[str, float] = {}
    for number, step in enumerate(("claim", *steps), 1):
        if step == "order":
            desk.submit(desk.alice)
        elif step == "claim" and (claim := desk.leases.claim("sdxl")) is not None:
            desk.set(claim.job_id, started_at=desk.row(claim.job_id).started_at - number * RUN_S)
            running.append(claim)
        elif step == "retry":
            for job in desk.jobs.list(desk.alice, status="failed")["items"][:1]:
                desk.jobs.retry(desk.alice, job["id"])
        elif running:
            _end(desk, step, running.pop(), ended)
        with desk.database.as_system() as session:
            for job in session.scalars(select(Job).where(Job.status == "pending")):
                job.not_before = None

    found = rows(desk)
    assert sum(round(row.seconds / RUN_S) for row in found) == round(sum(ended.values()) / RUN_S)
    with desk.database.as_system(write=False) as session:
        whole = gpu_seconds(session, desk.alice.id, Month.of(now_s(session)))
        by_job = seconds_by_job(session, list(ended))
    assert whole == pytest.approx(sum(row.seconds for row in found)) == pytest.approx(sum(by_job.values()))
    for job_id, seconds in ended.items():
        assert by_job[job_id] == pytest.approx(seconds, abs=RUN_S / 2)


def _end(desk: Any, step: str, claim: Claim, ended: dict[str, float]) -> None:
    row = desk.row(claim.job_id)
    if step == "stop":
        desk.jobs.cancel(desk.alice, claim.job_id)
    if step == "expire":
        desk.set(claim.job_id, lease_expires_at=row.started_at + RUN_S)
        desk.leases.sweep()
        seconds = RUN_S
    else:
        calls = {"deliver": "completed", "fail": "failed", "kill": "failed, its worker killed", "stop": "cancelled"}
        ENDS[calls.get(step, "handed_back")](desk, claim)
        with desk.database.as_system(write=False) as session:
            seconds = now_s(session) - row.started_at
    ended[claim.job_id] = ended.get(claim.job_id, 0.0) + seconds


def test_a_month_begins_and_ends_at_midnight_utc():
    december = Month.parse("2026-12")

    assert december.begins == datetime(2026, 12, 1, tzinfo=UTC).timestamp()
    assert (december.next.name, december.ends) == ("2027-01", datetime(2027, 1, 1, tzinfo=UTC).timestamp())
    assert Month.of(december.ends - 0.001) == december
    assert Month.of(december.ends) == december.next
    for text in ("2026-13", "26-12", "2026-1", "December", "2026-12-01"):
        with pytest.raises(InvalidInput):
            Month.parse(text)


def test_an_hour_has_a_price():
    assert Price(per_hour=0.79, currency="EUR").tag(1800.0) == {"gpu_s": 1800.0, "cost": 0.395, "currency": "EUR"}
    assert Price().of(1800.0) is None
    assert Price(per_hour=0.0).of(1800.0) == 0.0
