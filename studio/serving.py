"""The whole web app of a studio: routes, screens, lanes; and the server that runs it."""

from __future__ import annotations

import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from types import FrameType

import uvicorn
from fastapi import FastAPI

from queue_backend.gradio_queue import register_lanes
from studio import VERSION
from studio.running import Studio
from studio.ui.endpoints import register_endpoints
from studio.ui.layout import build_ui
from studio.ui.mounting import mount
from studio.ui.static_files import STATIC_DIR
from studio.web.app import create_app
from studio.web.dependencies import WebParts
from studio.web.gradio_doors import GradioDoors
from studio.web.security import BrowserPolicy
from studio.web.stopping import Stopping, StudioServer
from studio.web.vitals import Vitals

LOCAL_PROXY = ("127.0.0.1",)
SPACE_PROXIES = (*LOCAL_PROXY, "10.0.0.0/8")
"""A Space is reached through Hugging Face's proxies alone, from a private network. Were they not believed, all visitors
would share one address, and its limits."""
OPEN_ANSWERS_GRACE_S = 3
"""How long answers under way may take when the server stops; event streams end by themselves."""


def web_app(studio: Studio, stopping: Stopping) -> FastAPI:
    """The ASGI app of `studio`. Its lifespan runs the studio."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        uploads.clear()  # Gradio's queue, which they waited in, has not outlived the last run
        async with studio.running():
            yield
        uploads.clear()

    def register() -> None:
        register_endpoints(studio.services)
        register_lanes(studio.lanes, studio.execution.run_next, studio.ticket_secret)

    settings = studio.settings
    policy = BrowserPolicy.from_settings(settings)
    uploads = studio.client_uploads
    vitals = Vitals(studio.database, studio.storage, studio.services.orchestrator, tuple(studio.lanes))
    app = create_app(
        studio.services,
        STATIC_DIR,
        parts=WebParts(
            storage=studio.storage, vitals=vitals, stopping=stopping, accounts=studio.doors, workers=studio.workers
        ),
        policy=policy,
        version=VERSION,
        lifespan=lifespan,
    )
    way_in = mount(
        app,
        build_ui(studio.services, register),
        # A Space with a domain of its own is reached under two names: there Gradio goes by what each request says.
        public_url=settings.external_url if len(settings.space_hosts) < 2 else settings.public_url,
        data_dir=settings.data_path,
        doors=partial(GradioDoors, person_for=studio.services.person_for, uploads=uploads, framed_by=policy.framed_by),
    )
    studio.tickets.bind(way_in)
    return app


def serve(studio: Studio) -> None:
    """Serve until a signal comes; returns when everything has stopped."""
    settings = studio.settings
    stopping = Stopping()
    config = uvicorn.Config(
        web_app(studio, stopping),
        host=settings.listen_host,
        port=settings.port,
        log_config=None,
        access_log=False,
        forwarded_allow_ips=list(settings.trusted_proxies or (SPACE_PROXIES if settings.space_id else LOCAL_PROXY)),
        timeout_graceful_shutdown=OPEN_ANSWERS_GRACE_S,
    )
    # uvicorn raises the signal again once it has stopped: a stop that was asked for is a success.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    StudioServer(config, stopping).run()


def _leave(number: int, frame: FrameType | None) -> None:
    sys.exit(0)
