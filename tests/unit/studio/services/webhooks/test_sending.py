from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import delete
from sqlalchemy.exc import OperationalError
from standardwebhooks import WebhookVerificationError

from studio.database.schema import UserProfile
from studio.database.webhook_tables import Webhook
from studio.services.webhooks import posting, sending
from studio.services.webhooks.posting import Outcome
from studio.services.webhooks.sending import RETRY_AFTER_S
from studio.services.webhooks.service import WebhookChange
from tests.receivers import receiving
from tests.unit.studio.desk import until

NOWHERE = "http://127.0.0.1:1024/hook"
"""Nobody listens at this port."""


async def test_a_receiver_that_fails_four_times_gets_it_on_the_fifth_try(outbox):
    with receiving([500, 503, 429, 404, 200]) as receiver:
        hook, secret = outbox.hook(receiver.url)
        async with outbox.running():
            job_id = outbox.complete()
            outbox.parts.dispatcher.poke()
            row = await outbox.settled("delivered")

    assert [one["status_code"] for one in row.log] == [500, 503, 429, 404, 200]
    assert (row.attempts, row.last_status_code, row.last_error, row.next_attempt_at) == (5, 200, None, None)
    assert row.delivered_at is not None
    assert receiver.ids == [row.id] * 5
    last = receiver.received[-1]
    message = last.verified(secret)
    assert (message["type"], message["data"]["job"]["id"]) == ("job.completed", job_id)
    assert last.headers["content-type"] == "application/json"
    assert last.headers["user-agent"] == "OurVidzStudio/1.0"
    assert last.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert outbox.webhook(hook).failing_since is None
    with pytest.raises(WebhookVerificationError):
        last.verified(outbox.hook(receiver.url)[1])


def test_five_attempts_lie_within_a_minute_and_eight_within_hours(outbox):
    sender = outbox.build(retry_after_s=RETRY_AFTER_S).sender
    assert sender.attempts == 8
    assert sum(RETRY_AFTER_S[:4]) * (1 + sending.JITTER) < 60
    assert [round(sender._wait_s(left) / RETRY_AFTER_S[-left]) for left in range(7, 0, -1)] == [1] * 7


async def test_the_hook_of_an_order_is_signed_with_the_accounts_secret(outbox):
    first = outbox.parts.service.job_secret(outbox.alice)["secret"]
    with receiving() as receiver:
        async with outbox.running():
            outbox.complete(webhook_url=receiver.url)
            outbox.parts.dispatcher.poke()
            await outbox.settled("delivered")
            second = outbox.parts.service.rotate_job_secret(outbox.alice)["secret"]
            outbox.parts.deliveries.redeliver(outbox.alice, outbox.row().id)
            await until(lambda: len(receiver.received) == 2)
            await outbox.settled("delivered")

    receiver.received[0].verified(first)
    for secret in (first, second):  # for a day both sign
        receiver.received[1].verified(secret)
    assert second != first
    assert len(set(receiver.ids)) == 1


@pytest.mark.parametrize("location", ["http://127.0.0.1:{port}/inside", "http://169.254.169.254/latest/meta-data/", ""])
async def test_a_redirect_is_refused_and_logged(sqlite_outbox, location: str):
    sqlite_outbox.parts = sqlite_outbox.build(retry_after_s=())
    with receiving([302]) as receiver:
        receiver.location = location.format(port=receiver.port)
        sqlite_outbox.hook(receiver.url)
        async with sqlite_outbox.running():
            sqlite_outbox.complete()
            sqlite_outbox.parts.dispatcher.poke()
            row = await sqlite_outbox.settled("failed")

    assert [one.path for one in receiver.received] == ["/hook"]
    assert "Redirects are not followed" in row.log[0]["error"]
    assert (receiver.location or "nowhere") in row.last_error
    assert row.last_status_code == 302


async def test_a_name_that_leads_elsewhere_when_it_is_sent_is_refused_and_logged(sqlite_outbox, caplog):
    """The name was public when the webhook was made; now it leads home, and so does every later answer."""
    answers = [["93.184.216.34"]]
    sqlite_outbox.parts = sqlite_outbox.build(
        resolve=lambda host, port: answers.pop() if answers else ["127.0.0.1"], networks=()
    )
    with receiving() as receiver:
        hook, _ = sqlite_outbox.hook(f"http://rebound.example:{receiver.port}/")
        async with sqlite_outbox.running():
            sqlite_outbox.complete()
            sqlite_outbox.parts.dispatcher.poke()
            row = await sqlite_outbox.settled("failed")

    assert receiver.received == []
    assert row.attempts == 1, "trying again is of no use"
    assert "rebound.example (127.0.0.1) is not in the public internet" in row.last_error
    assert row.last_error in caplog.text
    assert sqlite_outbox.webhook(hook).failing_since is not None


