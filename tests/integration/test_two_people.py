"""Two people on one server: whatever door Ben tries, he can neither read nor change nor even detect what is Ann's."""

from __future__ import annotations

import http.client
import json
import re
import secrets
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from mcp.shared.exceptions import MCPError

from tests.integration.assistants import ACCEPT, CALL, assistant, error_of
from tests.integration.people import PASSWORD
from tests.integration.remote_worker import SECRET
from tests.integration.small_studio import ServedStudio
from tests.integration.two_people import (
    SECRET_WORD,
    TwoPeople,
    finished,
    job_events,
    neutral,
    order,
    picture,
    two_people,
)
from tests.integration.walked_routes import EXCUSED, STEPS, WALKED_ELSEWHERE, Kind, Step, routes_of
from tests.live import client_of
from tests.postgres import DATABASES, database_of_kind
from tests.telling import TOLD

VALUES = ["a red boat", "sdxl_image_fast", "", None, None, None, None, -1, 1, None, None, None, None]

ENDPOINTS: dict[str, dict[str, Any] | None] = {
    "/generate": {"prompt": "a boat", "image": "{asset}"},
    "/submit_job": {"prompt": "a boat", "image": "{upload}"},
    "/get_job": {"job_id": "{job}"},
    "/cancel_job": {"job_id": "{running}"},
    "/retry_job": {"job_id": "{job}"},
    "/list_jobs": None,
    "/list_assets": None,
    "/get_asset": {"asset_id": "{asset}"},
    "/delete_asset": {"asset_id": "{asset}"},
    "/job_types": None,
    "/enhance_prompt": None,
}
"""Every public endpoint of the Python client, with a thing of Ann's where it takes one."""


@pytest.fixture(scope="module", params=DATABASES)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoPeople]:
    """Ann and Ben at one running studio, on either kind of database."""
    folder = tmp_path_factory.mktemp("pair")
    with (
        pytest.MonkeyPatch.context() as patch,
        database_of_kind(request.param, folder, request) as url,
    ):
        patch.setenv("GRADIO_TEMP_DIR", str(folder / "gradio"))
        with (
            ServedStudio(folder, database_url=url, mode="accounts", worker_secret=SECRET).serving() as served,
            two_people(served) as pair,
        ):
            yield pair


@pytest.fixture(scope="module")
def whole(pair: TwoPeople) -> dict[str, Any]:
    """All of Ann's before the walk, and after each of its steps."""
    return pair.whole_of_ann()


@pytest.fixture
def bens_client(pair: TwoPeople, tmp_path: Path) -> Iterator[Client]:
    """Ben by the Python client."""
    client = client_of(pair.served.url, auth=("ben@example.org", PASSWORD), download_files=tmp_path)
    yield client
    client.close()


def name_of(step: Step) -> str:
    return f"{step.method} {step.address}"


def test_every_route_is_walked_or_excused(pair: TwoPeople, record_property: Any) -> None:
    routes = set(routes_of(pair.served.studio.app))
    walked = {step.route for step in STEPS} | set(WALKED_ELSEWHERE)
    assert routes - walked - set(EXCUSED) == set(), "New routes belong into tests/integration/walked_routes.py."
    assert not walked & set(EXCUSED)
    assert set(WALKED_ELSEWHERE.values()) <= set(globals())
    assert len(routes) > 150
    tried = f"{len(routes & walked)} of {len(routes)} routes tried with {3 * len(STEPS)} requests, the others excused"
    record_property(TOLD, f"two-person walk: {tried}")


def test_the_inventory_holds_no_route_that_there_is_not(pair: TwoPeople) -> None:
    routes = set(routes_of(pair.served.studio.app))
    elsewhere = ("/gradio_api/mcp", "/gradio_api/run-history", "/gradio_api/profiling", "/openapi.json")
    known = {step.route for step in STEPS if step.route[1] not in elsewhere} | set(WALKED_ELSEWHERE) | set(EXCUSED)
    assert known - routes == set()


@pytest.mark.parametrize("step", STEPS, ids=name_of)
def test_the_walk(pair: TwoPeople, whole: dict[str, Any], step: Step) -> None:
    status, text = pair.ask(pair.ben, step, pair.anns | pair.bens)
    nobodys, nobodys_text = pair.ask(pair.nobody, step, pair.anns | pair.bens)

    shown = neutral(text, pair.anns) if step.kind is Kind.THING else text
    for mark in pair.marks:
        assert mark not in shown
        assert step.kind is Kind.THING or mark not in nobodys_text
    assert pair.whole_of_ann() == whole

    if step.kind is Kind.OPEN:
        assert (status, nobodys) == (200, 200)
        assert text == nobodys_text
        return
    assert nobodys == 401 or (nobodys == 303 and nobodys_text.startswith("/login")), nobodys_text
    if step.kind is Kind.THING:
        unknown = pair.never_was()
        assert (status, shown) == _neutral(*pair.ask(pair.ben, step, unknown), unknown)
        assert status == 404 or (status == 200 and step.method == "GET")
    elif step.kind is Kind.OWN:
        assert status < 300, text
    else:
        assert status == {Kind.ADMIN: 403, Kind.CLOSED: 404}[step.kind], text


