"""The fleet of worker processes: starts them when there is work, shares them out, replaces them, reports on them."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from queue_backend.errors import RunFailed, WorkerLost
from queue_backend.mailbox import OnProgress
from queue_backend.messages import WorkerSpec
from queue_backend.worker_process import Patience, WorkerProcess

Result = TypeVar("Result")

_logger = logging.getLogger(__name__)


class WorkerState(StrEnum):
    """What a worker is doing. A stopped one starts again with the next run of its lane."""

    STOPPED = "stopped"
    STARTING = "starting"
    IDLE = "idle"
    BUSY = "busy"


@dataclass(frozen=True, kw_only=True)
class WorkerStatus:
    """One worker, for administrators and metrics. `started_at` is Unix time in seconds; `restarts` counts deaths."""

    lane: str
    index: int
    state: WorkerState
    pid: int | None
    run_id: str | None
    rss_bytes: int
    started_at: float | None
    restarts: int
    last_death: str | None


class Orchestrator:
    """Runs requests on worker processes, one run at a time on each. Belongs to one event loop.

    `specs` maps a lane to the spec of its worker, or to one spec for each of its workers.
    Nothing starts before the first `run` or `prepare`. `log_dir` gets one log file a worker.
    """

    def __init__(
        self,
        specs: Mapping[str, WorkerSpec | Sequence[WorkerSpec]],
        log_dir: Path,
        patience: Patience | None = None,
    ) -> None:
        self._patience = patience or Patience()
        self._lanes: dict[str, _Lane] = {}
        for lane, value in specs.items():
            of_lane = [value] if isinstance(value, WorkerSpec) else list(value)
            self._lanes[lane] = _Lane([_Slot(spec, log_dir, index) for index, spec in enumerate(of_lane)])
        self._runs: dict[str, _Slot | asyncio.Future[_Slot]] = {}
        self._background: set[asyncio.Task[Any]] = set()
        self._stopping = False

    async def run(self, lane: str, run_id: str, request: Any, on_progress: OnProgress) -> Any:
        """Run `request` on a free worker of `lane`, waiting for one, and return its result.

        `on_progress` is awaited for one report at a time; while it takes its time, reports it would get too late are
        dropped, except the last preview. Raises RunFailed or WorkerLost, or what `on_progress` raises. When that
        raises, or the caller's task is cancelled, the run is cancelled in the worker too.
        """
        slot = await self._acquire(lane, run_id)
        worker: WorkerProcess | None = None
        try:
            self._runs[run_id] = slot
            worker = await self._started(slot)
            if slot.cancelled:
                raise RunFailed("The run was cancelled.", code="cancelled")
            return await worker.run(run_id, request, on_progress)
        except RunFailed as failed:
            level = logging.INFO if failed.code == "cancelled" else logging.ERROR
            _logger.log(level, "Run %s failed with %s: %s\n%s", run_id, failed.code, failed, failed.traceback)
            raise
        except WorkerLost as lost:
            _logger.error("Run %s lost its worker: %s", run_id, lost)
            raise
        finally:
            self._runs.pop(run_id, None)
            if worker is not None and worker.run_id is not None:
                self._spawn(self._release_when_quiet(slot, worker), f"quiesce {run_id}")
            else:
                self._release(slot)

    async def cancel(self, run_id: str) -> None:
        """Ask a run to stop at its next step; returns at once. An unknown or ended run is left alone.

        `run` then raises RunFailed with code "cancelled": at once while the worker still loads, else when it has
        stopped, or when the grace is over and the process has been killed.
        """
        place = self._runs.get(run_id)
        if isinstance(place, asyncio.Future):
            if not place.done():
                place.set_exception(RunFailed("The run was cancelled while it waited.", code="cancelled"))
            elif place.exception() is None:  # it got its slot in this very moment
                place.result().cancelled = True
        elif place is not None:
            place.cancelled = True
            if place.worker is not None and place.worker.run_id == run_id:
                self._spawn(place.worker.cancel(self._patience), f"cancel {run_id}")

    async def prepare(self, lane: str) -> None:
        """Start the lane's workers ahead of their first run, one after the other: beside each other their imports would
        take as long, and the first to be needed would be the last to be ready. No model is loaded yet."""
        for slot in self._lanes[lane].slots:
            if not slot.taken:
                slot.taken = True
                try:
                    await (await self._started(slot)).settled.wait()
                finally:
                    self._release(slot)

    def status(self) -> list[WorkerStatus]:
        """Every worker, lane by lane."""
        return [slot.status() for lane in self._lanes.values() for slot in lane.slots]

    async def stop(self, grace_s: float) -> None:
        """Let current runs finish for `grace_s` seconds, then kill; every child is gone afterwards. Final."""
        self._stopping = True
        for lane in self._lanes.values():
            while lane.waiting:
                refuse(lane.waiting.popleft())
        async with asyncio.TaskGroup() as stopping:
            for slot in (slot for lane in self._lanes.values() for slot in lane.slots):
                stopping.create_task(self._stop_slot(slot, grace_s))
        while self._background:
            await asyncio.wait(set(self._background))

    async def _stop_slot(self, slot: _Slot, grace_s: float) -> None:
        async with slot.starting:  # a process on its way must be here before it can be stopped
            if slot.worker is not None and not slot.worker.ended.is_set():
                await slot.worker.shutdown(grace_s, "was stopped together with the studio")

    async def _acquire(self, lane: str, run_id: str) -> _Slot:
        """A slot of the lane that is now the caller's, after waiting for it in order of arrival."""
        if self._stopping:
            raise WorkerLost("The studio is stopping.")
        free = self._lanes[lane].free()
        if free is not None:
            free.taken = True
            return free
        future: asyncio.Future[_Slot] = asyncio.get_running_loop().create_future()
        self._lanes[lane].waiting.append(future)
        self._runs[run_id] = future
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                self._release(future.result())
            raise
        finally:
            self._runs.pop(run_id, None)

    def _release(self, slot: _Slot) -> None:
        slot.cancelled = False
        waiting = self._lanes[slot.spec.lane].waiting
        while waiting:
            future = waiting.popleft()
            if not future.done():
                future.set_result(slot)
                return
        slot.taken = False

    async def _release_when_quiet(self, slot: _Slot, worker: WorkerProcess) -> None:
        await worker.quiesce(self._patience)
        self._release(slot)

    async def _started(self, slot: _Slot) -> WorkerProcess:
        """The slot's process, started if need be. A start that has begun goes on when its caller leaves."""
        return await asyncio.shield(self._spawn(self._start(slot), f"start {slot.spec.lane}"))

    async def _start(self, slot: _Slot) -> WorkerProcess:
        """Start the slot's process unless it is up. One on its way out is waited for: two would not fit the device."""
        async with slot.starting:
            if slot.worker is not None and slot.worker.closing:
                await slot.worker.ended.wait()
            if slot.worker is None or slot.worker.ended.is_set():
                if self._stopping:
                    raise WorkerLost("The studio is stopping.")
                try:
                    slot.worker = worker = await WorkerProcess.start(slot.spec, slot.log)
                except OSError as error:
                    raise WorkerLost(f"The {slot.spec.lane} worker could not be started: {error.strerror}.") from error
                self._spawn(self._attend(slot, worker), f"attend {slot.spec.lane} {worker.pid}")
            return slot.worker

    async def _attend(self, slot: _Slot, worker: WorkerProcess) -> None:
        """Watch one process until it has ended, and say why it did."""
        _logger.info("Worker %d of lane %s started.", worker.pid, slot.spec.lane)
        await worker.watch(self._patience)
        if worker.dismissed:
            _logger.info("%s", worker.death)
        else:
            slot.restarts += 1
            slot.last_death = worker.death
            _logger.error("%s Exit code %s. Its last lines:\n%s", worker.death, worker.exit_code, worker.log_tail())

    def _spawn(self, work: Coroutine[Any, Any, Result], name: str) -> asyncio.Task[Result]:
        task = asyncio.create_task(work, name=name)
        self._background.add(task)
        task.add_done_callback(self._settle)
        return task

    def _settle(self, task: asyncio.Task[Any]) -> None:
        self._background.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _logger.error("Could not %s: %s", task.get_name(), error, exc_info=error)


