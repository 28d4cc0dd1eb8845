from __future__ import annotations

import csv
import io
import time
from dataclasses import asdict

import pytest

from studio.errors import Forbidden, InvalidInput
from studio.people import Person
from studio.services.allowances import Allowed
from studio.services.gpu_ledger import Month, Price
from studio.services.usage import UsageService

ROOT = Person(id="root", role="admin", display_name="Root")


@pytest.fixture
def usage(desk) -> UsageService:
    return UsageService(desk.database, desk.allowances, Price(per_hour=3.6, currency="EUR"))


def ran(desk, person: Person, seconds: float, **fields: str) -> None:
    job = desk.submit(person, **fields)
    claim = desk.claim(fields.get("lane", job["lane"]))
    desk.set(claim.job_id, started_at=desk.row(claim.job_id).started_at - seconds)
    desk.deliver(claim)


def test_ones_own_month_by_type_beside_what_one_may(desk, usage):
    ran(desk, desk.alice, 1000.0)
    ran(desk, desk.alice, 1000.0)
    ran(desk, desk.alice, 5000.0, job_type="video_fast")
    ran(desk, desk.bob, 9000.0)
    desk.submit(desk.alice)

    mine = usage.mine(desk.alice)

    assert [(one["job_type"], one["runs"]) for one in mine["by_type"]] == [("video_fast", 1), ("sdxl_image_fast", 2)]
    assert mine["gpu_s"] == pytest.approx(7000.0, abs=60)
    assert (mine["cost"], mine["currency"]) == (pytest.approx(7.0, abs=0.1), "EUR")
    assert mine["used"]["gpu_minutes"] == pytest.approx(7000 / 60, abs=1)
    assert (mine["used"]["pending_jobs"], mine["used"]["running_jobs"]) == (1, 0)
    assert mine["limits"] == asdict(Allowed())
    assert mine["month"] == Month.of(time.time()).name


def test_another_month_is_asked_by_its_name(desk, usage):
    ran(desk, desk.alice, 1000.0)

    past = usage.mine(desk.alice, "2026-01")

    assert (past["gpu_s"], past["by_type"]) == (0, [])
    assert past["used"]["gpu_minutes"] > 0, "what one may still use is of the present month"
    with pytest.raises(InvalidInput):
        usage.mine(desk.alice, "January")


def test_admins_see_everybody_who_has_an_account_or_used_the_gpu(desk, usage):
    ran(desk, desk.bob, 1000.0)

    items = usage.everybody(ROOT)["items"]

    assert [item["display_name"] for item in items] == ["Bob", "Alice"]
    assert (items[0]["runs"], items[0]["storage_bytes"]) == (1, 100)
    assert items[0]["cost"] == pytest.approx(1.0, abs=0.05)
    for call in (usage.everybody, usage.everybody_csv):
        with pytest.raises(Forbidden):
            call(desk.alice)


def test_a_name_is_no_formula_in_the_table(desk, usage):
    desk.person("=HYPERLINK(1)")

    names = {line["display_name"] for line in csv.DictReader(io.StringIO(usage.everybody_csv(ROOT)))}

    assert names == {"Alice", "Bob", "'=HYPERLINK(1)"}
