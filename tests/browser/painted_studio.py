"""A small studio with its screens: everything is real but the models, so that films take moments."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from queue_backend.gradio_queue import register_lanes
from studio.ui.endpoints import register_endpoints
from studio.ui.layout import build_ui
from studio.ui.mounting import mount
from studio.ui.static_files import STATIC_DIR
from studio.web.app import create_app
from studio.web.client_uploads import ClientUploads, gradio_folder
from studio.web.dependencies import WebParts
from studio.web.gradio_doors import GradioDoors
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
                accounts=self.accounts,
            ),
            policy=policy,
            version="0.0",
            lifespan=self._lifespan,
        )

        def register() -> None:
            register_lanes(LANES, self.execution.run_next, self.secret)
            register_endpoints(self.services)

        doors = partial(
            GradioDoors,
            person_for=self.services.person_for,
            uploads=ClientUploads(gradio_folder()),
            framed_by=policy.framed_by,
        )
        screens = build_ui(self.services, register)
        self.tickets.bind(mount(app, screens, public_url=self.settings.external_url, data_dir=folder, doors=doors))
        return app


class PaintedStudio(ServedStudio):
    """A studio with screens behind a real server, in a thread of its own."""

    async def _serve(self) -> None:
        self.studio = ScreenedStudio(self.folder, mode=self._mode, signup=self._signup, settings=self._settings)
        config = uvicorn.Config(self.studio.app, port=self.port, log_level="warning", timeout_graceful_shutdown=1)
        self.server = StudioServer(config, self.studio.stopping)
        await self.server.serve()