async def test_the_connection_goes_to_the_address_that_was_looked_at(sqlite_outbox):
    """Whoever asks for the name a second time gets another answer: nobody does."""
    asked: list[str] = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    sqlite_outbox.parts = sqlite_outbox.build(resolve=resolve)
    with receiving() as receiver:
        sqlite_outbox.hook(f"http://does.not.exist.example:{receiver.port}/a?b=ü")
        async with sqlite_outbox.running():
            sqlite_outbox.complete()
            sqlite_outbox.parts.dispatcher.poke()
            await sqlite_outbox.settled("delivered")

    assert asked == ["does.not.exist.example"] * 2, "once when it was made, once when it was sent"
    (request,) = receiver.received
    assert request.headers["host"] == f"does.not.exist.example:{receiver.port}"
    assert request.path == "/a?b=%C3%BC"


async def test_a_host_with_several_addresses_is_reached_at_another(sqlite_outbox):
    sqlite_outbox.parts = sqlite_outbox.build(resolve=lambda host, port: ["127.0.0.2", "127.0.0.1"], retry_after_s=())
    with receiving() as receiver:
        sqlite_outbox.hook(f"http://two.example:{receiver.port}/")
        async with sqlite_outbox.running():
            sqlite_outbox.complete()
            sqlite_outbox.parts.dispatcher.poke()
            await sqlite_outbox.settled("delivered")


async def test_where_nobody_listens_it_fails_for_good_and_the_webhook_is_marked(sqlite_outbox):
    hook, _ = sqlite_outbox.hook(NOWHERE)
    async with sqlite_outbox.running():
        sqlite_outbox.complete()
        sqlite_outbox.parts.dispatcher.poke()
        row = await sqlite_outbox.settled("failed")

    assert row.attempts == 8
    assert "The connection failed" in row.last_error
    assert [one["attempt"] for one in row.log] == list(range(1, 9))
    assert sqlite_outbox.webhook(hook).active
    assert sqlite_outbox.webhook(hook).failing_since is not None


async def test_a_proxy_of_the_environment_is_not_asked(sqlite_outbox, monkeypatch: pytest.MonkeyPatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "https_proxy"):
        monkeypatch.setenv(name, NOWHERE)
    with receiving() as receiver:
        sqlite_outbox.hook(receiver.url)
        async with sqlite_outbox.running():
            sqlite_outbox.complete()
            sqlite_outbox.parts.dispatcher.poke()
            assert (await sqlite_outbox.settled("delivered")).attempts == 1


async def test_who_answers_gone_is_sent_no_more(outbox):
    with receiving([410]) as receiver:
        hook, _ = outbox.hook(receiver.url)
        async with outbox.running():
            outbox.complete()
            outbox.parts.dispatcher.poke()
            row = await outbox.settled("failed")
            outbox.complete()
            outbox.parts.dispatcher.look()

    assert (row.attempts, len(receiver.received), len(outbox.rows())) == (1, 1, 1)
    assert "410 Gone" in row.last_error
    assert not outbox.webhook(hook).active