class _Slot:
    """The place of one worker: its process comes and goes. `taken` while a run owns it."""

    def __init__(self, spec: WorkerSpec, log_dir: Path, index: int) -> None:
        self.spec = spec
        self.index = index
        self.log = log_dir / f"worker-{spec.lane}-{index}.log"
        self.worker: WorkerProcess | None = None
        self.starting = asyncio.Lock()
        self.taken = False
        self.cancelled = False
        self.restarts = 0
        self.last_death: str | None = None

    @property
    def is_up(self) -> bool:
        """Whether a run could begin at once."""
        return self.worker is not None and not self.worker.closing and not self.worker.ended.is_set()

    def status(self) -> WorkerStatus:
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
        )


class _Lane:
    def __init__(self, slots: list[_Slot]) -> None:
        self.slots = slots
        self.waiting: deque[asyncio.Future[_Slot]] = deque()

    def free(self) -> _Slot | None:
        """A slot that no run owns, rather one whose process is up."""
        return min((slot for slot in self.slots if not slot.taken), key=lambda slot: not slot.is_up, default=None)


def refuse(waiting: asyncio.Future[_Slot]) -> None:
    """Tell a run that waits for a worker that it will not get one."""
    if not waiting.done():
        waiting.set_exception(WorkerLost("The studio is stopping."))
