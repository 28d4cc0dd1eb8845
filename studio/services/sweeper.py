"""Housekeeping: work whose ticket or worker was lost comes back, forgotten scratch folders and old trash go."""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from studio.errors import StudioError
from studio.services.leases import JobLeases

log = logging.getLogger(__name__)

SWEEP_INTERVAL_S = 1.5
"""Also how late a job can start whose wait before another attempt has ended."""
TIDY_INTERVAL_S = 600.0
CLEAN_INTERVAL_S = 3600.0
SCRATCH_KEPT_S = 3600.0
"""A folder of no running attempt is kept this long after its last change, should somebody still write to it."""


class Sweeper:
    """The periodic chores. `announce(lane)` issues a ticket and wakes the feed; `clean` runs each hour in a thread."""

    def __init__(
        self,
        leases: JobLeases,
        announce: Callable[[str], None],
        scratch_root: Path,
        clean: Callable[[], None] | None = None,
    ) -> None:
        self._leases = leases
        self._announce = announce
        self._scratch_root = scratch_root
        self._clean = clean

    async def run(self) -> None:
        """Do the chores until cancelled. First of all every job that waits gets a ticket: those of before are lost."""
        async with asyncio.TaskGroup() as chores:
            chores.create_task(self._keep_sweeping())
            if self._clean is not None:  # beside the sweep: a job must not wait for a thousand deletions
                chores.create_task(self._keep_cleaning(self._clean))

    async def _keep_cleaning(self, clean: Callable[[], None]) -> None:
        while True:
            try:
                await asyncio.to_thread(clean)
            except (SQLAlchemyError, OSError, StudioError):
                log.exception("Cleaning up failed; the next round tries again.")
            await asyncio.sleep(CLEAN_INTERVAL_S)

    async def _keep_sweeping(self) -> None:
        tidy_at = time.monotonic()
        look = self._leases.waiting
        while True:
            try:
                for lane in await asyncio.to_thread(look):
                    self._announce(lane)
                look = self._leases.sweep
                if time.monotonic() >= tidy_at:
                    tidy_at = time.monotonic() + TIDY_INTERVAL_S
                    await asyncio.to_thread(self.tidy)
            except (SQLAlchemyError, OSError):
                log.exception("A sweep failed; the next one tries again.")
            await asyncio.sleep(SWEEP_INTERVAL_S)

    def tidy(self, now_s: float | None = None) -> None:
        """Remove scratch folders that no running attempt uses. `now_s` is Unix time, by default the present."""
        if not self._scratch_root.is_dir():
            return
        limit = (time.time() if now_s is None else now_s) - SCRATCH_KEPT_S
        live = self._leases.live_tokens()
        for folder in self._scratch_root.iterdir():
            if folder.is_dir() and folder.name not in live and folder.stat().st_mtime < limit:
                log.info("Scratch folder %s was left behind and is removed.", folder.name)
                shutil.rmtree(folder, ignore_errors=True)
