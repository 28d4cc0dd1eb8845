"""Webhooks by REST and by their page, at a running studio on either kind of database."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.receivers import receiving

ORDER: dict[str, Any] = {"prompt": "a red boat", "count": 1}
NOWHERE = "http://127.0.0.1:1024/hook"
UNKNOWN = "0197a2b0-0000-7000-8000-000000000000"


def soon(done: Callable[[], Any]) -> Any:
    """What `done` answers as soon as that is something."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if found := done():
            return found
        time.sleep(0.05)
    raise AssertionError("What the test waited for did not happen.")


def ended(web: httpx.Client, **filters: str) -> dict[str, Any]:
    """The only delivery of `filters`, once it is over."""

    def look() -> dict[str, Any] | None:
        items = web.get("/api/webhooks/deliveries", params=filters).raise_for_status().json()["items"]
        return items[0] if items and items[0]["status"] != "pending" else None

    found: dict[str, Any] = soon(look)
    return found


def made(web: httpx.Client, url: str, **fields: Any) -> dict[str, Any]:
    answer = web.post("/api/webhooks", json={"url": url, **fields})
    assert answer.status_code == 201, answer.text
    assert answer.headers["cache-control"] == "no-store"
    webhook: dict[str, Any] = answer.json()
    return webhook


def test_a_receiver_that_fails_four_times_gets_the_job_on_the_fifth_try(web: httpx.Client) -> None:
    with receiving([500, 500, 503, 500, 204]) as receiver:
        webhook = made(web, receiver.url, events=["job.completed"])
        job = web.post("/api/queue-job", json=ORDER).json()
        delivery = ended(web, webhook=webhook["id"])
        assert (delivery["status"], delivery["attempts"], delivery["job_id"]) == ("delivered", 5, job["id"])
        message = receiver.received[-1].verified(webhook["secret"])
        web.delete(f"/api/webhooks/{webhook['id']}").raise_for_status()

    told = message["data"]
    now = web.get(f"/api/jobs/{job['id']}").json()
    assert {**told["job"], "progress": None} == {**now, "progress": None}
    (asset,) = told["assets"]
    assert asset == web.get(f"/api/assets/{asset['id']}").json()
    assert len({one.headers["webhook-id"] for one in receiver.received}) == 1


def test_an_order_names_who_is_told_of_it(web: httpx.Client) -> None:
    secret = web.get("/api/webhooks/job-secret").raise_for_status().json()["secret"]
    with receiving() as receiver:
        job = web.post("/api/queue-job", json={**ORDER, "webhook_url": receiver.url}).raise_for_status().json()
        delivery = ended(web, job=job["id"])
        assert (delivery["status"], delivery["webhook_id"], delivery["url"]) == ("delivered", None, receiver.url)
        assert receiver.received[0].verified(secret)["data"]["job"]["id"] == job["id"]

        changed = web.post("/api/webhooks/job-secret/rotate").raise_for_status().json()["secret"]
        again = web.post(f"/api/webhooks/deliveries/{delivery['id']}/redeliver").raise_for_status().json()
        assert again["id"] == delivery["id"]
        soon(lambda: len(receiver.received) == 2)
        receiver.received[1].verified(changed)
    assert receiver.url not in web.get(f"/api/jobs/{job['id']}").text
    assert receiver.url.encode() not in web.get(f"/media/{web.get('/api/assets').json()['items'][0]['id']}").content


def test_a_webhook_from_its_making_to_its_end(web: httpx.Client) -> None:
    with receiving() as receiver:
        webhook = made(web, receiver.url, description="News room")
        address = f"/api/webhooks/{webhook['id']}"
        known = {name: value for name, value in webhook.items() if name != "secret"}
        assert web.get(address).json() == known
        assert known in web.get("/api/webhooks").json()["items"]

        ping = web.post(f"{address}/test")
        assert ping.status_code == 202
        assert ended(web, webhook=webhook["id"])["id"] == ping.json()["id"]
        assert receiver.received[0].verified(webhook["secret"])["type"] == "webhook.ping"
        whole = web.get(f"/api/webhooks/deliveries/{ping.json()['id']}").json()
        assert (whole["payload"]["type"], whole["log"][0]["status_code"]) == ("webhook.ping", 204)

        secret = web.post(f"{address}/rotate-secret").raise_for_status().json()["secret"]
        assert secret != webhook["secret"]
        assert web.patch(address, json={"active": False}).json()["active"] is False
        assert web.post(f"{address}/test").status_code == 409
        assert web.delete(address).status_code == 204
        assert {web.get(address).status_code, web.delete(address).status_code} == {404}


