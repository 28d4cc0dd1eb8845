"""The door for assistants, by the official SDK's own client."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from anyio import to_thread
from mcp.shared.exceptions import MCPError
from mcp.types import ResourceLink
from starlette.requests import Request

from studio.people import Person
from studio.web.mcp.answers import Shelf
from studio.web.mcp.calls import Call
from studio.web.mcp.job_tools import JobDesk
from tests.integration.assistants import ACCEPT, CALL, assistant, body_of, error_of, pictures_of
from tests.integration.people import HERE, PASSWORD
from tests.integration.small_studio import ServedStudio, SmallStudio

TOOLS = {
    "generate",
    "submit_job",
    "get_job",
    "cancel_job",
    "retry_job",
    "list_jobs",
    "list_assets",
    "get_asset",
    "delete_asset",
    "enhance_prompt",
    "job_types",
}


@pytest.fixture(scope="module")
def accounts_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedStudio]:
    with ServedStudio(tmp_path_factory.mktemp("assistants"), mode="accounts").serving() as served:
        yield served


@pytest.fixture(scope="module")
def local_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedStudio]:
    with ServedStudio(tmp_path_factory.mktemp("local")).serving() as served:
        yield served


@pytest.fixture
def member(accounts_studio: ServedStudio) -> Person:
    """A new member of the studio with accounts."""
    assert accounts_studio.studio.accounts is not None
    accounts = accounts_studio.studio.accounts.people.accounts
    return accounts.sign_up(f"{uuid4().hex[:12]}@example.org", PASSWORD, "Ana", HERE)


def key_of(served: ServedStudio, person: Person, *scopes: str) -> tuple[str, str]:
    """A new key of the person, and its id."""
    assert served.studio.accounts is not None
    token, key = served.studio.accounts.people.api_keys.create(person, "assistant", scopes, 1, HERE)
    return token, key["id"]


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_an_assistant_makes_a_picture_and_reads_it_back_as_the_keys_owner(
    accounts_studio: ServedStudio, member: Person, mode: str
) -> None:
    key, _ = key_of(accounts_studio, member, "read", "generate")
    heard: list[tuple[float, str | None]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        assert total == 1.0
        heard.append((progress, message))

    async with assistant(accounts_studio, key, mode) as client:
        assert {tool.name for tool in (await client.list_tools()).tools} == TOOLS
        order = {"prompt": "a red boat", "count": 2, "seed": 7}
        made = await client.call_tool("generate", order, progress_callback=hear)
        body = body_of(made)
        assert (body["job"]["status"], body["job"]["user_id"]) == ("completed", member.id)
        assert [asset["id"] for asset in body["assets"]] == body["job"]["assets"]
        assert len(pictures_of(made)) == 2
        assert [share for share, _ in heard] == sorted({share for share, _ in heard})
        assert heard[-1][0] == 1.0

        asset = body["assets"][1]
        looked = await client.call_tool("get_asset", {"asset_id": asset["id"]})
        assert body_of(looked)["seed"] == 8
        (link,) = [one for one in looked.content if isinstance(one, ResourceLink)]
        (content,) = (await client.read_resource(link.uri)).contents
        original = base64.b64decode(content.blob)
        assert (content.mime_type, len(original)) == ("image/png", asset["bytes"])
        listed = await client.call_tool("list_assets", {"search": "boat"})
        assert [one["id"] for one in body_of(listed)["items"]] == body["job"]["assets"][::-1]

    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {key}"}) as web:
        assert (await web.get(asset["url"])).content == original


async def test_every_other_tool(local_studio: ServedStudio) -> None:
    """Without a key, as the one person of a local studio."""
    async with assistant(local_studio) as client:
        types = body_of(await client.call_tool("job_types"))["items"]
        assert "video_fast" in {kind["type"] for kind in types}
        slow = body_of(await client.call_tool("submit_job", {"prompt": "a slow boat", "count": 1}))
        job = {"job_id": slow["id"]}
        assert body_of(await client.call_tool("get_job", job))["status"] in ("pending", "processing")
        assert body_of(await client.call_tool("cancel_job", job))["cancel_requested"]
        listed = body_of(await client.call_tool("list_jobs", {"limit": 1}))
        assert [one["id"] for one in listed["items"]] == [slow["id"]]
        better = body_of(await client.call_tool("enhance_prompt", {"prompt": "a boat", "kind": "image"}))
        assert better["enhanced_prompt"].startswith("a boat in soft light")

        film = await client.call_tool("generate", {"prompt": "a boat", "job_type": "video_fast"})
        (poster,) = pictures_of(film)
        (asset,) = body_of(film)["assets"]
        assert poster.size[0] <= 768
        (link,) = [one for one in film.content if isinstance(one, ResourceLink)]
        assert (link.uri, link.mime_type) == (f"{local_studio.url}/media/{asset['id']}", "video/mp4")
        with pytest.raises(MCPError, match="invalid_input: A film is not read here"):
            await client.read_resource(f"asset://{asset['id']}")

        assert body_of(await client.call_tool("delete_asset", {"asset_id": asset["id"]}))["trashed_at"]
        assert body_of(await client.call_tool("list_assets"))["items"] == []
        assert error_of(await client.call_tool("retry_job", {"job_id": asset["job_id"]})).startswith("conflict: ")


async def test_a_failed_job_is_an_answer(local_studio: ServedStudio) -> None:
    async with assistant(local_studio) as client:
        made = await client.call_tool("generate", {"prompt": "impossible", "count": 1})
        assert body_of(made)["job"]["error"]["message"] == "This cannot be painted."
        assert body_of(made)["assets"] == []


@pytest.mark.parametrize(
    ("tool", "arguments", "sentence"),
    [
        ("generate", {"prompt": "a boat", "count": 7}, "invalid_input: At most 6 at once"),
        ("generate", {"prompt": "a forbiddenword"}, "policy_refused: "),
        ("generate", {"prompt": "a\0boat"}, "invalid_input: "),
        ("generate", {}, "invalid_input: prompt: Field required."),
        ("generate", {"prompt": "a boat", "width": "wide"}, "invalid_input: width: "),
        ("generate", {"prompt": "a boat", "colour": "red"}, "invalid_input: generate has no argument 'colour'."),
        ("submit_job", {"prompt": "a boat", "image": str(uuid4())}, "not_found: There is no such image."),
        ("get_job", {"job_id": "../../etc/passwd"}, "not_found: There is no such job."),
        ("get_job", {"job_id": "a\0b"}, "invalid_input: job_id contains a NUL character."),
        ("get_asset", {"asset_id": str(uuid4())}, "not_found: There is no such asset."),
        ("list_assets", {"limit": 0}, "invalid_input: "),
        ("list_jobs", {"cursor": "next"}, "invalid_input: "),
        ("format_disk", {}, "not_found: "),
    ],
)
async def test_errors_are_a_code_and_a_sentence(
    local_studio: ServedStudio, tool: str, arguments: dict[str, Any], sentence: str
) -> None:
    async with assistant(local_studio) as client:
        said = error_of(await client.call_tool(tool, arguments))
        assert said.startswith(sentence)
        assert "\n" not in said


async def test_what_nobody_foresaw_names_an_incident(
    local_studio: ServedStudio, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> None:
        raise RuntimeError("the secret word")

    monkeypatch.setattr(type(local_studio.studio.catalog), "as_json", lambda _: broken())
    async with assistant(local_studio) as client:
        said = error_of(await client.call_tool("job_types"))
    assert said.startswith("internal: Something went wrong in the studio. The log has it as incident ")
    assert said.rstrip(".").rsplit(" ", 1)[1] in caplog.text
    assert "the secret word" in caplog.text


async def test_tools_say_what_they_do(local_studio: ServedStudio) -> None:
    async with assistant(local_studio) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    for tool in tools.values():
        assert tool.description
        assert tool.output_schema
        assert all(one["description"] for one in tool.input_schema["properties"].values()), tool.name
        assert tool.annotations is not None
    changing = TOOLS - {"get_job", "list_jobs", "list_assets", "get_asset", "job_types"}
    assert {name for name, tool in tools.items() if not tool.annotations.read_only_hint} == changing
    assert {name for name, tool in tools.items() if tool.annotations.destructive_hint} == {"cancel_job", "delete_asset"}


async def test_a_revoked_key_stops_at_the_next_call(accounts_studio: ServedStudio, member: Person) -> None:
    key, key_id = key_of(accounts_studio, member, "read", "generate")
    assert accounts_studio.studio.accounts is not None
    async with assistant(accounts_studio, key) as client:
        assert body_of(await client.call_tool("list_jobs"))["items"] == []
        accounts_studio.studio.accounts.people.api_keys.revoke(member, key_id, HERE)
        with pytest.raises(MCPError, match="Server returned an error response"):
            await client.call_tool("list_jobs")
    async with httpx.AsyncClient(headers={**ACCEPT, "Authorization": f"Bearer {key}"}) as web:
        assert (await web.post(f"{accounts_studio.url}/mcp", json=CALL)).status_code == 401


async def test_a_key_that_is_revoked_while_its_job_runs_hears_no_more(
    accounts_studio: ServedStudio, member: Person
) -> None:
    key, key_id = key_of(accounts_studio, member, "read", "generate")
    assert accounts_studio.studio.accounts is not None
    keys = accounts_studio.studio.accounts.people.api_keys

    async def revoke(_progress: float, _total: float | None, message: str | None) -> None:
        if message == "denoising":
            await to_thread.run_sync(keys.revoke, member, key_id, HERE)

    async with assistant(accounts_studio, key) as client:
        made = await client.call_tool("generate", {"prompt": "a slow boat", "count": 1}, progress_callback=revoke)
    assert error_of(made).startswith("unauthorized: This API key is unknown, expired or revoked.")
    jobs = accounts_studio.studio.services.jobs
    (job,) = jobs.list(member)["items"]
    assert jobs.cancel(member, job["id"])["cancel_requested"]


async def test_a_wait_ends_with_the_job_as_it_stands(tmp_path: Path) -> None:
    studio = SmallStudio(tmp_path)
    person = studio.people[""]
    request = Request({"type": "http", "headers": []})
    desk = JobDesk(
        services=studio.services,
        stopping=studio.stopping,
        shelf=Shelf(studio.services.library, studio.storage),
        max_wait_s=0.5,
    )
    call = Call(person=person, request=request, studio="http://127.0.0.1:7860")

    async def tell(_share: float, _total: float, _words: str) -> None:
        """Nobody listens."""

    async with studio.app.router.lifespan_context(studio.app):
        for end in ("its own", "the studio's"):
            job = await to_thread.run_sync(desk.submit, call, {"prompt": "a slow boat", "count": 1})
            if end == "the studio's":
                studio.stopping.begin()
            left = await desk.follow(call, job, tell)
            assert (left["id"], left["status"] in ("pending", "processing")) == (job["id"], True)
            await to_thread.run_sync(studio.services.jobs.cancel, person, job["id"])


async def test_a_key_that_may_only_read_changes_nothing(accounts_studio: ServedStudio, member: Person) -> None:
    key, _ = key_of(accounts_studio, member, "read")
    async with assistant(accounts_studio, key) as client:
        for tool, arguments in (
            ("generate", {"prompt": "a boat"}),
            ("submit_job", {"prompt": "a boat"}),
            ("enhance_prompt", {"prompt": "a boat"}),
            ("cancel_job", {"job_id": str(uuid4())}),
            ("delete_asset", {"asset_id": str(uuid4())}),
        ):
            assert error_of(await client.call_tool(tool, arguments)) == (
                'forbidden: This API key may not do that: it lacks the scope "generate".'
            )
        assert body_of(await client.call_tool("list_jobs"))["items"] == []


@pytest.mark.parametrize("path", ["/mcp", "/mcp/"])
def test_only_a_key_opens_the_door(accounts_studio: ServedStudio, member: Person, path: str) -> None:
    key, _ = key_of(accounts_studio, member, "read")
    with httpx.Client(base_url=accounts_studio.url, headers=ACCEPT) as browser:
        browser.post("/login", data={"username": member.email, "password": PASSWORD})
        assert browser.get("/api/me").status_code == 200  # the cookie holds
        for headers in ({}, {"Authorization": "Bearer ovz_unknown"}, {"Authorization": f"Basic {key}"}):
            answer = browser.post(path, json=CALL, headers=headers)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert answer.json()["error"]["code"] == "unauthorized"
        assert browser.post(path, json=CALL, headers={"Authorization": f"Bearer {key}"}).status_code == 200


def test_the_rules_of_the_house_hold_at_this_door(local_studio: ServedStudio) -> None:
    with httpx.Client(base_url=local_studio.url, headers=ACCEPT) as web:
        for headers, status in (
            ({"Host": "evil.example"}, 403),
            ({"Origin": "https://evil.example"}, 403),
            ({"Content-Type": "text/plain"}, 415),
        ):
            assert web.post("/mcp", json=CALL, headers=headers).status_code == status
        assert web.post("/mcp", content=b" " * 300_000, headers={"Content-Type": "application/json"}).status_code == 413
        for method in ("GET", "DELETE", "PUT"):
            answer = web.request(method, "/mcp")
            assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
        assert web.get("/mcp/else").status_code == 404
