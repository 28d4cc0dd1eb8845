"""Carries one run's progress to its job, and the job's wish to stop back to the run."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

from sqlalchemy.exc import SQLAlchemyError

from pipelines.contract import Progress
from studio.services.claims import Claim, LeaseLost
from studio.services.leases import JobLeases

log = logging.getLogger(__name__)

WRITE_INTERVAL_S = 0.5
"""Progress is written at most this often."""
RENEW_INTERVAL_S = 2.0
"""Without progress the lease is renewed, and the wish to stop noticed, this often."""


class Relay:
    """One run's line to its job. `stop_run` is awaited once, when the run must stop."""

    def __init__(
        self,
        leases: JobLeases,
        claim: Claim,
        poke: Callable[[], None],
        stop_run: Callable[[], Awaitable[None]],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._leases = leases
        self._claim = claim
        self._poke = poke
        self._stop_run = stop_run
        self._clock = StageClock(now)
        self._waiting: list[Progress] = []
        self._arrived = asyncio.Event()
        self._hurried = asyncio.Event()
        self._writing = asyncio.Lock()
        self.cancel_requested = False
        self.lost = False

    @property
    def timings(self) -> dict[str, float]:
        """Seconds spent in each stage so far, by "<stage>_s"."""
        return self._clock.timings()

    def is_unwanted(self) -> bool:
        """Whether the run must not begin, or go on: its job was asked to stop, or belongs to another run by now."""
        return self.cancel_requested or self.lost

    async def report(self, progress: Progress) -> None:
        """Take a report; returns at once. Of reports that come too fast the last of each stage is kept."""
        self._clock.enter(progress.stage.value)
        latest = self._waiting[-1] if self._waiting else None
        if latest is not None and latest.stage == progress.stage:
            self._waiting[-1] = replace(progress, preview=progress.preview or latest.preview)
        else:
            self._waiting.append(progress)
        self._arrived.set()

    async def run(self) -> None:
        """Write reports down until the lease is lost; to be cancelled when the run has ended."""
        while not self.lost:
            await _first_of(RENEW_INTERVAL_S, self._arrived, self._hurried)
            self._hurried.clear()
            await self.flush(renew=True)
            await _first_of(WRITE_INTERVAL_S, self._hurried)

    def hurry(self) -> None:
        """Somebody wishes the run to stop: read the job's wish now, not with the next report."""
        self._hurried.set()

    async def flush(self, *, renew: bool = False) -> None:
        """Write down what waits; with `renew`, keep the lease even if nothing does."""
        async with self._writing:
            self._arrived.clear()
            waiting, self._waiting = self._waiting, []
            for progress in waiting:
                await self._write(progress)
            if renew and not waiting:
                await self._write(None)

    async def _write(self, progress: Progress | None) -> None:
        if self.lost:
            return
        asked_before = self.cancel_requested
        try:
            wish = await asyncio.to_thread(self._leases.renew, self._claim, progress, self.timings)
        except LeaseLost as lost:
            log.warning("%s The run is stopped.", lost)
            self.lost = True
            await self._stop_run()
            return
        except SQLAlchemyError:
            # The lease outlives a database that is away for a moment; if it stays away, the sweep takes the job back.
            log.exception("Job %s: progress could not be written.", self._claim.job_id)
            return
        self.cancel_requested = asked_before or wish
        if progress is not None:
            self._poke()
        if self.cancel_requested and not asked_before:
            await self._stop_run()


async def _first_of(within_s: float, *events: asyncio.Event) -> None:
    """Return when one of `events` is set, or the time is over."""
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


class StageClock:
    """Measures how long a run spends in each stage."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._stage: str | None = None
        self._since = now()
        self._seconds: dict[str, float] = {}

    def enter(self, stage: str) -> None:
        """The run is now in `stage`."""
        if stage != self._stage:
            self._seconds = self._measured()
            self._stage, self._since = stage, self._now()

    def timings(self) -> dict[str, float]:
        """Seconds by "<stage>_s", the current stage included."""
        return {f"{stage}_s": seconds for stage, seconds in self._measured().items()}

    def _measured(self) -> dict[str, float]:
        if self._stage is None:
            return dict(self._seconds)
        spent = self._seconds.get(self._stage, 0.0) + self._now() - self._since
        return {**self._seconds, self._stage: spent}