@pytest.mark.parametrize(
    "url", ["http://10.0.0.1/", "http://169.254.169.254/latest/", "http://0x7f000001.1/", "http://[::1]/", "mailto:x@y"]
)
def test_addresses_inside_are_refused(web: httpx.Client, url: str) -> None:
    before = web.get("/api/jobs").json()["items"]
    for path, body, field in (
        ("/api/webhooks", {"url": url}, "url"),
        ("/api/queue-job", {**ORDER, "webhook_url": url}, "webhook_url"),
    ):
        answer = web.post(path, json=body)
        assert (answer.status_code, answer.json()["error"]["field"]) == (422, field)
    assert web.get("/api/jobs").json()["items"] == before


def test_a_redirect_to_an_address_inside_is_refused_and_in_the_log(web: httpx.Client) -> None:
    with receiving() as inside, receiving([307, 307, 307, 307, 410], location=inside.url) as receiver:
        webhook = made(web, receiver.url)
        web.post(f"/api/webhooks/{webhook['id']}/test").raise_for_status()
        delivery = ended(web, webhook=webhook["id"])
        log = web.get(f"/api/webhooks/deliveries/{delivery['id']}").json()["log"]
        assert inside.received == []
        assert "Redirects are not followed" in log[0]["error"]
        assert not web.get(f"/api/webhooks/{webhook['id']}").json()["active"], "410 Gone switches it off"
        web.delete(f"/api/webhooks/{webhook['id']}").raise_for_status()


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("?limit=0", 422),
        ("?limit=x", 422),
        ("?cursor=x", 422),
        ("?webhook=x", 422),
        ("?job=%00", 422),
        ("?status=x", 422),
    ],
)
def test_bad_questions_about_deliveries_are_answered(web: httpx.Client, query: str, status: int) -> None:
    assert web.get(f"/api/webhooks/deliveries{query}").status_code == status


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"url": ""},
        {"url": NOWHERE, "events": []},
        {"url": NOWHERE, "events": ["x"]},
        {"url": NOWHERE, "secret": "x"},
    ],
)
def test_bad_webhooks_are_refused(web: httpx.Client, body: dict[str, Any]) -> None:
    assert web.post("/api/webhooks", json=body).status_code == 422


def test_what_there_is_not_is_not_found(web: httpx.Client) -> None:
    assert web.get(f"/api/webhooks/{UNKNOWN}").status_code == 404
    assert web.get(f"/api/webhooks/deliveries/{UNKNOWN}").status_code == 404
    assert web.post(f"/api/webhooks/deliveries/{UNKNOWN}/redeliver").status_code == 404


def test_the_page_works_without_accounts_too(web: httpx.Client) -> None:
    shown = web.get("/account/webhooks")
    assert (shown.status_code, "Sign out" in shown.text) == (200, False)
    refused = web.post("/account/webhooks", data={"url": "http://10.0.0.1/", "events": "job.failed"})
    assert (refused.status_code, "http://10.0.0.1/" in refused.text) == (422, True)
    assert "not in the public internet" in refused.text
    nothing = web.post("/account/webhooks", data={"url": NOWHERE})
    assert (nothing.status_code, "Choose one or more" in nothing.text) == (422, True)

    added = web.post("/account/webhooks", data={"url": NOWHERE, "description": "<b>", "events": "job.failed"})
    secret = re.search(r'<code class="secret">(whsec_[^<]+)</code>', added.text)
    assert secret is not None
    assert "<b>" not in added.text
    (webhook,) = (one for one in web.get("/api/webhooks").json()["items"] if one["description"] == "<b>")
    assert web.get("/account/webhooks").text.count(secret[1]) == 0
    web.delete(f"/api/webhooks/{webhook['id']}").raise_for_status()
