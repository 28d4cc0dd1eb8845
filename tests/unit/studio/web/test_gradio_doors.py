"""The doors before Gradio, around an app that says what reached it."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import Receive, Scope, Send

from studio.errors import SignInNeeded
from studio.media.pictures import MAX_UPLOAD_BYTES
from studio.people import Person
from studio.services.container import RequestLike
from studio.web.client_uploads import ClientUploads
from studio.web.gradio_doors import KEPT_EVENTS, MAX_EVENT_BYTES, PERSON_KEY, GradioDoors

PAGE = "<html><script>window.gradio_config = {};</script>" + "x" * 2000 + "</html>"


class Inside:
    """Stands where Gradio does. Numbers its events. Its answers show the file at `shown`, where there is one."""

    def __init__(self, shown: Path | None = None) -> None:
        self.events = 0
        self.shown = shown

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (await self._answer(Request(scope, receive)))(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        if request.url.path == "/" and "accept-encoding" not in request.headers:
            return HTMLResponse(PAGE)
        body = await request.body()
        self.events += 1
        told = {
            "event_id": f"event{self.events}",
            "person": request.scope[PERSON_KEY].id if PERSON_KEY in request.scope else None,
            "path": request.url.path,
            "query": request.url.query,
            "length": int(request.headers.get("content-length", "0")) == len(body),
            "body": json.loads(body) if body else None,
            "data": [{"background": {"path": str(self.shown)}}] if self.shown else [],
        }
        return JSONResponse(told, headers={"Cache-Control": "public, max-age=3600"})


def person_for(request: RequestLike) -> Person:
    name = request.headers.get("x-person")
    if name is None:
        raise SignInNeeded("Sign in first.")
    return Person(id=name, role="member", display_name=name)


@pytest.fixture
def doors(tmp_path: Path) -> GradioDoors:
    return GradioDoors(Inside(), person_for=person_for, uploads=ClientUploads(tmp_path), framed_by="'self'")


@pytest.fixture
def ann(doors: GradioDoors) -> httpx.AsyncClient:
    """Ann's client; with the headers BEN it is his."""
    headers = {"x-person": "ann"}
    return httpx.AsyncClient(transport=httpx.ASGITransport(doors), base_url="http://localhost", headers=headers)


BEN = {"x-person": "ben"}


async def test_nobody_passes_but_to_what_everybody_has(ann: httpx.AsyncClient) -> None:
    del ann.headers["x-person"]
    for path in ("/", "/config", "/gradio_api/info", "/gradio_api/mcp/", "/gradio_api/nowhere", "/gradio_api/upload"):
        assert (await ann.get(path)).status_code == 401
        assert (await ann.post(path, json={})).status_code == 401
    for path in ("/assets/index.js", "/static/x.css", "/theme.css", "/favicon.ico", "/manifest.json"):
        assert (await ann.get(path)).status_code == 200
        assert (await ann.post(path, json={})).status_code == 401


async def test_what_the_studio_does_not_use_is_shut(ann: httpx.AsyncClient) -> None:
    for method, path in (
        ("GET", "/gradio_api/mcp/sse"),
        ("POST", "/gradio_api/stream/event1"),
        ("GET", "/gradio_api/queue/status"),
        ("POST", "/gradio_api/run/generate"),
        ("POST", "/gradio_api/call/run_sdxl"),
        ("POST", "/gradio_api/component_server"),
        ("GET", "/gradio_api/cancel"),
        ("DELETE", "/config"),
        ("POST", "/"),
        ("GET", "/gradio_api/proxy=x"),
        ("GET", "//config"),
    ):
        answer = await ann.request(method, f"http://localhost{path}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found"), path


