"""The places of a lane's worker processes, and what they are doing."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from queue_backend.messages import Memory, WorkerSpec
from queue_backend.worker_process import WorkerProcess


class WorkerState(StrEnum):
    """What a worker is doing. A stopped one starts again with the next run of its lane."""

    STOPPED = "stopped"
    STARTING = "starting"
    IDLE = "idle"
    BUSY = "busy"


@dataclass(frozen=True, kw_only=True)
class WorkerStatus:
    """One worker, for administrators and metrics. `started_at` is Unix time in seconds; `restarts` counts deaths;
    `parts` are the bytes of its model on `device`, as it last said."""

    lane: str
    index: int
    state: WorkerState
    pid: int | None
    run_id: str | None
    rss_bytes: int
    started_at: float | None
    restarts: int
    last_death: str | None
    device: str
    parts: Mapping[str, int] = field(default_factory=dict)


class Slot:
    """The place of one worker: its process comes and goes.

    `taken` while a run owns it; `reserved` while the ledger keeps memory for that run; `reserving` while it waits for
    that; `attending` ends when the death of its process has been dealt with.
    """

    def __init__(self, spec: WorkerSpec, log_dir: Path, index: int) -> None:
        self.spec = spec
        self.index = index
        self.name = f"{spec.lane}-{index}"
        self.log = log_dir / f"worker-{spec.lane}-{index}.log"
        self.worker: WorkerProcess | None = None
        self.attending: asyncio.Task[None] | None = None
        self.starting = asyncio.Lock()
        self.taken = False
        self.cancelled = False
        self.reserved = False
        self.reserving: asyncio.Task[None] | None = None
        self.restarts = 0
        self.last_death: str | None = None
        self._context_bytes = spec.context_bytes

    @property
    def is_up(self) -> bool:
        """Whether a run could begin at once."""
        return self.worker is not None and not self.worker.closing and not self.worker.ended.is_set()

    @property
    def memory(self) -> Memory | None:
        """What its process last said it occupies; None without one."""
        return self.worker.memory if self.worker is not None and not self.worker.ended.is_set() else None

    @property
    def context_bytes(self) -> int:
        """What its process occupies besides weights: as last measured, at first as the spec expects."""
        if self.memory is not None:
            self._context_bytes = self.memory.context_bytes
        return self._context_bytes

    def status(self) -> WorkerStatus:
        """The worker as others see it."""
        worker = None if self.worker is None or self.worker.ended.is_set() else self.worker
        if worker is None:
            state = WorkerState.STOPPED
        elif worker.run_id is not None:
            state = WorkerState.BUSY
        else:
            state = WorkerState.IDLE if worker.ready else WorkerState.STARTING
        return WorkerStatus(
            lane=self.spec.lane,
            index=self.index,
            state=state,
            pid=worker.pid if worker else None,
            run_id=worker.run_id if worker else None,
            rss_bytes=worker.rss_bytes if worker else 0,
            started_at=worker.started_at if worker else None,
            restarts=self.restarts,
            last_death=self.last_death,
            device=self.spec.device,
            parts=dict(self.memory.parts) if self.memory else {},
        )


class Lane:
    """The slots of one lane, and the runs that wait for one."""

    def __init__(self, slots: list[Slot]) -> None:
        self.slots = slots
        self.waiting: deque[asyncio.Future[Slot]] = deque()

    def free(self) -> Slot | None:
        """A slot that no run owns, rather one whose process is up."""
        return min((slot for slot in self.slots if not slot.taken), key=lambda slot: not slot.is_up, default=None)
