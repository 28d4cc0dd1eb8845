"""A small studio with its screens: everything is real but the models, so that films take moments."""

from __future__ import annotations

from pathlib import Path

import uvicorn
from fastapi import FastAPI

from queue_backend.gradio_queue import register_lanes
from studio.ui.endpoints import register_endpoints
from studio.ui.layout import build_ui
from studio.ui.mounting import mount
from studio.ui.static_files import STATIC_DIR
from studio.web.app import create_app
from studio.web.dependencies import WebParts
from studio.web.security import BrowserPolicy
from studio.web.stopping import StudioServer
from studio.web.vitals import Vitals
from tests.integration.small_studio import LANES, ServedStudio, SmallStudio


class ScreenedStudio(SmallStudio):
    """The small studio, with the screens in the place of a bare page."""

    def _app(self, folder: Path, policy: BrowserPolicy) -> FastAPI:
        app = create_app(
            self.services,
            STATIC_DIR,
            parts=WebParts(
                storage=self.storage,
                vitals=Vitals(self.database, self.storage, self.orchestrator, self.catalog.lanes),
                stopping=self.stopping,
            ),
            policy=policy,
            version="0.0",
            lifespan=self._lifespan,
        )

        def register() -> None:
            register_lanes(LANES, self.execution.run_next, self.secret)
            register_endpoints(self.services)

        mount(app, build_ui(self.services, register), public_url=None, data_dir=folder)
        self.tickets.bind(app)
        return app


class PaintedStudio(ServedStudio):
    """A studio with screens behind a real server, in a thread of its own."""

    async def _serve(self) -> None:
        self.studio = ScreenedStudio(self.folder)
        config = uvicorn.Config(self.studio.app, port=self.port, log_level="warning", timeout_graceful_shutdown=1)
        self.server = StudioServer(config, self.studio.stopping)
        await self.server.serve()
