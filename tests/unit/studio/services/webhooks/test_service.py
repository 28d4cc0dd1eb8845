from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from studio.database.webhook_tables import JobWebhook, JobWebhookSecret, Webhook
from studio.errors import Conflict, Forbidden, InvalidInput, NotFound
from studio.people import Person
from studio.services.webhooks import service
from studio.services.webhooks.events import JOB_EVENTS
from studio.services.webhooks.service import NewWebhook, WebhookChange

URL = "http://127.0.0.1:1024/hook"


def test_a_webhook_is_made_changed_and_removed_and_only_its_person_sees_it(outbox):
    services, ann, bob = outbox.parts.service, outbox.alice, outbox.desk.bob
    secret, made = services.create(ann, NewWebhook(url=f" {URL} ", description=" The\tnews  room "))
    assert secret.startswith("whsec_")
    assert (made["url"], made["description"], made["events"]) == (URL, "The news room", list(JOB_EVENTS))
    assert services.list(ann) == [made] == [services.get(ann, made["id"])]

    changed = services.change(ann, made["id"], WebhookChange(url=URL + "/2", events=["job.failed"], active=False))
    assert (changed["url"], changed["events"], changed["active"]) == (URL + "/2", ["job.failed"], False)
    assert services.change(ann, made["id"], WebhookChange(description="x"))["events"] == ["job.failed"]

    assert services.list(bob) == []
    for try_it in (
        lambda: services.get(bob, made["id"]),
        lambda: services.change(bob, made["id"], WebhookChange(active=True)),
        lambda: services.rotate(bob, made["id"]),
        lambda: services.test(bob, made["id"]),
        lambda: services.remove(bob, made["id"]),
    ):
        with pytest.raises(NotFound):
            try_it()
    services.remove(ann, made["id"])
    assert services.list(ann) == []


def test_an_address_inside_is_refused_and_the_log_says_who_named_it(outbox, caplog):
    services, ann = outbox.parts.service, outbox.alice
    _, made = services.create(ann, NewWebhook(url=URL))
    inside = "http://10.0.0.1/secret-path"
    for refused in (
        lambda: services.create(ann, NewWebhook(url=inside)),
        lambda: services.change(ann, made["id"], WebhookChange(url=inside)),
        lambda: services.check_order(ann, inside),
    ):
        caplog.clear()
        with pytest.raises(InvalidInput, match="not in the public internet"):
            refused()
        assert f"{ann.id} may not be told by webhook: 10.0.0.1 is not in the public internet" in caplog.text
        assert "secret-path" not in caplog.text


def test_nothing_in_the_database_signs(outbox):
    secret, made = outbox.parts.service.create(outbox.alice, NewWebhook(url=URL))
    jobs = outbox.parts.service.rotate_job_secret(outbox.alice)["secret"]
    with outbox.database.as_system(write=False) as session:
        rows = [*session.scalars(select(Webhook)), *session.scalars(select(JobWebhookSecret))]
    kept = str([vars(row) for row in rows])

    assert len(rows) == 2
    assert secret.removeprefix("whsec_") not in kept
    assert jobs.removeprefix("whsec_") not in kept
    assert secret != jobs
    assert secret not in str(made)


def test_another_secret_is_another_secret(outbox):
    first, made = outbox.parts.service.create(outbox.alice, NewWebhook(url=URL))
    second, after = outbox.parts.service.rotate(outbox.alice, made["id"])
    assert first != second
    assert (made["rotated_at"], after["rotated_at"] is None) == (None, False)


def test_the_secret_of_orders_stays_until_it_is_changed_and_is_each_persons_own(outbox):
    services, ann = outbox.parts.service, outbox.alice
    first = services.job_secret(ann)
    assert services.job_secret(ann) == first
    assert services.job_secret(outbox.desk.bob)["secret"] != first["secret"]
    second = services.rotate_job_secret(ann)
    assert services.job_secret(ann) == second != first
    assert services.rotate_job_secret(ann)["secret"] != second["secret"]


