"""A built studio, and what runs while it does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from queue_backend.errors import RunError
from queue_backend.gradio_queue import GradioTicketQueue
from studio.database.engine import Database
from studio.media.storage import MediaStorage
from studio.services.announcing import Announcer
from studio.services.container import Services
from studio.services.execution import Execution
from studio.services.leases import JobLeases
from studio.services.sweeper import Sweeper
from studio.settings import Settings
from studio.web.client_uploads import ClientUploads
from studio.web.dependencies import AccountDoors
from studio.web.worker_door import WorkerDoor

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Studio:
    """Everything that runs, built and wired. `lanes` maps each lane to its number of workers; `doors` is None in local
    mode, which needs no sign-in."""

    settings: Settings
    services: Services
    lanes: Mapping[str, int]
    ticket_secret: str
    tickets: GradioTicketQueue
    execution: Execution
    announcer: Announcer
    leases: JobLeases
    sweeper: Sweeper
    database: Database
    storage: MediaStorage
    client_uploads: ClientUploads
    doors: AccountDoors | None = None
    workers: WorkerDoor | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Take up the work that is waiting, and hand back what still runs in the end."""
        self.announcer.bind(asyncio.get_running_loop())
        await asyncio.to_thread(self.leases.reset_orphans)
        background = [
            asyncio.create_task(self.services.feed.run(), name="feed"),
            asyncio.create_task(self.sweeper.run(), name="sweeper"),
            asyncio.create_task(self.services.webhooks.run(), name="webhooks"),
            asyncio.create_task(self._warm_up(), name="warm up"),
        ]
        for task in background:
            task.add_done_callback(_tell_of_failure)
        try:
            yield
        finally:
            background[-1].cancel()  # no worker more
            await self.execution.stop(self.settings.stop_grace_s)
            await self.services.orchestrator.stop(grace_s=1.0)
            await self.tickets.aclose()
            for task in background:
                task.cancel()
            await asyncio.wait(background)
            self.database.close()

    async def _warm_up(self) -> None:
        """Start the workers, so that the first job does not wait for their imports. Models load with the first job."""
        for lane in self.lanes:
            try:
                await self.services.orchestrator.prepare(lane)
            except RunError:
                log.exception("The workers of lane %s could not be started; its first job tries again.", lane)


def _tell_of_failure(task: asyncio.Task[None]) -> None:
    """Nothing waits for the studio's own tasks while it runs: one that fails must not do so in silence."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.critical("The studio's %s has failed. Restart the studio.", task.get_name(), exc_info=error)