async def test_a_session_is_named_after_its_person(ann: httpx.AsyncClient) -> None:
    seen: list[Any] = []
    for headers in ({}, BEN):
        for path in ("queue/join", "call/generate", "run/predict"):
            body = {"data": [], "session_hash": "s"}
            told = (await ann.post(f"/gradio_api/{path}", json=body, headers=headers)).json()
            assert told["length"]
            seen.append((told["person"], told["body"]["session_hash"]))
        told = (await ann.get("/gradio_api/queue/data?session_hash=s&session_hash=s", headers=headers)).json()
        seen.append((told["person"], told["query"].removeprefix("session_hash=")))
        told = (await ann.get("/gradio_api/heartbeat/s", headers=headers)).json()
        seen.append((told["person"], told["path"].rpartition("/")[2]))
    assert seen == [("ann", "ann.s")] * 5 + [("ben", "ben.s")] * 5
    without = (await ann.post("/gradio_api/call/generate", json={"data": []})).json()["body"]["session_hash"]
    assert without.startswith("ann.")
    assert len(without) > 20


async def test_an_event_is_its_persons_alone(ann: httpx.AsyncClient) -> None:
    event = (await ann.post("/gradio_api/call/generate", json={"data": []})).json()["event_id"]
    end = {"event_id": event, "session_hash": "s", "fn_index": 1}
    for headers, status in ((BEN, 404), ({}, 200)):
        assert (await ann.get(f"/gradio_api/call/generate/{event}", headers=headers)).status_code == status
        assert (await ann.post("/gradio_api/cancel", json=end, headers=headers)).status_code == status
        assert (await ann.post("/gradio_api/reset", json=end, headers=headers)).status_code == status
    foreign = await ann.post("/gradio_api/cancel", json=end, headers=BEN)
    unknown = await ann.post("/gradio_api/cancel", json={**end, "event_id": "none"}, headers=BEN)
    assert (foreign.status_code, foreign.text) == (unknown.status_code, unknown.text)
    for strange in (None, 7, ["x"], {}):
        assert (await ann.post("/gradio_api/cancel", json={**end, "event_id": strange})).status_code == 404


async def test_old_events_are_forgotten(ann: httpx.AsyncClient, doors: GradioDoors) -> None:
    doors._owners.update({f"old{number}": "ann" for number in range(KEPT_EVENTS)})
    await ann.post("/gradio_api/call/generate", json={"data": []})
    assert len(doors._owners) == KEPT_EVENTS
    assert "old0" not in doors._owners


async def test_files_must_be_ones_own(ann: httpx.AsyncClient) -> None:
    (path,) = (await ann.post("/gradio_api/upload", files={"files": ("a.png", b"data")})).json()
    named: list[Any] = [path, {"path": path}, [{"x": {"path": path, "meta": {"_type": "gradio.FileData"}}}]]
    for value in named:
        for route in ("queue/join", "call/generate", "call/v2/generate", "run/predict"):
            body = {"data": [value], "image": value}
            statuses = [
                (await ann.post(f"/gradio_api/{route}", json=body, headers=headers)).status_code
                for headers in ({}, BEN)
            ]
            assert statuses == ([200, 200] if isinstance(value, str) else [200, 404])
    for foreign in ("/etc/passwd", "https://evil.example/cat.png", "", "../x"):
        answer = await ann.post("/gradio_api/call/generate", json={"data": [{"path": foreign}]})
        assert answer.status_code == 404


async def test_an_upload_is_read_by_its_person_alone_and_never_shown_as_a_page(ann: httpx.AsyncClient) -> None:
    page = b"<script>alert(1)</script>"
    (path,) = (await ann.post("/gradio_api/upload", files={"files": ("a.html", page)})).json()
    answer = await ann.get(f"/gradio_api/file={path}")
    assert (answer.content, answer.headers["content-type"]) == (page, "application/octet-stream")
    assert answer.headers["content-disposition"].startswith("attachment")
    assert (await ann.get(f"/gradio_api/file={path}", headers=BEN)).status_code == 404
    ranged = await ann.get(f"/gradio_api/file={path}", headers={"Range": "bytes=0-3", "Cookie": "studio=secret"})
    assert (ranged.status_code, ranged.content) == (206, page[:4])
    assert "cookie" not in ranged.headers