def test_guests_have_none(outbox):
    guest = Person(id=outbox.alice.id, role="guest", display_name="Guest")
    hook, _ = outbox.hook(URL)
    for try_it in (
        lambda: outbox.parts.service.create(guest, NewWebhook(url=URL)),
        lambda: outbox.parts.service.change(guest, hook, WebhookChange(active=True)),
        lambda: outbox.parts.service.job_secret(guest),
        lambda: outbox.parts.service.rotate_job_secret(guest),
        lambda: outbox.desk.submit(guest, webhook_url=URL),
    ):
        with pytest.raises(Forbidden):
            try_it()


def test_a_key_that_may_only_read_changes_nothing_and_sees_no_secret(outbox):
    hook, _ = outbox.hook(URL)
    reader = replace(outbox.alice, scopes=frozenset({"read"}))
    assert len(outbox.parts.service.list(reader)) == 1
    for try_it in (
        lambda: outbox.parts.service.create(reader, NewWebhook(url=URL)),
        lambda: outbox.parts.service.rotate(reader, hook),
        lambda: outbox.parts.service.job_secret(reader),
        lambda: outbox.parts.service.test(reader, hook),
    ):
        with pytest.raises(Forbidden):
            try_it()


@pytest.mark.parametrize("url", ["http://10.0.0.1/", "http://169.254.169.254/", "http://[::1]:8080/", "ftp://x/"])
def test_an_address_that_may_not_be_called_makes_nothing(outbox, url: str):
    hook, _ = outbox.hook(URL)
    with pytest.raises(InvalidInput) as refused:
        outbox.parts.service.create(outbox.alice, NewWebhook(url=url))
    assert refused.value.field == "url"
    with pytest.raises(InvalidInput):
        outbox.parts.service.change(outbox.alice, hook, WebhookChange(url=url))
    with pytest.raises(InvalidInput) as refused:
        outbox.desk.submit(outbox.alice, webhook_url=url)
    assert refused.value.field == "webhook_url"

    assert [one["url"] for one in outbox.parts.service.list(outbox.alice)] == [URL]
    assert outbox.desk.jobs.list(outbox.alice)["items"] == []


@pytest.mark.parametrize("events", [["job.started"], ["job.failed", "x"]])
def test_events_that_there_are_not_are_refused(outbox, events: list[str]):
    with pytest.raises(InvalidInput) as refused:
        outbox.hook(URL, events=events)
    assert refused.value.field == "events"


def test_there_is_a_most(outbox, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(service, "MAX_WEBHOOKS", 2)
    for _ in range(2):
        outbox.hook(URL)
    with pytest.raises(Conflict, match="Remove one first"):
        outbox.hook(URL)
    outbox.hook(URL, outbox.desk.bob)


def test_the_hook_of_an_order_is_kept_once(outbox):
    first = outbox.desk.submit(outbox.alice, key="one", webhook_url=URL)
    again = outbox.desk.submit(outbox.alice, key="one", webhook_url=URL + "/other")
    assert first["id"] == again["id"]
    with outbox.database.as_person(outbox.alice, write=False) as session:
        assert [(row.job_id, row.url) for row in session.scalars(select(JobWebhook))] == [(first["id"], URL)]


def test_a_webhook_that_is_off_is_not_tested_and_switching_on_forgets_its_failures(outbox):
    hook, _ = outbox.hook(URL)
    outbox.parts.service.change(outbox.alice, hook, WebhookChange(active=False))
    with pytest.raises(Conflict, match="Switch it on first"):
        outbox.parts.service.test(outbox.alice, hook)
    with outbox.database.as_system() as session:
        session.get_one(Webhook, hook).failing_since = 1.0
    changed: dict[str, Any] = outbox.parts.service.change(outbox.alice, hook, WebhookChange(active=True))
    assert (changed["active"], changed["failing_since"]) == (True, None)
