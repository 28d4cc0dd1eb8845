"""Hosts, origins, bodies and answer headers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from studio.settings import Settings
from studio.web.errors import LastResort
from studio.web.security import MAX_JSON_BYTES, AnswerHeaders, BodyRules, BrowserPolicy, DoorGuard, is_loopback_name

LOCAL = BrowserPolicy()
PUBLIC = BrowserPolicy(
    loopback_only=False, public_url="https://studio.example", allowed_origins=("https://friend.example:8443",)
)


ANYWHERE = BrowserPolicy(loopback_only=False)


async def echo(request: Request) -> Response:
    """Does what Gradio's file route does with a range: the answer repeats the request's headers."""
    body = await request.body()
    return Response(body, headers={**dict(request.headers), "content-length": str(len(body)), "x-own": "1"})


async def fail(_request: Request) -> Response:
    raise RuntimeError("secret detail")


def guarded(policy: BrowserPolicy) -> Starlette:
    methods = ["GET", "POST", "PATCH", "DELETE"]
    app = Starlette(routes=[Route("/fail", fail), Route("/{path:path}", echo, methods=methods)])
    app.add_middleware(LastResort)
    app.add_middleware(BodyRules)
    app.add_middleware(DoorGuard, policy=policy)
    app.add_middleware(AnswerHeaders, policy=policy)
    return app


def client_of(policy: BrowserPolicy, base_url: str = "http://127.0.0.1:7860") -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(guarded(policy)), base_url=base_url)


@pytest.mark.parametrize("host", ["127.0.0.1:7860", "localhost", "[::1]:7860", "127.0.0.2", "studio.localhost:80"])
async def test_local_mode_answers_under_its_own_names(host: str) -> None:
    async with client_of(LOCAL) as client:
        assert (await client.get("/api/jobs", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example:7860", "127.0.0.1.evil.example", "10.0.0.3", "localhost.evil.example", "", "["]
)
async def test_local_mode_refuses_other_names(host: str) -> None:
    async with client_of(LOCAL) as client:
        answer = await client.get("/api/jobs", headers={"Host": host})
    assert answer.status_code in (403, 422)
    assert set(answer.json()["error"]) == {"code", "message"}


async def test_the_public_address_is_a_name_of_ones_own() -> None:
    policy = BrowserPolicy(public_url="https://studio.example")
    async with client_of(policy) as client:
        assert (await client.get("/api/jobs", headers={"Host": "studio.example"})).status_code == 200
        assert (await client.get("/api/jobs", headers={"Host": "other.example"})).status_code == 403


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("studio.example", 200),
        ("STUDIO.example:443", 200),
        ("friend.example:8443", 200),
        ("10.1.2.3:7860", 200),
        ("studio:7860", 200),
        ("localhost:7860", 200),
        ("evil.example", 403),
        ("studio.example.evil.example", 403),
        ("", 403),
    ],
)
async def test_a_forged_host_is_refused_and_logged_once_the_public_address_is_known(
    host: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with client_of(PUBLIC) as client:
        assert (await client.get("/api/jobs", headers={"Host": host})).status_code == status
        assert (await client.get("/healthz", headers={"Host": host})).status_code == 200
    assert ("Refused a request for '/api/jobs'" in caplog.text) == (status == 403)


async def test_an_evil_origin_is_logged_without_new_lines(caplog: pytest.LogCaptureFixture) -> None:
    async with client_of(LOCAL) as client:
        headers = {"Origin": "https://evil.example/" + "x" * 500}
        assert (await client.post("/api/x%0AWARNING forged", headers=headers)).status_code == 403
    (line,) = [record.getMessage() for record in caplog.records if record.name == "studio.web.security"]
    assert "https://evil.example/" in line
    assert "\n" not in line
    assert len(line) < 400


@pytest.mark.parametrize(
    ("policy", "host", "origin", "status"),
    [
        (LOCAL, "127.0.0.1:7860", None, 200),
        (LOCAL, "127.0.0.1:7860", "http://127.0.0.1:7860", 200),
        (LOCAL, "127.0.0.1:7860", "http://127.0.0.1:9999", 403),
        (LOCAL, "127.0.0.1:7860", "https://evil.example", 403),
        (LOCAL, "127.0.0.1:7860", "null", 403),
        (PUBLIC, "10.1.2.3:7860", "https://studio.example", 200),
        (PUBLIC, "10.1.2.3:7860", "https://friend.example:8443", 200),
        (PUBLIC, "10.1.2.3:7860", "https://friend.example", 403),
        (PUBLIC, "10.1.2.3:7860", "https://studio.example.evil.example", 403),
        (ANYWHERE, "proxied.example", "https://proxied.example", 200),
    ],
)
async def test_changes_need_an_origin_of_ones_own(
    policy: BrowserPolicy, host: str, origin: str | None, status: int
) -> None:
    headers = {"Host": host} | ({} if origin is None else {"Origin": origin})
    async with client_of(policy) as client:
        for method in ("POST", "PATCH", "DELETE"):
            assert (await client.request(method, "/api/x", headers=headers)).status_code == status
        assert (await client.post("/gradio_api/queue/join", headers=headers)).status_code == status
        assert (await client.get("/api/x", headers=headers)).status_code == 200


async def test_only_json_comes_in() -> None:
    async with client_of(LOCAL) as client:
        assert (await client.post("/api/x", json={"a": 1})).status_code == 200
        assert (await client.post("/api/x", data={"a": "1"})).status_code == 415
        assert (await client.post("/api/x", content=b"{}")).status_code == 415
        assert (await client.post("/api/x")).status_code == 200
        assert (await client.post("/api/uploads", json={})).status_code == 415
        assert (await client.post("/gradio_api/upload", data={"a": "1"})).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=https://evil.example/cat.png",
        "/gradio_api/file=http:%2F%2Fevil.example/cat.png",
        "/gradio_api/file/https://evil.example/cat.png",
        "/gradio_api/proxy=https://evil.example/",
    ],
)
async def test_no_page_of_another_host_is_shown_under_the_studios_address(path: str) -> None:
    async with client_of(LOCAL) as client:
        assert (await client.get(path)).status_code == 403
        assert (await client.get("/gradio_api/file=C:/cat.png?url=https://evil.example/")).status_code == 200


async def test_large_bodies_are_refused_with_and_without_a_length() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(MAX_JSON_BYTES // 1024 + 1):
            yield b" " * 1024

    async with client_of(LOCAL) as client:
        json = {"Content-Type": "application/json"}
        assert (await client.post("/api/x", content=b" " * (MAX_JSON_BYTES + 1), headers=json)).status_code == 413
        assert (await client.post("/api/x", content=b" " * MAX_JSON_BYTES, headers=json)).status_code == 200
        assert (await client.post("/api/x", content=chunks(), headers=json)).status_code == 413


async def test_answers_do_not_repeat_the_requests_headers() -> None:
    secrets = {
        "Cookie": "session=secret",
        "Authorization": "Bearer secret",
        "Range": "bytes=0-9",
        "X-Api-Key": "secret",
    }
    async with client_of(LOCAL) as client:
        answer = await client.get("/gradio_api/file=x", headers=secrets)
    assert "secret" not in str(answer.headers)
    assert answer.headers["x-own"] == "1"
    assert not {"cookie", "authorization", "range", "x-api-key", "host", "user-agent", "accept"} & set(answer.headers)


async def test_every_answer_has_the_security_headers() -> None:
    async with client_of(LOCAL) as client:
        for answer in (
            await client.get("/x"),
            await client.get("/x", headers={"Host": "evil"}),
            await client.get("/fail"),
        ):
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "same-origin"
            assert answer.headers["permissions-policy"].startswith("camera=()")
            assert answer.headers["cross-origin-opener-policy"] == "same-origin"
            policy = answer.headers["content-security-policy"].split("; ")
            assert policy[0] == "default-src 'none'"
            assert policy[-1] == "frame-ancestors 'self'"
            assert not [rule for rule in policy if rule.startswith("script-src")]
            assert "strict-transport-security" not in answer.headers


async def test_https_stays_https() -> None:
    async with client_of(PUBLIC, "https://studio.example") as client:
        answer = await client.get("/x")
    assert answer.headers["strict-transport-security"].startswith("max-age=")


async def test_a_space_may_be_framed_by_its_host() -> None:
    policy = BrowserPolicy.from_settings(Settings(SPACE_ID="someone/studio"))
    assert not policy.loopback_only
    async with client_of(policy) as client:
        framing = (await client.get("/x")).headers["content-security-policy"]
    assert framing.endswith("; frame-ancestors 'self' https://huggingface.co https://*.hf.space")


async def test_a_space_answers_under_its_own_names_and_no_other() -> None:
    settings = Settings(SPACE_ID="someone/studio", SPACE_HOST="someone-studio.hf.space,studio.example.org")
    policy = BrowserPolicy.from_settings(settings)
    assert (policy.public_url, policy.is_https) == ("https://someone-studio.hf.space", True)
    for host in ("someone-studio.hf.space", "studio.example.org", "10.0.0.7:7860"):
        assert policy.accepts_host(host)
        assert policy.accepts_origin(f"https://{host}", host)
    assert not policy.accepts_host("evil.hf.space")
    assert not policy.accepts_origin("https://huggingface.co", "someone-studio.hf.space")


async def test_what_nobody_foresaw_names_an_incident(caplog: pytest.LogCaptureFixture) -> None:
    async with client_of(LOCAL) as client:
        answer = await client.get("/fail")
    assert answer.status_code == 500
    error = answer.json()["error"]
    assert error["code"] == "internal"
    assert "secret detail" not in answer.text
    incident = error["message"].rstrip(".").rsplit(" ", 1)[1]
    assert incident in caplog.text
    assert "secret detail" in caplog.text


def test_loopback_names() -> None:
    assert is_loopback_name("::1")
    assert not is_loopback_name("::ffff:8.8.8.8")
    assert not is_loopback_name("notlocalhost")
