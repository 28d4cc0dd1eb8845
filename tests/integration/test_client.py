"""The Python client, gradio_client, against a running studio."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from studio.ui.calls import FOLLOWERS
from tests.integration.small_studio import WHO, ServedStudio
from tests.live import client_of
from tests.small_catalog import small_catalog

ENDED = {"completed", "failed", "cancelled"}


@pytest.fixture
def client(served_studio: ServedStudio, tmp_path: Path) -> Iterator[Client]:
    client = client_of(served_studio.url, download_files=tmp_path / "downloads")
    yield client
    client.close()


@pytest.fixture
def cat(tmp_path: Path) -> Path:
    path = tmp_path / "cat.png"
    Image.new("RGB", (80, 40), "teal").save(path)
    return path


def test_generate_ends_with_the_job_and_local_files(client: Client) -> None:
    job, files = client.predict("a red boat", count=2, seed=7, api_name="/generate")
    assert (job["status"], job["config"]["seed"], len(job["assets"])) == ("completed", 7, 2)
    assert [Path(file).stem for file in files] == job["assets"]
    assert [Image.open(file).getpixel((0, 0)) for file in files] == [(7, 64, 128), (8, 64, 128)]


def test_generate_streams_the_job_meanwhile(client: Client) -> None:
    running = client.submit("a red boat", "sdxl_image_high", count=1, steps=30, api_name="/generate")
    states = list(running)
    fractions = [job["progress"]["fraction"] for job, _ in states]
    assert fractions == sorted(fractions)
    assert states[0][0]["status"] in ("pending", "processing")
    assert [files for _, files in states[:-1]] == [[]] * (len(states) - 1)
    assert len(states[-1][1]) == 1


def test_a_failed_job_ends_it_too(client: Client) -> None:
    job, files = client.predict("an impossible boat", api_name="/generate")
    assert (job["status"], files) == ("failed", [])
    assert job["error"]["code"] == "invalid_input"


def test_pictures_go_along_as_files_and_as_ids(client: Client, cat: Path) -> None:
    job, _ = client.predict("a cat", count=1, image=handle_file(cat), mask=handle_file(cat), api_name="/generate")
    assert job["status"] == "completed"
    assert job["config"]["image"] != job["config"]["mask"]
    again, _ = client.predict("a cat", count=1, image=job["assets"][0], strength=0.3, api_name="/generate")
    assert (again["status"], again["config"]["strength"]) == ("completed", 0.3)
    asset, file = client.predict(again["assets"][0], api_name="/get_asset")
    assert asset["parent_id"] == job["assets"][0]
    assert Path(file).read_bytes().startswith(b"\x89PNG")
    submitted = client.predict("a cat", count=1, image=handle_file(cat), api_name="/submit_job")
    assert submitted["config"]["image"] not in (None, job["config"]["image"])


def test_the_short_calls(client: Client) -> None:
    job = client.predict("a slow boat", count=1, api_name="/submit_job")
    assert job["status"] == "pending"
    assert client.predict(job["id"], api_name="/get_job")["id"] == job["id"]
    client.predict(job["id"], api_name="/cancel_job")
    while (state := client.predict(job["id"], api_name="/get_job"))["status"] not in ENDED:
        assert state["cancel_requested"]
    assert state["status"] == "cancelled"
    assert client.predict(job["id"], api_name="/retry_job")["status"] in ("pending", "processing")
    client.predict(job["id"], api_name="/cancel_job")

    made, _ = client.predict("a red boat", count=1, api_name="/generate")
    assert client.predict("completed", limit=1, api_name="/list_jobs")["items"][0]["id"] == made["id"]
    page = client.predict("image", "sdxl_image_fast", "red boat", None, None, 1, api_name="/list_assets")
    assert page["items"][0]["id"] == made["assets"][0]
    assert client.predict(made["assets"][0], api_name="/delete_asset")["trashed_at"] is not None
    assert [kind["type"] for kind in client.predict(api_name="/job_types")] == list(small_catalog().types)


@pytest.mark.parametrize(
    ("endpoint", "arguments", "sentence"),
    [
        ("/generate", {"prompt": ""}, "invalid_input: prompt: "),
        ("/generate", {"prompt": "a", "job_type": "x"}, "invalid_input: There is no job type 'x'."),
        ("/generate", {"prompt": "a\0"}, "invalid_input: The text contains a character"),
        ("/generate", {"prompt": {"path": "x"}}, "invalid_input: prompt: "),
        ("/generate", {"prompt": "a", "width": 100_000}, "invalid_input: Width must be a multiple of 8"),
        ("/generate", {"prompt": "a", "image": "no-such-id"}, "not_found: There is no such image."),
        ("/generate", {"prompt": "a", "image": 7}, "invalid_input: image: "),
        ("/generate", {"prompt": "a forbiddenword"}, "policy_refused: "),
        ("/submit_job", {"prompt": "a", "steps": -1}, "invalid_input: steps: "),
        ("/get_job", {"job_id": "no-such-id"}, "not_found: There is no such job."),
        ("/get_job", {"job_id": 7}, "invalid_input: "),
        ("/list_jobs", {"limit": "many"}, "invalid_input: "),
        ("/list_jobs", {"limit": 0}, "invalid_input: "),
        ("/get_asset", {"asset_id": "no-such-id"}, "not_found: "),
    ],
)
def test_errors_are_a_code_and_a_sentence(
    client: Client, endpoint: str, arguments: dict[str, Any], sentence: str
) -> None:
    before = client.predict(api_name="/list_jobs")["items"]
    with pytest.raises(AppError) as refused:
        client.predict(**arguments, api_name=endpoint)
    assert str(refused.value.message).startswith(sentence)
    assert "Traceback" not in refused.value.message
    assert client.predict(api_name="/list_jobs")["items"] == before


def test_a_text_file_is_no_picture(client: Client, tmp_path: Path) -> None:
    text = tmp_path / "cat.png"
    text.write_text("meow")
    with pytest.raises(AppError, match=r"^'?invalid_input: "):
        client.predict("a cat", image=handle_file(text), api_name="/generate")


@pytest.mark.parametrize("named_as", [{}, {"meta": {"_type": "gradio.FileData"}}])
def test_files_of_this_machine_cannot_be_named_as_pictures(
    served_studio: ServedStudio, cat: Path, named_as: dict[str, Any]
) -> None:
    for endpoint in ("generate", "submit_job"):
        values = [
            "a cat",
            "sdxl_image_fast",
            "",
            None,
            None,
            None,
            None,
            -1,
            1,
            {"path": str(cat), **named_as},
            None,
            None,
            None,
        ]
        address = f"{served_studio.url}/gradio_api/call/{endpoint}"
        event = httpx.post(address, json={"data": values}).json()["event_id"]
        answer = httpx.get(f"{address}/{event}", timeout=60).text
        assert "event: error" in answer
        assert '"id"' not in answer


def test_everybody_sees_only_their_own(served_studio: ServedStudio, client: Client, tmp_path: Path) -> None:
    served_studio.studio.add_person("erin")
    job, _ = client.predict("a red boat", count=1, api_name="/generate")
    erin = client_of(served_studio.url, headers={WHO: "erin"}, download_files=tmp_path / "erin")
    try:
        assert erin.predict(api_name="/list_jobs")["items"] == []
        for endpoint, known in (("/get_job", job["id"]), ("/get_asset", job["assets"][0])):
            with pytest.raises(AppError, match="not_found"):
                erin.predict(known, api_name=endpoint)
        own, files = erin.predict("a red boat", count=1, api_name="/generate")
        assert own["user_id"] != job["user_id"]
        assert len(files) == 1
    finally:
        erin.close()


def test_strangers_are_told_to_sign_in(served_studio: ServedStudio) -> None:
    stranger = client_of(served_studio.url, headers={WHO: "stranger"})
    try:
        with pytest.raises(AppError, match=r"unauthorized: Sign in first\."):
            stranger.predict("a red boat", api_name="/generate")
    finally:
        stranger.close()


def test_a_client_that_goes_away_leaves_its_job(served_studio: ServedStudio, web: httpx.Client) -> None:
    address = f"{served_studio.url}/gradio_api/call/generate"
    values = ["a red boat", "sdxl_image_high", "", None, None, 40, None, -1, 1, None, None, None, None]
    event = httpx.post(address, json={"data": values}).json()
    with httpx.stream("GET", f"{address}/{event['event_id']}", timeout=60) as answer:
        started = next(json.loads(line[6:])[0] for line in answer.iter_lines() if line.startswith("data: ["))
    job = web.get(f"/api/jobs/{started['id']}/wait", params={"timeout_s": 60}).json()
    assert job["status"] == "completed"


def test_more_followers_than_slots_all_get_their_pictures(client: Client) -> None:
    running = [client.submit(f"boat {number}", count=1, api_name="/generate") for number in range(FOLLOWERS + 10)]
    outcomes = [one.result(timeout=120) for one in running]
    assert {job["status"] for job, _ in outcomes} == {"completed"}
    assert len({job["id"] for job, _ in outcomes}) == FOLLOWERS + 10
    assert all(len(files) == 1 for _, files in outcomes)


def test_the_documentation_shows_every_endpoint(client: Client) -> None:
    endpoints = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    order = "prompt job_type negative_prompt width height steps guidance seed count image mask strength project"
    contract = {
        "/generate": order,
        "/submit_job": order,
        "/get_job": "job_id",
        "/cancel_job": "job_id",
        "/retry_job": "job_id",
        "/list_jobs": "status job_type limit cursor",
        "/list_assets": "kind job_type search favourite project limit cursor",
        "/get_asset": "asset_id",
        "/delete_asset": "asset_id",
        "/job_types": "",
        "/enhance_prompt": "prompt kind",
    }
    assert set(endpoints) == set(contract)
    for name, arguments in contract.items():
        assert [parameter["parameter_name"] for parameter in endpoints[name]["parameters"]] == arguments.split()
        assert endpoints[name]["description"]
    assert [answer["python_type"]["type"] for answer in endpoints["/generate"]["returns"]][1] == "list[filepath]"
    assert [answer["python_type"]["type"] for answer in endpoints["/get_asset"]["returns"]][1] == "filepath"
    assert endpoints["/generate"]["parameters"][9]["python_type"]["type"] == "filepath | str | None"