async def test_a_picture_that_gradio_made_is_read_by_whom_it_was_made_for(tmp_path: Path) -> None:
    made = tmp_path / ("a" * 64) / "image.webp"
    made.parent.mkdir()
    made.write_bytes(b"picture")
    doors = GradioDoors(Inside(made), person_for=person_for, uploads=ClientUploads(tmp_path), framed_by="'self'")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(doors), base_url="http://localhost") as client:
        addresses = (f"/gradio_api/file={made}", "/gradio_api/run/predict")
        ann = {"x-person": "ann"}

        async def statuses(headers: dict[str, str]) -> list[int]:
            named = {"data": [{"path": str(made)}]}
            return [
                (await client.get(addresses[0], headers=headers)).status_code,
                (await client.post("/gradio_api/call/generate", json=named, headers=headers)).status_code,
            ]

        assert await statuses(ann) == [404, 404]
        answer = await client.post(addresses[1], json={"data": []}, headers=ann)
        assert answer.headers["cache-control"] == "private, no-store"
        assert await statuses(ann) == [200, 200]
        assert await statuses(BEN) == [404, 404]


async def test_uploads_have_limits(ann: httpx.AsyncClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
        for _ in range(MAX_UPLOAD_BYTES // 2**20 + 2):
            yield bytes(2**20)

    upload = "/gradio_api/upload"
    form = {"Content-Type": "multipart/form-data; boundary=x"}
    for answer, status in (
        (await ann.post(upload, files={"files": ("a.png", bytes(MAX_UPLOAD_BYTES + 2**20))}), 413),
        (await ann.post(upload, content=endless(), headers=form), 413),
        (await ann.post(upload, files=[("files", ("a.png", b"x"))] * 9), 422),
        (await ann.post(upload, files={"other": ("a.png", b"x")}), 422),
        (await ann.post(upload, data={"files": "text"}), 415),
        (await ann.post(upload, json={}), 415),
        (await ann.post(upload, content=b"--y", headers={"Content-Type": "multipart/form-data"}), 422),
    ):
        assert answer.status_code == status, answer.text
        assert set(answer.json()["error"]) <= {"code", "message", "field"}


async def test_bodies_of_events_are_json_objects_of_a_bounded_size(ann: httpx.AsyncClient) -> None:
    address = "/gradio_api/queue/join"
    kind = {"Content-Type": "application/json"}
    assert (await ann.post(address, content=b"{", headers=kind)).status_code == 422
    assert (await ann.post(address, content=b"[" * 100_000, headers=kind)).status_code == 422
    assert (await ann.post(address, content=b"[1]", headers=kind)).status_code == 422
    assert (await ann.post(address, data={"a": "1"})).status_code == 415
    large = json.dumps({"data": ["x" * MAX_EVENT_BYTES]}).encode()
    assert (await ann.post(address, content=large, headers=kind)).status_code == 413


async def test_no_query_reaches_the_page_the_config_or_the_list_of_endpoints(ann: httpx.AsyncClient) -> None:
    for path in ("/config?deep_link=x", "/gradio_api/info?all_endpoints=True"):
        assert (await ann.get(path)).json()["query"] == ""


async def test_the_page_says_what_it_runs(ann: httpx.AsyncClient) -> None:
    for encoding in ("gzip, br", "identity"):
        async with ann.stream("GET", "/", headers={"Accept-Encoding": encoding}) as answer:
            raw = b"".join([piece async for piece in answer.aiter_raw()])
        assert (gzip.decompress(raw) if "gzip" in encoding else raw).decode() == PAGE
        assert answer.headers["content-length"] == str(len(raw))
        assert "'sha256-" in answer.headers["content-security-policy"]


async def test_no_cache_on_the_way_keeps_a_persons_answers(ann: httpx.AsyncClient) -> None:
    assert "private" in (await ann.get("/")).headers["cache-control"]
    assert (await ann.get("/config")).headers["cache-control"] == "private, no-store"
    assert (await ann.get("/assets/x.js")).headers["cache-control"] == "public, max-age=3600"


async def test_a_forged_websocket_is_closed(doors: GradioDoors) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    await doors({"type": "websocket", "path": "/gradio_api/queue/join", "headers": []}, receive, send)
    assert [message["type"] for message in sent] == ["websocket.close"]
