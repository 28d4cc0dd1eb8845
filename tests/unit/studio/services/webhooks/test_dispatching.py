from __future__ import annotations

import asyncio
import threading

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError

from studio.database.schema import Asset
from studio.database.webhook_tables import WebhookCursor
from studio.services.webhooks import dispatching
from studio.services.webhooks.service import WebhookChange
from tests.unit.studio.desk import until

URL = "http://127.0.0.1:1024/hook"


def test_an_ended_job_is_written_down_once_for_each_who_asked(outbox):
    every, _ = outbox.hook(URL)
    outbox.hook(URL, events=["job.failed"])
    bobs, _ = outbox.hook(URL, outbox.desk.bob)
    job_id = outbox.complete(webhook_url=URL + "/own", count=2)

    assert outbox.parts.dispatcher.look() == 2
    assert outbox.parts.dispatcher.look() == 0
    own, mine = sorted(outbox.rows(), key=lambda row: row.webhook_id or "")
    assert (own.webhook_id, own.url, mine.webhook_id, mine.url) == (None, URL + "/own", every, URL)
    assert {row.user_id for row in (own, mine)} == {outbox.alice.id}
    payload = mine.payload
    assert (payload["type"], payload["data"]["job"]["id"]) == ("job.completed", job_id)
    assert payload["timestamp"] == payload["data"]["job"]["finished_at"]
    assert [asset["id"] for asset in payload["data"]["assets"]] == payload["data"]["job"]["assets"]
    first = payload["data"]["assets"][0]
    assert first["url"] == f"https://studio.example.org/media/{first['id']}"
    assert first["preview_url"] is None
    assert bobs not in {row.webhook_id for row in outbox.rows()}


def test_the_hook_of_an_order_is_nowhere_in_the_job(outbox):
    job_id = outbox.complete(webhook_url=URL)
    outbox.parts.dispatcher.look()
    row = outbox.desk.row(job_id)

    assert URL not in str(outbox.desk.jobs.get(outbox.alice, job_id))
    assert URL not in str(vars(row))
    assert URL not in str(outbox.row().payload)


def test_failures_and_cancellations_are_told_too(outbox):
    outbox.hook(URL)
    outbox.desk.submit(outbox.alice)
    outbox.desk.leases.fail(outbox.desk.claim(), "invalid_input", "It cannot be done.", transient=False)
    cancelled = outbox.desk.submit(outbox.alice)["id"]
    outbox.desk.jobs.cancel(outbox.alice, cancelled)
    outbox.parts.dispatcher.look()

    assert sorted(row.event for row in outbox.rows()) == ["job.cancelled", "job.failed"]
    failed = next(row for row in outbox.rows() if row.event == "job.failed")
    assert failed.payload["data"]["job"]["error"]["code"] == "invalid_input"


def test_a_job_that_is_tried_again_ends_again(outbox):
    outbox.hook(URL)
    job_id = outbox.desk.submit(outbox.alice)["id"]
    for _ in range(2):
        outbox.desk.jobs.cancel(outbox.alice, job_id)
        outbox.parts.dispatcher.look()
        outbox.desk.jobs.retry(outbox.alice, job_id)
        outbox.parts.dispatcher.look()
    outbox.desk.deliver(outbox.desk.claim())
    outbox.parts.dispatcher.look()

    assert [row.event for row in outbox.rows()] == ["job.cancelled", "job.cancelled", "job.completed"]


def test_nobody_hears_of_what_ended_before_they_asked_or_while_they_were_switched_off(outbox):
    outbox.complete()
    hook, _ = outbox.hook(URL)
    assert outbox.parts.dispatcher.look() == 0
    outbox.parts.service.change(outbox.alice, hook, WebhookChange(active=False))
    outbox.complete()
    assert outbox.parts.dispatcher.look() == 0


def test_a_later_process_goes_on_where_the_last_one_was(outbox):
    outbox.hook(URL)
    outbox.complete()
    assert outbox.parts.dispatcher.look() == 1
    outbox.complete()

    assert outbox.build().dispatcher.look() == 1
    assert outbox.build().dispatcher.look() == 0
    assert outbox.parts.dispatcher.look() == 0


def test_an_ending_that_is_seen_again_is_not_told_again(outbox):
    outbox.hook(URL)
    outbox.complete()
    outbox.parts.dispatcher.look()
    with outbox.database.as_system() as session:
        session.execute(update(WebhookCursor).values(position=0))

    assert outbox.build().dispatcher.look() == 0


def test_many_endings_are_written_page_by_page(outbox, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(dispatching, "PAGE_JOBS", 2)
    outbox.hook(URL)
    jobs = [outbox.complete() for _ in range(5)]

    assert outbox.parts.dispatcher.look() == 5
    assert [row.job_id for row in outbox.rows()] == jobs


def test_two_processes_at_once_write_nothing_twice(outbox):
    outbox.hook(URL)
    for _ in range(6):
        outbox.complete()
    threads = [threading.Thread(target=outbox.build().dispatcher.look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(outbox.rows()) == 6


def test_what_is_in_the_trash_is_not_told(outbox):
    outbox.hook(URL)
    outbox.complete(count=2)
    with outbox.database.as_system() as session:
        session.scalars(select(Asset).order_by(Asset.index)).first().trashed_at = 1.0
    outbox.parts.dispatcher.look()

    assert len(outbox.row().payload["data"]["assets"]) == 1


def test_a_write_that_fails_moves_nothing(outbox, monkeypatch: pytest.MonkeyPatch):
    outbox.hook(URL)
    outbox.complete()
    with monkeypatch.context() as broken:
        broken.setattr(dispatching, "job_payload", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            outbox.parts.dispatcher.look()

    assert outbox.rows() == []
    assert outbox.parts.dispatcher.look() == 1


def test_looking_at_running_jobs_writes_nothing(outbox, count_statements):
    outbox.hook(URL)
    outbox.desk.submit(outbox.alice)
    outbox.desk.claim()
    outbox.parts.dispatcher.look()
    with count_statements() as sent:
        outbox.parts.dispatcher.look()

    assert [statement.split()[0] for statement in sent] == ["SELECT", "SELECT"]


async def test_it_looks_when_poked_and_goes_on_after_an_error(outbox, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(dispatching, "ERROR_PAUSE_S", 0.0)
    dispatcher = outbox.parts.dispatcher
    outbox.hook(URL)
    look, failures = dispatcher.look, [OperationalError("select", {}, Exception("gone"))]

    def troubled() -> int:
        if failures:
            raise failures.pop()
        return look()

    monkeypatch.setattr(dispatcher, "look", troubled)
    dispatcher.poke()  # before it runs: nobody is woken, and nothing breaks
    task = asyncio.create_task(dispatcher.run())
    await until(lambda: not failures)
    outbox.complete()
    dispatcher.poke()
    await until(outbox.rows)
    task.cancel()
    await asyncio.wait([task])
    dispatcher.poke()
