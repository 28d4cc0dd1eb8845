from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest_asyncio

from queue_backend.messages import WorkerSpec
from queue_backend.orchestrator import Orchestrator
from queue_backend.worker_process import Patience

HERE = Path(__file__).parent
DEADLINE_S = 20.0


def is_gone(pid: int) -> bool:
    """Whether the process has ended; an orphan that nobody buries is as good as gone."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


class Fleet:
    """Makes orchestrators over the runnables of this folder, and remembers the processes it saw."""

    def __init__(self, log_dir: Path) -> None:
        self.log_dir = log_dir
        self.made: list[Orchestrator] = []

    def __call__(self, runnable: str, *, workers: int = 1, patience: Patience | None = None, **options: Any):
        environment = {"PYTHONPATH": str(HERE)}
        spec = WorkerSpec(lane="lane", factory=f"runnables:{runnable}", options=options, environment=environment)
        self.made.append(Orchestrator({"lane": [spec] * workers}, self.log_dir, patience))
        return self.made[-1]

    @staticmethod
    async def until(condition: Callable[[], bool]) -> None:
        """Wait for a condition; fails after a generous deadline."""
        end = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < end, "The condition never came true."
            await asyncio.sleep(0.01)

    async def until_gone(self, pid: int) -> None:
        await self.until(lambda: is_gone(pid))


class Listener:
    """Collects progress; `heard` is set by the first report that equals `awaited`."""

    def __init__(self, awaited: Any = "running") -> None:
        self.reports: list[Any] = []
        self.heard = asyncio.Event()
        self._awaited = awaited

    async def __call__(self, progress: Any) -> None:
        self.reports.append(progress)
        if progress == self._awaited:
            self.heard.set()


@pytest_asyncio.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[Fleet]:
    fleet = Fleet(tmp_path / "logs")
    yield fleet
    for orchestrator in fleet.made:
        await orchestrator.stop(grace_s=0.5)


@pytest_asyncio.fixture
async def listener() -> Listener:
    return Listener()