def _neutral(status: int, text: str, things: dict[str, str]) -> tuple[int, str]:
    return status, neutral(text, things)


def test_a_walk_that_is_anns_own_finds_everything(pair: TwoPeople) -> None:
    """The other side: what the walk is refused is there."""
    for step in STEPS:
        if step.kind is Kind.THING and step.method == "GET" and "queue/data" not in step.address:
            address = step.address.replace("{own_asset}", "{asset}")
            if "/call/" in address:
                continue  # a stream that goes on for as long as the slow job runs
            mine = Step(route=step.route, kind=step.kind, address=address, headers=step.headers)
            status, _ = pair.ask(pair.ann, mine, pair.anns)
            assert status in (200, 204, 206), address


def test_the_list_of_endpoints_is_the_apps_own(bens_client: Client) -> None:
    info = bens_client.view_api(return_format="dict", print_info=False)
    assert set(info["named_endpoints"]) == set(ENDPOINTS)
    assert info["unnamed_endpoints"] == {}


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_no_endpoint_of_the_python_client_reaches_another_person(
    pair: TwoPeople, bens_client: Client, endpoint: str
) -> None:
    before = pair.whole_of_ann()
    arguments = ENDPOINTS[endpoint]
    if arguments is None:
        needed = {"prompt": "a boat", "kind": "image"} if endpoint == "/enhance_prompt" else {}
        shown = str(bens_client.predict(**needed, api_name=endpoint))
        assert not [mark for mark in pair.marks if mark in shown]
    else:
        outcomes = []
        for things in (pair.anns, pair.never_was()):
            asked = {name: value.format(**things) for name, value in arguments.items()}
            with pytest.raises(AppError, match="not_found") as refused:
                bens_client.predict(**asked, api_name=endpoint)
            outcomes.append(neutral(str(refused.value.message), things))
        assert outcomes[0] == outcomes[1]
    assert pair.whole_of_ann() == before


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_the_door_for_assistants(pair: TwoPeople, endpoint: str) -> None:
    """The tools, which are named like the endpoints of the Python client."""
    before = pair.whole_of_ann()
    made = pair.ben.post("/api/keys", json={"name": "assistant", "scopes": ["read", "generate"]}).raise_for_status()
    arguments = ENDPOINTS[endpoint]
    async with assistant(pair.served, made.json()["token"]) as bens:
        if arguments is None:
            needed = {"prompt": "a boat", "kind": "image"} if endpoint == "/enhance_prompt" else {}
            answer = await bens.call_tool(endpoint[1:], needed)
            assert not answer.is_error
            assert not [mark for mark in pair.marks if mark in answer.model_dump_json()]
        else:
            outcomes = []
            for things in (pair.anns, pair.never_was()):
                asked = {name: value.format(**things) for name, value in arguments.items()}
                outcomes.append(neutral(error_of(await bens.call_tool(endpoint[1:], asked)), things))
            assert outcomes[0].startswith("not_found: ")
            assert outcomes[0] == outcomes[1]
        with pytest.raises(MCPError, match="not_found"):
            await bens.read_resource(f"asset://{pair.anns['asset']}")
    pair.ben.delete(f"/api/keys/{made.json()['id']}").raise_for_status()
    assert pair.nobody.post("/mcp", json=CALL, headers=ACCEPT).status_code == 401
    assert pair.whole_of_ann() == before


@pytest.mark.parametrize("lane", ["sdxl", "qwen"])
def test_the_lanes_are_not_for_calling(pair: TwoPeople, lane: str) -> None:
    functions = pair.ben.get("/config").json()["dependencies"]
    number = next(one["id"] for one in functions if one["api_name"] == f"run_{lane}")
    called = {"data": ["guess"], "fn_index": number, "session_hash": secrets.token_hex(6)}
    assert pair.ben.post("/gradio_api/run/predict", json=called).status_code == 404
    pair.ben.post("/gradio_api/queue/join", json=called).raise_for_status()
    told = pair.ben.get(f"/gradio_api/queue/data?session_hash={called['session_hash']}").text
    assert "This endpoint is not for calling." in told


def test_the_event_stream(pair: TwoPeople) -> None:
    assert pair.nobody.get("/api/events").status_code == 401
    with pair.ben.stream("GET", "/api/events") as stream:
        lines = stream.iter_lines()
        next(lines)
        anns = order(pair.ann, f"a second {SECRET_WORD}")
        finished(pair.ann, anns)
        mine = order(pair.ben, "a second boat")
        seen = []
        for job in job_events(lines):
            seen.append(job)
            if job["id"] == mine and job["status"] == "completed":
                break
    assert {job["id"] for job in seen} >= {mine}
    assert anns not in str(seen)
    assert SECRET_WORD not in str(seen)
    with pair.ben.stream("GET", "/api/events?after=0") as stream:
        first = next(job_events(stream.iter_lines()))
    assert SECRET_WORD not in str(first)


