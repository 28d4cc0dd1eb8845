"""The screens on the web app: what comes in through Gradio's own door does not stay."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
import httpx
import pytest
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from studio.people import Person
from studio.ui.mounting import PERSON_KEY, mount


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def test_uploads_through_gradio_do_not_outlive_the_studio(
    screens: gr.Blocks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "gradio"))
    app = FastAPI()
    mount(app, screens, public_url=None, data_dir=tmp_path)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
    ):
        answer = await client.post("/gradio_api/upload", files={"files": ("a.txt", b"private")})
        (stored,) = answer.raise_for_status().json()
        assert contents(tmp_path / "gradio") == {stored: b"private"}

    assert contents(tmp_path / "gradio") == {}


async def test_behind_doors_gradio_answers_only_whom_they_name(screens: gr.Blocks, tmp_path: Path) -> None:
    ann = Person(id="ann", role="member", display_name="Ann")

    def doors(gradio_app: ASGIApp) -> ASGIApp:
        async def door(scope: Scope, receive: Receive, send: Send) -> None:
            named = {PERSON_KEY: ann} if (b"x-person", b"ann") in scope["headers"] else {}
            await gradio_app({**scope, **named}, receive, send)

        return door

    app = FastAPI()
    way_in = mount(app, screens, public_url=None, data_dir=tmp_path, doors=doors)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        for path in ("/config", "/gradio_api/info", "/gradio_api/queue/status"):
            assert (await client.get(path)).status_code == 401
            assert (await client.get(path, headers={"X-Person": "ann"})).status_code == 200
        config = (await client.get("/config", headers={"X-Person": "ann"})).json()
        assert config["username"] == "ann"
    async with httpx.AsyncClient(transport=httpx.ASGITransport(way_in), base_url="http://localhost") as client:
        assert (await client.get("/gradio_api/queue/status")).status_code == 200


async def test_what_is_for_the_queue_cannot_be_called_past_it(screens: gr.Blocks, tmp_path: Path) -> None:
    app = FastAPI()
    mount(app, screens, public_url=None, data_dir=tmp_path)
    assert not screens.api_open
    assert not screens.run_history
    assert screens.delete_cache is not None
    assert screens.max_file_size == 20 * 1024**2
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        assert (await client.get("/gradio_api/runs")).status_code == 404
        assert (await client.get("/gradio_api/run-history/records")).status_code == 404
