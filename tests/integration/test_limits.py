"""Somebody at a limit is told so at every door, with a moment to come back at; others are served as before."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from studio.database.limit_tables import GpuUsage
from tests.integration.people import PASSWORD, make_admin, sign_in
from tests.integration.small_studio import ServedStudio
from tests.integration.two_people import finished, order, picture, sign_up


@dataclass(frozen=True, kw_only=True)
class Three:
    """An admin and two members at one running studio, whose GPU costs 3.6 an hour."""

    served: ServedStudio
    root: httpx.Client
    ann: httpx.Client
    ben: httpx.Client

    def limit(self, who: httpx.Client, **limits: Any) -> dict[str, Any]:
        """Set limits of one person, and let them hold at once."""
        user_id = who.get("/api/me").json()["id"]
        answer = self.root.patch(f"/api/admin/allowances/{user_id}", json=limits)
        found: dict[str, Any] = answer.raise_for_status().json()
        return found


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Three]:
    with (
        ServedStudio(tmp_path_factory.mktemp("limits"), mode="accounts").serving() as served,
        ExitStack() as stack,
    ):
        make_admin(served.studio)
        root, ann, ben = (
            stack.enter_context(httpx.Client(base_url=served.url, timeout=60)) for _ in ("root", "ann", "ben")
        )
        sign_in(root, "admin@example.org")
        sign_up(ann, "ann@example.org", "Ann")
        sign_up(ben, "ben@example.org", "Ben")
        yield Three(served=served, root=root, ann=ann, ben=ben)


@pytest.fixture
def ann_is_full(studio: Three) -> Iterator[str]:
    """Ann has a job that runs on and on and one that waits, as many as she may. The id of the first."""
    studio.limit(studio.ann, pending_jobs=1)
    running = order(studio.ann, "a slow boat")
    while studio.ann.get(f"/api/jobs/{running}").json()["status"] != "processing":
        time.sleep(0.02)
    waiting = order(studio.ann, "a red boat")
    yield running
    studio.limit(studio.ann, pending_jobs=None)
    for job in (waiting, running):
        studio.ann.post(f"/api/jobs/{job}/cancel")


def test_a_full_queue_is_429_with_retry_after_and_others_are_served(studio: Three, ann_is_full: str) -> None:
    refused = studio.ann.post("/api/queue-job", json={"prompt": "one more boat"})

    assert refused.status_code == 429
    error = refused.json()["error"]
    assert error["code"] == "quota_exceeded"
    assert error["message"].startswith("You have 1 job waiting, as many as you may. The next place is free in ")
    assert int(refused.headers["retry-after"]) >= 1
    film = finished(studio.ben, order(studio.ben, "a boat turns", job_type="video_fast", count=None))
    assert film["usage"]["gpu_s"] > 0


def test_the_python_client_gets_the_same_sentence(studio: Three, ann_is_full: str) -> None:
    client = Client(studio.served.url, verbose=False, auth=("ann@example.org", PASSWORD))
    try:
        for endpoint in ("/submit_job", "/generate"):
            with pytest.raises(
                AppError, match=r"quota_exceeded: You have 1 job waiting, as many as you may\. The next"
            ):
                client.predict("one more boat", api_name=endpoint)
    finally:
        client.close()


def test_a_rate_says_when_the_next_order_may_come(studio: Three) -> None:
    studio.limit(studio.ann, orders_per_minute=1)
    finished(studio.ann, order(studio.ann, "a boat"))

    refused = studio.ann.post("/api/queue-job", json={"prompt": "a boat"})

    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limited")
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    for path, body in (("/api/enhance-prompt", {"prompt": "a boat", "kind": "image"}), ("/api/uploads", None)):
        sent: dict[str, Any] = {"json": body} if body else {"files": {"file": ("a.png", picture("teal"))}}
        assert [studio.ann.post(path, **sent).status_code // 100 for _ in range(2)] == [2, 4], path
    finished(studio.ben, order(studio.ben, "a boat"))
    studio.limit(studio.ann, orders_per_minute=None)


def test_no_gpu_time_left_is_429_until_the_month_ends(studio: Three) -> None:
    studio.limit(studio.ben, gpu_minutes=1)
    now = time.time()
    facts = {"job_type": "enhance_prompt", "lane": "qwen", "attempt": 1, "outcome": "completed"}
    ben = studio.ben.get("/api/me").json()["id"]
    with studio.served.studio.database.as_system() as session:
        session.add(GpuUsage(id="a minute", user_id=ben, started_at=now - 60, ended_at=now, seconds=60.0, **facts))

    for path, body in (("/api/queue-job", {"prompt": "a boat"}), ("/api/enhance-prompt", {"prompt": "a boat"})):
        refused = studio.ben.post(path, json=body)
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "quota_exceeded")
        assert "They begin anew on 1 " in refused.json()["error"]["message"]
        assert int(refused.headers["retry-after"]) > 0
    studio.limit(studio.ben, gpu_minutes=None)
    with studio.served.studio.database.as_system() as session:
        session.delete(session.get_one(GpuUsage, "a minute"))


def test_a_held_back_job_starts_when_another_of_its_person_ends(studio: Three) -> None:
    studio.limit(studio.ann, running_jobs=1)
    running = order(studio.ann, "a slow boat")
    while studio.ann.get(f"/api/jobs/{running}").json()["status"] != "processing":
        time.sleep(0.02)
    film = order(studio.ann, "a boat turns", job_type="video_fast", count=None)
    theirs = finished(studio.ben, order(studio.ben, "a boat turns", job_type="video_fast", count=None))
    assert studio.ann.get(f"/api/jobs/{film}").json()["status"] == "pending"
    studio.ann.post(f"/api/jobs/{running}/cancel")

    assert finished(studio.ann, film)["started_at"] > theirs["finished_at"]
    studio.limit(studio.ann, running_jobs=None)


def test_usage_adds_up_and_costs_what_the_settings_say(studio: Three) -> None:
    finished(studio.ben, order(studio.ben, "a boat"))
    studio.ben.post("/api/enhance-prompt", json={"prompt": "a boat", "kind": "image"}).raise_for_status()

    usage = studio.ben.get("/api/usage").raise_for_status().json()
    jobs = studio.ben.get("/api/jobs?limit=200").json()["items"]

    by_type = {one["job_type"]: one for one in usage["by_type"]}
    assert by_type["enhance_prompt"]["runs"] >= 1
    of_jobs = sum(one["gpu_s"] for name, one in by_type.items() if name != "enhance_prompt")
    assert of_jobs == pytest.approx(sum(job["usage"]["gpu_s"] for job in jobs), abs=0.01)
    assert usage["gpu_s"] == pytest.approx(sum(one["gpu_s"] for one in by_type.values()), abs=0.01)
    assert usage["cost"] == pytest.approx(usage["gpu_s"] / 1000, abs=0.001)
    assert usage["used"]["gpu_minutes"] == pytest.approx(usage["gpu_s"] / 60, abs=0.01)
    assert usage["limits"]["pending_jobs"] == 100
    assert studio.ben.get("/api/usage?month=2020-01").json()["by_type"] == []
    assert studio.ben.get("/api/usage?month=later").status_code == 422

    everybody = studio.root.get("/api/admin/usage").raise_for_status().json()["items"]
    bens = next(one for one in everybody if one["email"] == "ben@example.org")
    assert (bens["gpu_s"], bens["currency"]) == (usage["gpu_s"], "USD")
    assert bens["storage_bytes"] == studio.ben.get("/api/storage").json()["bytes"]
    table = studio.root.get("/api/admin/usage?format=csv")
    assert table.headers["content-type"].startswith("text/csv")
    lines = list(csv.DictReader(io.StringIO(table.text)))
    assert {line["email"] for line in lines} == {"admin@example.org", "ann@example.org", "ben@example.org"}


def test_an_admin_reads_and_sets_limits(studio: Three) -> None:
    set_for_ann = studio.limit(studio.ann, storage_mb=3, pending_jobs="unlimited")
    assert set_for_ann["granted"] == {"storage_mb": 3, "pending_jobs": None}
    assert studio.ann.get("/api/storage").json()["limit_bytes"] == 3 * 2**20
    items = studio.root.get("/api/admin/allowances").json()["items"]
    assert [item["subject"] for item in items][:3] == ["member", "guest", "admin"]
    assert items[3] == set_for_ann
    for body in ({"pending_jobs": -1}, {"pending_jobs": "many"}, {"jobs": 1}, {"running_jobs": 0}):
        assert studio.root.patch("/api/admin/allowances/member", json=body).status_code == 422
    assert studio.root.patch("/api/admin/allowances/nobody", json={"pending_jobs": 1}).status_code == 404
    assert studio.limit(studio.ann, storage_mb=None, pending_jobs=None)["granted"] == {}
    event = studio.root.get("/api/admin/audit?limit=1").json()["items"][0]
    assert (event["action"], event["details"]["name"]) == ("limits_changed", "ann@example.org")
