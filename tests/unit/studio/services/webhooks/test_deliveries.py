from __future__ import annotations

import time

import pytest

from studio.errors import InvalidInput, NotFound
from studio.services.webhooks.deliveries import DAY_S, KEPT_DAYS, DeliveryFilter
from studio.services.webhooks.posting import Outcome

URL = "http://127.0.0.1:1024/hook"
UNKNOWN = "0197a2b0-0000-7000-8000-000000000000"


def test_the_log_is_paged_and_filtered_and_ones_own(outbox):
    hook, _ = outbox.hook(URL)
    jobs = [outbox.complete(webhook_url=URL) for _ in range(2)]
    outbox.parts.dispatcher.look()
    log, ann = outbox.parts.deliveries, outbox.alice
    every = [one["id"] for one in log.list(ann)["items"]]
    assert every == sorted(every, reverse=True)
    assert len(every) == 4

    first = log.list(ann, limit=3)
    assert [one["id"] for one in first["items"]] == every[:3]
    rest = log.list(ann, limit=3, cursor=first["next"])
    assert ([one["id"] for one in rest["items"]], rest["next"]) == (every[3:], None)

    def count(**wanted: str) -> int:
        return len(log.list(ann, DeliveryFilter(**wanted))["items"])

    assert (count(webhook=hook), count(job=jobs[0]), count(status="pending"), count(status="failed")) == (2, 2, 4, 0)
    assert count(webhook=UNKNOWN) == 0
    assert log.list(outbox.desk.bob)["items"] == []
    with pytest.raises(NotFound):
        log.get(outbox.desk.bob, every[0])
    with pytest.raises(NotFound):
        log.redeliver(outbox.desk.bob, every[0])
    assert log.get(ann, every[0])["payload"]["type"] == "job.completed"


@pytest.mark.parametrize("wanted", [{"limit": 0}, {"limit": 201}, {"cursor": "x"}, {"cursor": "\0"}])
def test_what_is_no_page_is_refused(outbox, wanted):
    with pytest.raises(InvalidInput):
        outbox.parts.deliveries.list(outbox.alice, **wanted)


@pytest.mark.parametrize("wanted", [{"webhook": "x"}, {"job": "\0"}, {"status": "lost"}])
def test_what_is_no_filter_is_refused(outbox, wanted):
    with pytest.raises(InvalidInput) as refused:
        outbox.parts.deliveries.list(outbox.alice, DeliveryFilter(**wanted))
    assert refused.value.field in wanted


def test_sending_again_begins_anew_under_the_same_id(outbox):
    outbox.hook(URL)
    outbox.complete()
    outbox.parts.dispatcher.look()
    sender = outbox.parts.sender
    for _ in range(sender.attempts):
        outbox.set(next_attempt_at=1.0)
        (attempt,) = sender.claim()
        sender.record(attempt, Outcome(status_code=500, error="It answered 500."))
    failed = outbox.row()
    assert (failed.status, failed.attempts, sender.claim()) == ("failed", 8, [])

    again = outbox.parts.deliveries.redeliver(outbox.alice, failed.id)
    assert (again["id"], again["status"], len(again["log"])) == (failed.id, "pending", 8)
    (attempt,) = sender.claim()
    assert (attempt.message.id, attempt.number) == (failed.id, 9)
    outbox.parts.deliveries.redeliver(outbox.alice, failed.id)
    assert sender.claim() == [], "it is being sent already"
    sender.record(attempt, Outcome(status_code=200))
    assert (outbox.row().status, len(outbox.row().log)) == ("delivered", 9)


def test_what_is_old_and_over_is_forgotten(outbox):
    outbox.hook(URL)
    outbox.complete()
    outbox.parts.dispatcher.look()
    assert outbox.parts.deliveries.forget_old() == 0
    outbox.set(created_at=time.time() - KEPT_DAYS * DAY_S - 60)
    assert outbox.parts.deliveries.forget_old() == 0, "it is still to be sent"
    outbox.set(status="failed")
    assert outbox.parts.deliveries.forget_old() == 1
    assert outbox.rows() == []
