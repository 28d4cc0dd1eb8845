"""The REST API over real services, a real worker and a real server."""

from __future__ import annotations

import io
import json
import struct
import threading
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from studio.errors import RateLimited
from studio.media.pictures import MAX_UPLOAD_BYTES
from studio.web.dependencies import acting_person
from tests.integration.small_studio import WHO, ServedStudio, SmallStudio
from tests.small_catalog import small_catalog

ENDED = {"completed", "failed", "cancelled"}
OF_ACCOUNTS = ("/api/keys/", "/api/sessions/", "/api/admin/")
"""What this studio does not have; `test_accounts` and `test_two_people` walk it."""


def picture(width: int = 64, height: int = 64, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(file, kind)
    return file.getvalue()


def huge_png(width: int, height: int) -> bytes:
    """A PNG of many pixels in few bytes."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes((width + 1) * height), 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def order(web: httpx.Client, **fields: Any) -> dict[str, Any]:
    answer = web.post("/api/queue-job", json={"prompt": "a red boat", "count": 1, **fields})
    assert answer.status_code == 201, answer.text
    job: dict[str, Any] = answer.json()
    return job


def finished(web: httpx.Client, job_id: str) -> dict[str, Any]:
    job: dict[str, Any] = web.get(f"/api/jobs/{job_id}/wait", params={"timeout_s": 60}).json()
    assert job["status"] in ENDED, job
    return job


def error_of(answer: httpx.Response) -> dict[str, str]:
    body = answer.json()
    assert set(body) == {"error"}
    assert {"code", "message"} <= set(body["error"]) <= {"code", "message", "field"}
    error: dict[str, str] = body["error"]
    return error


# What cannot be done is said clearly, and nothing is queued.


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"job_type": "sdxl_image_slow"}, "job_type"),
        ({"prompt": "x" * 10_000}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": "   "}, "prompt"),
        ({"prompt": 7}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"prompt": "a\0b"}, None),
        ({"negative_prompt": "a\0b"}, None),
        ({"width": 0}, "width"),
        ({"width": 100_000}, "width"),
        ({"height": 65}, "height"),
        ({"height": 10**30}, "height"),
        ({"width": "wide"}, "width"),
        ({"steps": -1}, "steps"),
        ({"steps": 0}, "steps"),
        ({"steps": 2.5}, "steps"),
        ({"guidance": -0.1}, "guidance"),
        ({"guidance": 1e9}, "guidance"),
        ({"seed": -2}, "seed"),
        ({"seed": 2**32}, "seed"),
        ({"count": 0}, "count"),
        ({"count": 7}, "count"),
        ({"scheduler": "magic"}, "scheduler"),
        ({"strength": 0}, "strength"),
        ({"strength": 1.5}, "strength"),
        ({"mask": "some-id"}, "mask"),
        ({"colour": "red"}, "colour"),
        ({"user_id": "somebody"}, "user_id"),
    ],
)
async def test_bad_orders(shut_door: httpx.AsyncClient, fields: dict[str, Any], field: str | None) -> None:
    answer = await shut_door.post("/api/queue-job", json={"prompt": "a red boat", **fields})
    assert answer.status_code == 422
    error = error_of(answer)
    assert error["code"] == "invalid_input"
    assert error.get("field") == field
    assert (await shut_door.get("/api/jobs")).json() == {"items": [], "next": None}


@pytest.mark.parametrize(
    ("body", "media_type", "status"),
    [
        (b"{", "application/json", 400),
        (b"", "application/json", 422),
        (b"[]", "application/json", 422),
        (b'"a red boat"', "application/json", 422),
        (b'{"prompt": "\\ud800"}', "application/json", 422),
        (b'{"prompt": "a", "guidance": NaN}', "application/json", 422),
        (b"\xff\xfe", "application/json", 400),
        (b'{"prompt": "a"}', "text/plain", 415),
        (b"prompt=a", "application/x-www-form-urlencoded", 415),
        (b" " * 300_000, "application/json", 413),
        (b"[" * 100_000, "application/json", 400),
    ],
)
async def test_bodies_that_are_no_order(
    shut_door: httpx.AsyncClient, body: bytes, media_type: str, status: int
) -> None:
    answer = await shut_door.post("/api/queue-job", content=body, headers={"Content-Type": media_type})
    assert answer.status_code == status, answer.text
    assert error_of(answer)["code"] == "invalid_input"
    assert (await shut_door.get("/api/jobs")).json()["items"] == []


async def test_the_content_policy_answers_in_the_same_form(shut_door: httpx.AsyncClient) -> None:
    answer = await shut_door.post("/api/queue-job", json={"prompt": "a forbiddenword"})
    assert (answer.status_code, error_of(answer)["code"]) == (422, "policy_refused")
    assert (await shut_door.get("/api/jobs")).json()["items"] == []


@pytest.mark.parametrize(
    ("file", "statuses"),
    [
        (b"just some text", {415}),
        (b"", {415, 422}),
        (picture()[:60], {415}),
        (picture(kind="GIF"), {415}),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", {415}),
        (huge_png(10_000, 6_000), {413}),
        (picture(4, 4), {413, 415, 422}),
        (bytes(26 * 1024 * 1024), {413}),
    ],
    ids=["text", "empty", "truncated", "gif", "svg", "60 megapixels", "4 pixels", "26 MB"],
)
async def test_files_that_are_no_picture(shut_door: httpx.AsyncClient, file: bytes, statuses: set[int]) -> None:
    answer = await shut_door.post("/api/uploads", files={"file": ("cat.png", file, "image/png")})
    assert answer.status_code in statuses, answer.text
    assert error_of(answer)["code"] == "invalid_input"


async def test_an_endless_upload_is_cut_off(shut_door: httpx.AsyncClient) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
        while sent < 2 * MAX_UPLOAD_BYTES:
            sent += 2**20
            yield bytes(2**20)

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = await shut_door.post("/api/uploads", content=endless(), headers=headers)
    assert (answer.status_code, error_of(answer)["code"]) == (413, "invalid_input")
    assert sent < 1.5 * MAX_UPLOAD_BYTES


@pytest.mark.parametrize("field", ["image", "mask"])
async def test_a_picture_that_does_not_exist(door: httpx.AsyncClient, field: str) -> None:
    upload = (await door.post("/api/uploads", files={"file": ("a.png", picture())})).json()
    answer = await door.post("/api/queue-job", json={"prompt": "a", "image": upload["id"], field: "no-such-id"})
    assert (answer.status_code, error_of(answer)["code"]) == (404, "not_found")
    assert (await door.get("/api/jobs")).json()["items"] == []


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/api", 404, "not_found"),
        ("/api/nothing", 404, "not_found"),
        ("/media/", 404, "not_found"),
        ("/media/a/b/c", 404, "not_found"),
        ("/api/queue-job", 405, "method_not_allowed"),
        ("/api/jobs/x/cancel", 405, "method_not_allowed"),
        ("/api/jobs/no-such-job", 404, "not_found"),
        ("/api/jobs/%00", 422, "invalid_input"),
        ("/api/assets?search=a%00b", 422, "invalid_input"),
        ("/api/jobs/x/wait?timeout_s=61", 422, "invalid_input"),
        ("/api/jobs/x/wait?timeout_s=nan", 422, "invalid_input"),
        ("/api/jobs?limit=0", 422, "invalid_input"),
        ("/api/jobs?limit=many", 422, "invalid_input"),
        ("/api/jobs?cursor=nonsense", 422, "invalid_input"),
        ("/api/jobs?status=lost", 422, "invalid_input"),
        ("/api/assets?limit=1000", 422, "invalid_input"),
        ("/api/assets?kind=sound", 422, "invalid_input"),
        ("/api/estimate", 422, "invalid_input"),
        ("/api/estimate?job_type=x", 422, "invalid_input"),
        ("/api/estimate?job_type=sdxl_image_fast&count=7", 422, "invalid_input"),
        ("/api/estimate?job_type=sdxl_image_fast&steps=many", 422, "invalid_input"),
        ("/api/estimate?job_type=sdxl_image_fast&width=65", 422, "invalid_input"),
        ("/api/events?after=yesterday", 422, "invalid_input"),
        ("/media/no-such-asset/thumbnail?size=10000", 422, "invalid_input"),
    ],
)
async def test_bad_addresses(shut_door: httpx.AsyncClient, path: str, status: int, code: str) -> None:
    answer = await shut_door.get(path)
    assert answer.status_code == status, answer.text
    assert error_of(answer)["code"] == code


async def test_405_names_the_methods(shut_door: httpx.AsyncClient) -> None:
    assert (await shut_door.put("/api/queue-job", json={})).headers["allow"] == "POST"


async def test_429_says_when_to_come_back(resting_studio: SmallStudio, door: httpx.AsyncClient) -> None:
    def too_often() -> None:
        raise RateLimited("Too many orders. Wait a moment.", retry_after_s=2.2)

    resting_studio.app.dependency_overrides[acting_person] = too_often
    answer = await door.get("/api/jobs")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "3")
    assert error_of(answer)["code"] == "rate_limited"


# Jobs.


def test_a_job_from_order_to_file(web: httpx.Client) -> None:
    job = finished(web, order(web, count=2, seed=7)["id"])
    assert (job["status"], job["error"], len(job["assets"])) == ("completed", None, 2)
    assert job["progress"]["fraction"] == 1.0

    asset = web.get(f"/api/assets/{job['assets'][0]}").json()
    assert (asset["width"], asset["height"], asset["seed"]) == (64, 64, 7)
    file = web.get(asset["url"])
    assert file.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(file.content)).size == (64, 64)
    assert file.headers["etag"] == f'"{asset["sha256"]}"'
    assert web.get(asset["url"], headers={"If-None-Match": file.headers["etag"]}).status_code == 304
    part = web.get(asset["url"], headers={"Range": "bytes=1-3"})
    assert (part.status_code, part.content) == (206, b"PNG")
    assert web.get(asset["url"], headers={"Range": "bytes=99999999-"}).status_code == 416
    assert web.head(asset["url"]).headers["content-length"] == str(asset["bytes"])
    assert web.get(asset["url"], params={"download": 1}).headers["content-disposition"].startswith("attachment; ")
    for size in (256, 768):
        thumbnail = web.get(asset["thumbnail_url"], params={"size": size})
        assert thumbnail.headers["content-type"] == "image/webp"
        assert Image.open(io.BytesIO(thumbnail.content)).format == "WEBP"
    assert web.get(f"/gradio_api/file=asset/{asset['id']}.png").content == file.content
    assert web.get(f"/gradio_api/file=asset/{asset['id']}.mp4").status_code == 404


def test_the_same_key_is_the_same_job(web: httpx.Client) -> None:
    key = {"Idempotency-Key": "order-1"}
    body = {"prompt": "a red boat", "count": 1}
    first, second = (web.post("/api/queue-job", json=body, headers=key) for _ in range(2))
    assert first.json()["id"] == second.json()["id"]
    assert web.post("/api/queue-job", json=body, headers={"Idempotency-Key": "x" * 256}).status_code == 422


def test_cancel_and_retry(web: httpx.Client) -> None:
    job = order(web, prompt="a slow boat")
    assert web.post(f"/api/jobs/{job['id']}/retry").status_code == 409
    assert web.post(f"/api/jobs/{job['id']}/cancel").json()["cancel_requested"]
    assert finished(web, job["id"])["status"] == "cancelled"
    assert web.post(f"/api/jobs/{job['id']}/retry").json()["status"] in ("pending", "processing")
    web.post(f"/api/jobs/{job['id']}/cancel")
    assert finished(web, job["id"])["status"] == "cancelled"


def test_a_failed_job_says_why(web: httpx.Client) -> None:
    job = finished(web, order(web, prompt="an impossible boat")["id"])
    assert (job["status"], job["assets"]) == ("failed", [])
    assert job["error"] == {"code": "invalid_input", "message": "This cannot be painted."}
    assert web.post(f"/api/jobs/{job['id']}/cancel").status_code == 409


def test_waiting_ends_at_its_time(web: httpx.Client) -> None:
    job = order(web, prompt="a slow boat")
    assert web.get(f"/api/jobs/{job['id']}/wait", params={"timeout_s": 0.2}).json()["status"] not in ENDED
    web.post(f"/api/jobs/{job['id']}/cancel")
    assert finished(web, job["id"])["status"] == "cancelled"


def test_lists_and_figures(web: httpx.Client) -> None:
    ids = [finished(web, order(web)["id"])["id"] for _ in range(3)]
    page = web.get("/api/jobs", params={"limit": 2, "status": "completed"}).json()
    assert [job["id"] for job in page["items"]] == ids[:0:-1]
    following = web.get("/api/jobs", params={"limit": 1, "cursor": page["next"]}).json()
    assert following["items"][0]["id"] == ids[0]
    assert web.get("/api/jobs/summary").json()["done_today"] >= 3
    work = {"job_type": "sdxl_image_high", "count": 1, "steps": 8, "width": 128, "height": 64}
    assert web.get("/api/estimate", params=work).json()["run_s"] == pytest.approx(2.0 / 6 * 4, abs=0.06)
    assert web.get("/api/estimate", params={"job_type": "sdxl_image_high"}).json()["run_s"] == 2.0
    assert [kind["type"] for kind in web.get("/api/job-types").json()] == list(small_catalog().types)


def test_the_library(web: httpx.Client) -> None:
    project = web.post("/api/projects", json={"name": "Boats"})
    assert project.status_code == 201
    asset_id = finished(web, order(web)["id"])["assets"][0]
    change = {"favourite": True, "rating": 4, "tags": ["sea"], "project_id": project.json()["id"]}
    changed = web.patch(f"/api/assets/{asset_id}", json=change).json()
    assert {name: changed[name] for name in change} == change
    assert [item["id"] for item in web.get("/api/assets", params={"favourite": True}).json()["items"]] == [asset_id]
    assert error_of(web.patch(f"/api/assets/{asset_id}", json={"rating": 6}))["field"] == "rating"
    assert error_of(web.patch(f"/api/assets/{asset_id}", json={"seed": 6}))["field"] == "seed"

    assert web.delete(f"/api/assets/{asset_id}").json()["trashed_at"] is not None
    assert [item["id"] for item in web.get("/api/assets", params={"trashed": True}).json()["items"]] == [asset_id]
    assert web.post(f"/api/assets/{asset_id}/restore").json()["trashed_at"] is None

    assert web.patch(f"/api/projects/{project.json()['id']}", json={"name": "Ships"}).json()["name"] == "Ships"
    assert "Ships" in [item["name"] for item in web.get("/api/projects").json()["items"]]
    assert web.delete(f"/api/projects/{project.json()['id']}").status_code == 204


def test_the_trash_is_emptied_for_good(served_studio: ServedStudio) -> None:
    served_studio.studio.add_person("tidy")
    with httpx.Client(base_url=served_studio.url, headers={WHO: "tidy"}, timeout=60) as tidy:
        first, second, kept = finished(tidy, order(tidy, count=3)["id"])["assets"]
        full = tidy.get("/api/storage").json()
        listed_bytes = sum(item["bytes"] for item in tidy.get("/api/assets").json()["items"])
        assert (full["bytes"], full["assets"]) == (listed_bytes, 3)
        assert full["limit_bytes"] > full["bytes"]

        refused = tidy.delete(f"/api/assets/{first}", params={"permanently": True})
        assert (refused.status_code, error_of(refused)["code"]) == (409, "conflict")
        for asset_id in (first, second):
            assert tidy.delete(f"/api/assets/{asset_id}").status_code == 200
        gone = tidy.delete(f"/api/assets/{first}", params={"permanently": True})
        assert (gone.status_code, gone.content) == (204, b"")
        assert tidy.get(f"/api/assets/{first}").status_code == 404
        assert tidy.get(f"/media/{first}").status_code == 404

        assert tidy.delete("/api/trash").json() == {"deleted": 1}
        assert tidy.delete("/api/trash").json() == {"deleted": 0}
        left = tidy.get("/api/storage").json()
        assert (left["assets"], 0 < left["bytes"] < full["bytes"]) == (1, True)
        assert tidy.get(f"/media/{kept}").status_code == 200


def test_a_job_without_a_preview_says_so_without_an_error(web: httpx.Client) -> None:
    job = finished(web, order(web)["id"])
    answer = web.get(f"/api/jobs/{job['id']}/preview")
    assert (answer.status_code, answer.content) == (204, b"")
    assert "204" in web.get("/api/openapi.json").json()["paths"]["/api/jobs/{job_id}/preview"]["get"]["responses"]


def test_a_picture_of_ones_own_as_reference(web: httpx.Client) -> None:
    uploads = [
        web.post("/api/uploads", files={"file": ("a.jpg", picture(80, 40, "JPEG"))}, data=data).json()
        for data in ({}, {"mask": "true"})
    ]
    assert (uploads[0]["width"], uploads[0]["height"]) == (80, 40)
    job = finished(web, order(web, image=uploads[0]["id"], mask=uploads[1]["id"], strength=0.5)["id"])
    assert job["status"] == "completed"
    again = finished(web, order(web, image=job["assets"][0])["id"])
    assert web.get(f"/api/assets/{again['assets'][0]}").json()["parent_id"] == job["assets"][0]


# Events.


@contextmanager
def events(web: httpx.Client, **headers: str) -> Iterator[Iterator[tuple[int, dict[str, Any]]]]:
    """The (id, job) of each event."""
    with web.stream(
        "GET", "/api/events", headers={name.replace("_", "-"): text for name, text in headers.items()}
    ) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")

        def read() -> Iterator[tuple[int, dict[str, Any]]]:
            event: dict[str, str] = {}
            for line in answer.iter_lines():
                if line:
                    name, _, value = line.partition(": ")
                    event[name] = value
                elif "data" in event:
                    assert event["event"] == "job"
                    yield int(event["id"]), json.loads(event["data"])
                    event = {}

        yield read()


def test_events_tell_of_ones_jobs_and_resume(web: httpx.Client) -> None:
    with events(web) as stream:
        job_id = order(web)["id"]
        seen = []
        for revision, job in stream:
            seen.append((revision, job["status"]))
            assert job["id"] == job_id
            if job["status"] in ENDED:
                break
    assert seen[-1][1] == "completed"
    assert [revision for revision, _ in seen] == sorted(revision for revision, _ in seen)
    with events(web, last_event_id=str(seen[0][0] - 1)) as stream:
        resumed = next(job for _, job in stream if job["id"] == job_id)
    assert resumed["status"] == "completed"


def test_events_of_others_stay_with_them(served_studio: ServedStudio, web: httpx.Client) -> None:
    served_studio.studio.add_person("carol")
    with httpx.Client(base_url=served_studio.url, headers={WHO: "carol"}, timeout=60) as carol, events(carol) as stream:
        finished(web, order(web)["id"])
        mine = order(carol)["id"]
        assert next(stream)[1]["id"] == mine


def test_an_open_stream_does_not_hold_up_the_end(tmp_path: Path) -> None:
    with ServedStudio(tmp_path, graceful_s=None).serving() as served:
        connected, read = threading.Event(), []

        def listen() -> None:
            with httpx.stream("GET", f"{served.url}/api/events", timeout=60) as answer:
                connected.set()
                read.extend(answer.iter_lines())

        listener = threading.Thread(target=listen)
        listener.start()
        assert connected.wait(30)
        served.stop()
        listener.join(30)
        assert not listener.is_alive()
        assert any(line.startswith(":") for line in read)


# Two people.


async def test_strangers_are_asked_to_sign_in(shut_door: httpx.AsyncClient) -> None:
    for path, operations in (await shut_door.get("/api/openapi.json")).json()["paths"].items():
        for method in set(operations) - {"parameters"}:
            if path not in ("/healthz", "/readyz"):
                answer = await shut_door.request(
                    method,
                    path.replace("{", "").replace("}", ""),
                    headers={WHO: "stranger"},
                    json={"prompt": "a", "name": "a"}
                    if method in ("post", "patch") and path != "/api/uploads"
                    else None,
                    files={"file": b"a"} if path == "/api/uploads" else None,
                )
                assert answer.status_code == 401, (method, path, answer.text)
                if method != "head":
                    assert error_of(answer)["code"] == "unauthorized"


def test_anothers_id_is_an_unknown_id_on_every_route(served_studio: ServedStudio, web: httpx.Client) -> None:
    served_studio.studio.add_person("bob")
    job = finished(web, order(web)["id"])
    project = web.post("/api/projects", json={"name": "Secret"}).json()["id"]
    webhook = web.post("/api/webhooks", json={"url": "http://127.0.0.1:1024/"}).json()["id"]
    ping = web.post(f"/api/webhooks/{webhook}/test").json()["id"]
    known = {"job_id": job["id"], "asset_id": job["assets"][0], "project_id": project}
    known |= {"webhook_id": webhook, "delivery_id": ping}
    changes = {"project_id": {"name": "a"}, "asset_id": {"rating": 1}, "webhook_id": {"active": False}}
    unknown = dict.fromkeys(known, "0193a1b2-0000-7000-8000-000000000000")
    paths = web.get("/api/openapi.json").json()["paths"]
    paths["/gradio_api/file=asset/{asset_id}.png"] = {"get": {}}
    walked = 0
    with httpx.Client(base_url=served_studio.url, headers={WHO: "bob"}) as bob:
        for path, operations in paths.items():
            for method in operations if "{" in path and not path.startswith(OF_ACCOUNTS) else ():
                change = next((change for name, change in changes.items() if name in path), None)
                body = {"json": change} if method == "patch" else {}
                theirs = bob.request(method, path.format(**known), **body)
                nobodys = bob.request(method, path.format(**unknown), **body)
                assert (theirs.status_code, theirs.content) == (404, nobodys.content), (method, path)
                assert nobodys.status_code == 404
                walked += 1
        assert walked >= 14
        for path in ("/api/jobs", "/api/assets", "/api/projects", "/api/webhooks", "/api/webhooks/deliveries"):
            assert bob.get(path).json()["items"] == []
        for field, reference in (("image", job["assets"][0]), ("project", project)):
            answers = [
                bob.post("/api/queue-job", json={"prompt": "a", field: given})
                for given in (reference, unknown["job_id"])
            ]
            assert [answer.status_code for answer in answers] == [404, 404]
            assert answers[0].content == answers[1].content
    assert web.get(f"/api/assets/{job['assets'][0]}").json()["rating"] is None
    assert web.get(f"/api/webhooks/{webhook}").json()["active"]
    web.delete(f"/api/webhooks/{webhook}").raise_for_status()


async def test_figures_are_for_admins(resting_studio: SmallStudio, door: httpx.AsyncClient) -> None:
    resting_studio.add_person("dave")
    for path in ("/metrics", "/api/system"):
        assert (await door.get(path, headers={WHO: "dave"})).status_code == 403
        assert (await door.get(path)).status_code == 200


# The studio itself.


async def test_health(resting_studio: SmallStudio, door: httpx.AsyncClient) -> None:
    assert (await door.get("/healthz")).text == "ok"
    assert (await door.get("/readyz")).json() == {"ready": True, "failing": []}
    resting_studio.stopping.begin()
    answer = await door.get("/readyz")
    assert (answer.status_code, answer.json()["failing"]) == (503, ["stopping"])


async def test_not_ready_without_storage(resting_studio: SmallStudio, door: httpx.AsyncClient, tmp_path: Path) -> None:
    (tmp_path / "media").rename(tmp_path / "elsewhere")
    (tmp_path / "media").write_text("a file where the folder should be")
    answer = await door.get("/readyz")
    assert (answer.status_code, answer.json()["failing"]) == (503, ["storage"])


async def test_metrics(door: httpx.AsyncClient) -> None:
    await door.post("/api/queue-job", json={"prompt": "a red boat"})
    lines = (await door.get("/metrics")).text.splitlines()
    assert 'studio_jobs{status="pending"} 1.0' in lines
    assert 'studio_jobs{status="failed"} 0.0' in lines
    assert 'studio_queue_length{lane="sdxl"} 1.0' in lines
    assert 'studio_worker_state{lane="sdxl",state="stopped",worker="0"} 1.0' in lines


async def test_the_system_view(shut_door: httpx.AsyncClient) -> None:
    view = (await shut_door.get("/api/system")).json()
    assert view["waiting"] == {"sdxl": 0, "wan": 0, "qwen": 0}
    workers = [(worker["lane"], worker["state"]) for worker in view["workers"]]
    assert workers == [("sdxl", "stopped"), ("wan", "stopped"), ("qwen", "stopped")]


async def test_documentation_comes_from_this_host_alone(door: httpx.AsyncClient) -> None:
    openapi = (await door.get("/api/openapi.json")).json()
    assert "JobAnswer" in openapi["components"]["schemas"]
    for operations in openapi["paths"].values():
        assert all(operation["responses"] for operation in operations.values())
    page = (await door.get("/api/docs")).text
    assert "/api/queue-job" in page
    assert "negative_prompt" in page
    assert "//" not in page.replace("http://127.0.0.1", "")


async def test_static_files_of_ours_and_gradios(shut_door: httpx.AsyncClient) -> None:
    own = await shut_door.get("/static/studio.css")
    assert (own.text, own.headers["cache-control"]) == ("body{}", "no-cache")
    assert (await shut_door.get("/static/img/logo.svg")).status_code == 200
    assert (await shut_door.get("/static/../studio.db")).status_code == 404
    assert (await shut_door.get("/")).status_code == 200


async def test_foreign_pages_get_no_permission(shut_door: httpx.AsyncClient) -> None:
    for path in ("/api/jobs", "/config", "/gradio_api/info"):
        answer = await shut_door.get(path, headers={"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in answer.headers
    join = await shut_door.post("/gradio_api/queue/join", json={}, headers={"Origin": "https://evil.example"})
    assert join.status_code == 403


async def test_gradios_range_answers_keep_secrets(door: httpx.AsyncClient) -> None:
    upload = await door.post("/gradio_api/upload", files={"files": ("a.txt", b"0123456789")})
    secret = {"Authorization": "Bearer secret", "Cookie": "session=secret", "Range": "bytes=0-3"}
    answer = await door.get(f"/gradio_api/file={upload.json()[0]}", headers=secret)
    assert (answer.status_code, answer.content) == (206, b"0123")
    assert "secret" not in str(answer.headers)
