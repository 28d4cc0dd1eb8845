"""The API's documentation, run as it is written, page by page and block by block, at the real program."""

from __future__ import annotations

import json
import re
import shutil
import signal
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.doc_pages import blocks_of, files_named, is_as_shown, pages, programs_of, running_page
from tests.live import ROOT, StudioServer

PAGES = [page for page in pages() if programs_of(page)]
EMAIL, PASSWORD = "ana@example.org", "correct horse battery"


def text_of_all_pages() -> str:
    return "\n".join(page.read_text(encoding="utf-8") for page in pages())


@pytest.fixture(scope="module")
def accounts_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Mapping[str, str]]]:
    """The address of a studio in which people sign in, and the environment that a page's reader has there."""
    server = StudioServer(
        tmp_path_factory.mktemp("accounts") / "data",
        STUDIO_AUTH="accounts",
        STUDIO_ADMIN_EMAIL=EMAIL,
        STUDIO_ADMIN_PASSWORD=PASSWORD,
    ).start()
    server.client.post("/login", data={"username": EMAIL, "password": PASSWORD})
    answer = server.client.post("/api/keys", json={"name": "docs", "scopes": ["read", "generate", "admin"]})
    token = answer.raise_for_status().json()["token"]
    yield server.url, {"STUDIO_KEY": token, "STUDIO_EMAIL": EMAIL, "STUDIO_PASSWORD": PASSWORD}
    server.stop(signal.SIGKILL)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_example_of_the_page_runs(page: Path, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    assert shutil.which("curl"), "The examples need curl: install it with your system's packages."
    programs = programs_of(page)
    signs_in = any("STUDIO_KEY" in block.text for block in programs)
    url, environment = request.getfixturevalue("accounts_studio") if signs_in else (_local(request), {})
    request.addfinalizer(partial(_cancel_what_is_left, url, environment))
    folder = tmp_path / "reader"
    with running_page(folder, url, environment) as run:
        for block in programs:
            printed = run.run(block)
            assert block.shown is None or is_as_shown(printed, block.shown), f"line {block.line}:\n{printed}"
    for name in files_named(programs):
        made = list(folder.glob(name))
        assert made, f"no example made {name}"
        for path in made:
            _check_media(path)


def _local(request: pytest.FixtureRequest) -> str:
    server: StudioServer = request.getfixturevalue("studio_server")
    return server.url


def _cancel_what_is_left(url: str, environment: Mapping[str, str]) -> None:
    """Jobs that a page ordered and did not wait for would slow down the tests that follow."""
    headers = {"Authorization": f"Bearer {environment['STUDIO_KEY']}"} if environment else {}
    with httpx.Client(base_url=url, headers=headers, timeout=90) as studio:
        for status in ("pending", "processing"):
            for job in studio.get("/api/jobs", params={"status": status}).raise_for_status().json()["items"]:
                studio.post(f"/api/jobs/{job['id']}/cancel")


def _check_media(path: Path) -> None:
    if path.suffix == ".mp4":
        assert path.read_bytes()[4:8] == b"ftyp", path.name
        return
    with Image.open(path) as picture:
        picture.load()
        assert picture.format == path.suffix[1:].upper()


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_no_block_stands_outside_the_tests(page: Path) -> None:
    """Programs are run, output is compared with theirs, JSON is read; nothing else stands in a block."""
    for block in blocks_of(page):
        assert block.language in ("python", "sh", "json"), f"line {block.line}"
        if block.language == "json":
            json.loads(block.text)


def test_a_job_and_an_asset_are_as_shown(studio_server: StudioServer) -> None:
    shown = [json.loads(block.text) for block in blocks_of(ROOT / "docs" / "api.md") if block.language == "json"]
    job = studio_server.wait_completed(studio_server.submit(count=1)["id"])
    asset = studio_server.client.get(f"/api/assets/{job['assets'][0]}").json()
    described = [next(one for one in shown if name in one) for name in ("lane", "sha256")]
    for described_one, real in zip(described, (job, asset), strict=True):
        assert set(described_one) == set(real)
    assert set(described[0]["progress"]) == set(job["progress"])
    assert set(described[0]["config"]) == set(job["config"])


def test_every_route_is_documented(studio_server: StudioServer) -> None:
    text = re.sub(r"\{[a-z_]+\}", "{}", text_of_all_pages())
    document = studio_server.client.get("/api/openapi.json").json()
    paths = [re.sub(r"\{[a-z_]+\}", "{}", path) for path in document["paths"]]
    assert [path for path in paths if path not in text] == []


def test_every_endpoint_of_the_python_client_is_documented_with_its_arguments(studio_server: StudioServer) -> None:
    page = (ROOT / "docs" / "api" / "gradio_client.md").read_text(encoding="utf-8")
    info: dict[str, Any] = httpx.get(f"{studio_server.url}/gradio_api/info").raise_for_status().json()
    for name, endpoint in info["named_endpoints"].items():
        assert f"`{name}`" in page, name
        for parameter in endpoint["parameters"]:
            assert re.search(rf"\b{parameter['parameter_name']}\b", page), (name, parameter["parameter_name"])
