"""The screens on the web app: what comes in through Gradio's own door does not stay."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
import httpx
import pytest
from fastapi import FastAPI

from studio.ui.mounting import mount


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
