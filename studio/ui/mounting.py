"""Puts the Gradio screens onto the studio's web app, with Gradio's own doors shut as far as they go."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
from fastapi import FastAPI

from studio.ui.layout import mount_options

MAX_UPLOAD = "20mb"
"""As much as `POST /api/uploads` takes."""
MAX_WAITING_EVENTS = 10_000
"""Tickets and calls that may wait in Gradio's queue; a ticket refused here is issued again by the sweep."""

STATUS_INTERVAL_S = 30
"""How often Gradio tells waiting events their rank. Its default tells all of them at every start: draining 1,500
tickets took 28 s with it and 5 s with this."""
PRIVATE = ("studio.db", "studio.db-wal", "studio.db-shm", "media", "logs", "scratch", "models")
"""What lies in the data folder and is never served from there, whatever path is asked for."""


def mount(app: FastAPI, blocks: gr.Blocks, *, public_url: str | None, data_dir: Path) -> None:
    """Mount `blocks` at the root of `app`. Routes of `app` registered before win over Gradio's.

    Of the data folder Gradio may serve its own uploads alone. `public_url` is the address behind a proxy, if known.
    """
    blocks.queue(max_size=MAX_WAITING_EVENTS, status_update_rate=STATUS_INTERVAL_S)
    gr.mount_gradio_app(
        app,
        blocks,
        path="/",
        root_path=public_url,
        allowed_paths=[],
        blocked_paths=[str(data_dir / name) for name in PRIVATE],
        max_file_size=MAX_UPLOAD,
        show_error=True,
        ssr_mode=False,
        enable_monitoring=False,
        mcp_server=False,
        pwa=False,
        **mount_options(),
    )
