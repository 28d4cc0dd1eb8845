"""People at their limits are refused with a moment to come back at, and nobody else is."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from studio.database.limit_tables import GpuUsage
from studio.database.schema import Upload
from studio.errors import QuotaExceeded, RateLimited, StudioError
from studio.people import Person
from studio.services.allowances import Allowed
from studio.services.gpu_ledger import Month
from studio.services.limits import in_about
from studio.services.policy import ContentPolicy
from studio.services.profiles import now_s


@pytest.fixture
def desk_with(database, small_catalog, desk_class) -> Any:
    """A desk whose members may use what is given, and nobody else is held to anything."""

    def make(**limits: int) -> Any:
        held = {"member": Allowed(**limits), "admin": Allowed()}
        return desk_class(database, small_catalog, ContentPolicy(), held)

    return make


def refused(call: Any) -> StudioError:
    with pytest.raises((RateLimited, QuotaExceeded)) as caught:
        call()
    return caught.value


def used(desk: Any, person: Person, seconds: float, *, months_ago: int = 0) -> None:
    """Let `person` have used the GPU for so long."""
    with desk.database.as_system() as session:
        now = now_s(session)
        month = Month.of(now)
        for _ in range(months_ago):
            month = Month.of(month.begins - 1)
        ended = now if months_ago == 0 else month.begins + 1
        facts = {"job_type": "sdxl_image_fast", "lane": "sdxl", "attempt": 1, "outcome": "completed"}
        session.add(GpuUsage(user_id=person.id, started_at=ended - seconds, ended_at=ended, seconds=seconds, **facts))


def test_a_full_queue_of_ones_own_is_refused_and_says_when_a_place_is_free(desk_with):
    desk = desk_with(pending_jobs=2)
    desk.submit(desk.alice)
    desk.claim()
    first, second = (desk.submit(desk.alice)["id"] for _ in range(2))

    error = refused(lambda: desk.submit(desk.alice))

    assert (error.code, error.status) == ("quota_exceeded", 429)
    assert error.message.startswith("You have 2 jobs waiting, as many as you may. The next place is free in about ")
    assert 1.0 <= error.retry_after_s <= 4.0, "the running job takes four seconds"
    assert [job["id"] for job in desk.jobs.list(desk.alice, status="pending")["items"]] == [second, first]
    assert desk.submit(desk.bob)["status"] == "pending", "others are served as before"
    desk.jobs.cancel(desk.alice, first)
    assert desk.submit(desk.alice)["status"] == "pending"


def test_a_repeated_order_gets_its_first_job_at_the_cap_too(desk_with):
    desk = desk_with(pending_jobs=1, orders_per_minute=1)
    first = desk.submit(desk.alice, key="k")

    assert desk.submit(desk.alice, key="k")["id"] == first["id"]
    refused(lambda: desk.submit(desk.alice, key="other"))


def test_orders_at_once_do_not_exceed_the_cap(desk_with):
    desk = desk_with(pending_jobs=3)
    types = ("sdxl_image_fast", "video_fast", "video7b_fast_enhanced")
    start = threading.Barrier(8)
    outcomes: list[str] = []

    def order(number: int) -> None:
        start.wait()
        try:
            desk.submit(desk.alice, job_type=types[number % len(types)])
            outcomes.append("queued")
        except QuotaExceeded as error:
            outcomes.append(error.code)

    threads = [threading.Thread(target=order, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == ["queued"] * 3 + ["quota_exceeded"] * 5
    assert len(desk.jobs.list(desk.alice)["items"]) == 3


def test_a_retry_takes_a_place_as_an_order_does(desk_with):
    desk = desk_with(pending_jobs=1)
    job = desk.submit(desk.alice)["id"]
    desk.jobs.cancel(desk.alice, job)
    desk.submit(desk.alice)

    refused(lambda: desk.jobs.retry(desk.alice, job))

    assert desk.row(job).status == "cancelled"


def test_orders_come_at_a_rate_and_what_was_refused_does_not_count(desk_with, monkeypatch):
    desk = desk_with(orders_per_minute=2, pending_jobs=2)
    for _ in range(2):
        desk.submit(desk.alice)
    full = refused(lambda: desk.submit(desk.alice))
    desk.claim()
    fast = refused(lambda: desk.submit(desk.alice))

    assert (full.code, fast.code) == ("quota_exceeded", "rate_limited")
    assert fast.message.startswith("You sent 2 orders within a minute, as many as you may. You can send the next in ")
    assert 1.0 <= fast.retry_after_s <= 60.0
    desk.submit(desk.bob)
    later = time.time() + fast.retry_after_s + 0.1
    monkeypatch.setattr("limits.storage.memory.time.time", lambda: later)
    assert desk.submit(desk.alice)["status"] == "pending"


def test_the_gpu_minutes_of_a_month_end_and_say_the_day(desk_with):
    desk = desk_with(gpu_minutes=10)
    used(desk, desk.alice, 9999.0, months_ago=1)
    used(desk, desk.alice, 599.0)
    desk.submit(desk.alice)
    used(desk, desk.alice, 1.0)

    error = refused(lambda: desk.submit(desk.alice))

    now = time.time()
    ends = Month.of(now).ends
    day = datetime.fromtimestamp(ends, UTC)
    assert error.message == (
        f"You have used your 10 GPU minutes of this month. They begin anew on {day.day} {day:%B} (UTC)."
    )
    assert error.retry_after_s == pytest.approx(ends - now, abs=60)
    assert refused(lambda: desk.limits.check_rewriting(desk.alice)).code == "quota_exceeded"
    desk.submit(desk.bob)
    desk.limits.check_rewriting(desk.bob)


def test_full_storage_stops_orders_and_uploads_until_there_is_room(desk_with):
    desk = desk_with(storage_mb=1)
    with desk.database.as_system() as session:
        session.add(
            Upload(id="up", user_id=desk.alice.id, storage_key="x", width=1, height=1, bytes=2**20, created_at=0.0)
        )

    for call in (lambda: desk.submit(desk.alice), lambda: desk.limits.check_upload(desk.alice)):
        error = refused(call)
        assert (error.code, error.retry_after_s) == ("quota_exceeded", 3600.0)
        assert error.message.startswith("Your 1 MB of storage are full.")
    desk.limits.check_upload(desk.bob)
    with desk.database.as_system() as session:
        session.get_one(Upload, "up").bytes = 2**19
    desk.limits.check_room(desk.alice, 2**19)
    refused(lambda: desk.limits.check_room(desk.alice, 2**19 + 1))
    desk.submit(desk.alice)


def test_rewritings_and_uploads_have_rates_of_their_own(desk_with):
    desk = desk_with(orders_per_minute=1)
    desk.submit(desk.alice)
    desk.limits.check_rewriting(desk.alice)
    desk.limits.check_upload(desk.alice)

    for call in (desk.limits.check_rewriting, desk.limits.check_upload):
        assert refused(lambda call=call: call(desk.alice)).code == "rate_limited"


@pytest.mark.parametrize(
    ("limit", "sentence"),
    [
        ("orders_per_minute", "You may not send orders at present. Ask an admin of this studio."),
        ("pending_jobs", "You may not order jobs at present. Ask an admin of this studio."),
        ("gpu_minutes", "You may not use the GPU at present. Ask an admin of this studio."),
    ],
)
def test_somebody_who_may_have_nothing_of_it_is_told_whom_to_ask(desk_with, limit, sentence):
    desk = desk_with(**{limit: 0})

    assert refused(lambda: desk.submit(desk.alice)).message == sentence


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.3, "in a moment"),
        (40.4, "in about 40 s"),
        (89, "in about 89 s"),
        (300, "in about 5 min"),
        (7300, "in about 2 h"),
    ],
)
def test_waits_are_told_as_people_say_them(seconds, words):
    assert in_about(seconds) == words