def test_uploads_on_either_way(pair: TwoPeople) -> None:
    content = picture("olive")
    assert pair.nobody.post("/api/uploads", files={"file": ("a.png", content)}).status_code == 401
    assert pair.nobody.post("/gradio_api/upload", files={"files": ("a.png", content)}).status_code == 401
    paths, ids = [], []
    for client in (pair.ann, pair.ben):
        paths += client.post("/gradio_api/upload", files={"files": ("a.png", content)}).raise_for_status().json()
        ids.append(client.post("/api/uploads", files={"file": ("a.png", content)}).raise_for_status().json()["id"])
    # The same content from two people tells neither that the other has it.
    assert len(set(paths)) == len(set(ids)) == 2
    assert [pair.ben.get(f"/gradio_api/file={path}").status_code for path in paths] == [404, 200]
    assert [pair.ben.get(f"/media/{one}").status_code for one in ids] == [404, 200]
    assert pair.ben.get(f"/gradio_api/file={paths[1]}").content == content
    given = list(VALUES)
    for path, status in zip(paths, (404, 200), strict=True):
        given[9] = {"path": path, "meta": {"_type": "gradio.FileData"}}
        assert pair.ben.post("/gradio_api/call/submit_job", json={"data": given}).status_code == status


def test_the_end_of_a_strangers_heartbeat_ends_nothing(pair: TwoPeople) -> None:
    session = secrets.token_hex(6)
    config = pair.ann.get("/config").json()
    generate = next(one["id"] for one in config["dependencies"] if one["api_name"] == "generate")
    joined = {"data": [f"the last {SECRET_WORD}", *VALUES[1:]], "fn_index": generate, "session_hash": session}
    assert pair.nobody.get(f"/gradio_api/heartbeat/{session}").status_code == 401
    with pair.ann.stream("GET", f"/gradio_api/heartbeat/{session}") as anns:
        assert next(anns.iter_lines()) == "data: ALIVE"
        event = pair.ann.post("/gradio_api/queue/join", json=joined).raise_for_status().json()["event_id"]
        with pair.ben.stream("GET", f"/gradio_api/heartbeat/{session}") as bens:
            assert next(bens.iter_lines()) == "data: ALIVE"
        assert pair.ben.post("/gradio_api/cancel", json={**joined, "event_id": event}).status_code == 404
        with pair.ann.stream("GET", f"/gradio_api/queue/data?session_hash={session}") as stream:
            messages = [json.loads(line[6:]) for line in stream.iter_lines() if line.startswith("data: ")]
    done = next(message for message in messages if message["msg"] == "process_completed")
    assert done["success"]
    assert done["output"]["data"][0]["status"] == "completed"


def test_two_sessions_of_one_name_are_two_sessions(pair: TwoPeople) -> None:
    """Even where both pick the same session hash, each reads their own events alone."""
    session = secrets.token_hex(6)
    events = {}
    for name, client in (("ann", pair.ann), ("ben", pair.ben)):
        body = {"data": [], "session_hash": session}
        answer = client.post("/gradio_api/call/list_assets", json={**body, "data": [None] * 5 + [50, None]})
        events[name] = answer.raise_for_status().json()["event_id"]
    bens = pair.ben.get(f"/gradio_api/queue/data?session_hash={session}").text
    anns = pair.ann.get(f"/gradio_api/queue/data?session_hash={session}").text
    assert SECRET_WORD in anns
    assert SECRET_WORD not in bens
    assert events["ann"] not in bens
    assert events["ben"] not in anns


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file={upload_path}",
        "/gradio_api/file={upload_folder}/../../{anns_folder}/a.png",
        "/gradio_api/file={upload_folder}/%2e%2e/%2e%2e/{anns_folder}/a.png",
        "/gradio_api/file=../../../../../../etc/passwd",
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/file={database}",
        "//gradio_api/file={upload_path}",
        "/gradio_api//file={upload_path}",
        "/GRADIO_API/file={upload_path}",
        "/gradio_api/file%3D{upload_path}",
    ],
)
def test_no_spelling_of_a_path_leads_out_of_ones_own_folder(pair: TwoPeople, path: str) -> None:
    (own,) = pair.ben.post("/gradio_api/upload", files={"files": ("b.png", picture("red"))}).raise_for_status().json()
    things = {
        "upload_path": pair.anns["upload_path"],
        "upload_folder": str(Path(own).parent),
        "anns_folder": str(Path(pair.anns["upload_path"]).parent.relative_to(Path(own).parent.parent.parent)),
        "database": str(pair.served.folder / "studio.db"),
    }
    cookie = "; ".join(f"{name}={value}" for name, value in pair.ben.cookies.items())
    # The plain library's client sends the path as it is.
    with closing(http.client.HTTPConnection("127.0.0.1", pair.served.port, timeout=30)) as connection:
        connection.request("GET", path.format(**things), headers={"Cookie": cookie})
        answer = connection.getresponse()
        assert answer.status == 404
        assert not re.search(rb"root:|SQLite|PNG", answer.read())