async def test_an_answer_that_does_not_come_is_not_waited_for(sqlite_outbox, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(posting, "ATTEMPT_S", 0.2)
    sqlite_outbox.parts = sqlite_outbox.build(retry_after_s=())
    with receiving() as receiver:
        receiver.open.clear()
        sqlite_outbox.hook(receiver.url)
        async with sqlite_outbox.running():
            sqlite_outbox.complete()
            sqlite_outbox.parts.dispatcher.poke()
            row = await sqlite_outbox.settled("failed")

    assert "No answer within" in row.last_error


def test_two_processes_never_hold_the_same_delivery(outbox):
    outbox.hook(NOWHERE)
    outbox.complete()
    outbox.parts.dispatcher.look()
    (attempt,) = outbox.parts.sender.claim()

    other = outbox.build().sender
    assert other.claim() == []
    outbox.set(leased_until=1.0)  # the first one was killed
    (again,) = other.claim()
    assert (again.message.id, again.number) == (attempt.message.id, 2)
    outbox.parts.sender.record(attempt, Outcome(status_code=200))  # it lived after all, but is late
    assert outbox.row().status == "pending"
    other.record(again, Outcome(status_code=200))
    assert (outbox.row().status, outbox.row().attempts) == ("delivered", 2)


def test_a_last_attempt_that_was_cut_off_ends_it(outbox):
    outbox.hook(NOWHERE)
    outbox.complete()
    outbox.parts.dispatcher.look()
    outbox.set(attempts=8)

    assert outbox.parts.sender.claim() == []
    assert (outbox.row().status, outbox.row().last_error) == ("failed", sending.CUT_OFF)


def test_what_was_switched_off_or_removed_meanwhile_is_not_sent(outbox):
    hook, _ = outbox.hook(NOWHERE)
    outbox.complete()
    outbox.parts.dispatcher.look()
    outbox.parts.service.change(outbox.alice, hook, WebhookChange(active=False))

    assert outbox.parts.sender.claim() == []
    assert (outbox.row().status, outbox.row().last_error) == ("failed", sending.SWITCHED_OFF)
    outbox.parts.service.change(outbox.alice, hook, WebhookChange(active=True))
    outbox.parts.deliveries.redeliver(outbox.alice, outbox.row().id)
    (attempt,) = outbox.parts.sender.claim()
    outbox.parts.service.remove(outbox.alice, hook)
    outbox.parts.sender.record(attempt, Outcome(status_code=200))
    assert outbox.rows() == []


def test_the_address_of_the_moment_is_called(outbox):
    hook, _ = outbox.hook(NOWHERE)
    outbox.complete()
    outbox.parts.dispatcher.look()
    outbox.parts.service.change(outbox.alice, hook, WebhookChange(url=NOWHERE + "/new"))

    assert [attempt.message.url for attempt in outbox.parts.sender.claim()] == [NOWHERE + "/new"]
    assert outbox.row().url == NOWHERE + "/new"


def test_one_persons_heap_leaves_room_for_the_others(outbox):
    outbox.hook(NOWHERE)
    outbox.hook(NOWHERE, outbox.desk.bob)
    for _ in range(9):
        outbox.complete()
    outbox.complete(outbox.desk.bob)
    outbox.parts.dispatcher.look()

    claimed = [attempt.user_id for attempt in outbox.parts.sender.claim()]
    assert claimed == [outbox.alice.id] * sending.MAX_OF_ONE + [outbox.desk.bob.id]


async def test_one_message_that_breaks_something_here_does_not_stop_the_others(
    sqlite_outbox, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sending, "ERROR_PAUSE_S", 0.0)
    sender = sqlite_outbox.parts.sender
    claim, failures = sender.claim, [OperationalError("select", {}, Exception("gone"))]

    def troubled() -> Any:
        if failures:
            raise failures.pop()
        return claim()

    broken = sqlite_outbox.complete(webhook_url=NOWHERE)
    monkeypatch.setattr(sender, "claim", troubled)
    send = sender._poster.send

    async def sometimes(message: Any) -> Outcome:
        if message.payload["data"]["job"]["id"] == broken:
            raise ZeroDivisionError
        return await send(message)

    monkeypatch.setattr(sender._poster, "send", sometimes)
    with receiving() as receiver:
        async with sqlite_outbox.running():
            sqlite_outbox.complete(webhook_url=receiver.url)
            sqlite_outbox.parts.dispatcher.poke()
            await until(lambda: [row.status for row in sqlite_outbox.rows()] == ["pending", "delivered"])


async def test_a_test_is_sent_at_once_and_one_at_a_time(outbox):
    with receiving() as receiver:
        receiver.open.clear()
        hook, secret = outbox.hook(receiver.url)
        async with outbox.running() as parts:
            shown = parts.service.test(outbox.alice, hook)
            with pytest.raises(Exception, match="still under way"):
                parts.service.test(outbox.alice, hook)
            receiver.open.set()
            row = await outbox.settled("delivered")

    assert (shown["id"], shown["status"], shown["event"]) == (row.id, "pending", "webhook.ping")
    assert receiver.received[0].verified(secret)["data"] == {"webhook_id": hook}


async def test_a_webhook_that_delivers_again_is_no_longer_marked(sqlite_outbox):
    with receiving() as receiver:
        hook, _ = sqlite_outbox.hook(receiver.url)
        with sqlite_outbox.database.as_system() as session:
            session.get_one(Webhook, hook).failing_since = 1.0
        async with sqlite_outbox.running() as parts:
            parts.service.test(sqlite_outbox.alice, hook)
            await sqlite_outbox.settled("delivered")

    assert sqlite_outbox.webhook(hook).failing_since is None


async def test_the_body_is_json_as_it_was_signed_in_any_script(sqlite_outbox):
    with receiving() as receiver:
        _, secret = sqlite_outbox.hook(receiver.url)
        async with sqlite_outbox.running() as parts:
            sqlite_outbox.complete(prompt="ein rotes Häuschen 🏠")
            parts.dispatcher.poke()
            await sqlite_outbox.settled("delivered")

    (request,) = receiver.received
    assert request.verified(secret)["data"]["job"]["prompt"] == "ein rotes Häuschen 🏠"
    assert json.loads(request.body)["type"] == "job.completed"
    assert abs(int(request.headers["webhook-timestamp"]) - datetime.now(UTC).timestamp()) < 300


async def test_an_account_that_goes_takes_its_webhooks_along(outbox):
    outbox.hook(NOWHERE)
    outbox.parts.service.rotate_job_secret(outbox.alice)
    outbox.complete(webhook_url=NOWHERE)
    outbox.parts.dispatcher.look()
    with outbox.database.as_system() as session:
        session.execute(delete(UserProfile).where(UserProfile.id == outbox.alice.id))

    assert outbox.rows() == []
    assert await asyncio.to_thread(outbox.parts.sender.claim) == []
