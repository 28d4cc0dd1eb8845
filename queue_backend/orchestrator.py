"""The fleet of worker processes: starts them when there is work, shares them out, replaces them, reports on them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from queue_backend.errors import RunFailed, WorkerLost
from queue_backend.ledger import DeviceStatus
from queue_backend.mailbox import OnProgress
from queue_backend.messages import Memory, WorkerSpec
from queue_backend.sharing import Demand, MemorySharing
from queue_backend.slots import Lane, Slot, WorkerStatus
from queue_backend.worker_process import Patience, WorkerProcess

Result = TypeVar("Result")

_logger = logging.getLogger(__name__)


class Orchestrator:
    """Runs requests on worker processes, one run at a time on each. Belongs to one event loop.

    `specs` maps a lane to the spec of its worker, or to one spec for each of its workers.
    `budgets` are the bytes that may be planned with on each device; where a device has one, runs wait for memory and
    idle workers give way. Nothing starts before the first `run` or `prepare`. `log_dir` gets one log file a worker.
    """

    def __init__(
        self,
        specs: Mapping[str, WorkerSpec | Sequence[WorkerSpec]],
        log_dir: Path,
        patience: Patience | None = None,
        budgets: Mapping[str, int] | None = None,
    ) -> None:
        self._patience = patience or Patience()
        self._lanes: dict[str, Lane] = {}
        for lane, value in specs.items():
            of_lane = [value] if isinstance(value, WorkerSpec) else list(value)
            self._lanes[lane] = Lane([Slot(spec, log_dir, index) for index, spec in enumerate(of_lane)])
        slots = [slot for lane in self._lanes.values() for slot in lane.slots]
        self._sharing = MemorySharing(budgets or {}, slots, self._patience.cancel_grace_s)
        self._runs: dict[str, Slot | asyncio.Future[Slot]] = {}
        self._background: set[asyncio.Task[Any]] = set()
        self._stopping = False

    async def run(
        self,
        lane: str,
        run_id: str,
        request: Any,
        on_progress: OnProgress,
        *,
        demand: Demand | None = None,
        on_memory: Callable[[Memory], None] | None = None,
    ) -> Any:
        """Run `request` on a free worker of `lane`, waiting for one and for the memory it demands; return its result.

        `on_memory` is told what the worker occupied, once it has answered.

        `on_progress` is awaited for one report at a time; while it takes its time, reports it would get too late are
        dropped, except the last preview. Raises RunFailed or WorkerLost, or what `on_progress` raises. When that
        raises, or the caller's task is cancelled, the run is cancelled in the worker too.
        """
        slot = await self._acquire(lane, run_id)
        worker: WorkerProcess | None = None
        try:
            self._runs[run_id] = slot
            worker = await self._ready(slot, demand or Demand())
            if slot.cancelled:
                raise RunFailed("The run was cancelled.", code="cancelled")
            result = await worker.run(run_id, request, on_progress)
            if on_memory is not None and worker.memory is not None:
                on_memory(worker.memory)
            return result
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
            self._sharing.stop_waiting(place)
            if place.worker is not None and place.worker.run_id == run_id:
                self._spawn(place.worker.cancel(self._patience), f"cancel {run_id}")

    async def prepare(self, lane: str) -> None:
        """Start the lane's workers ahead of their first run, one after the other: beside each other their imports would
        take as long, and the first to be needed would be the last to be ready. No model is loaded yet, and nobody gives
        way for it."""
        for slot in self._lanes[lane].slots:
            if not slot.taken and self._sharing.has_room_for(slot):
                slot.taken = True
                try:
                    await (await self._ready(slot, Demand())).settled.wait()
                finally:
                    self._release(slot)

    def status(self) -> list[WorkerStatus]:
        """Every worker, lane by lane."""
        return [slot.status() for lane in self._lanes.values() for slot in lane.slots]

    def devices(self) -> list[DeviceStatus]:
        """Every device with a budget: who holds what, and who gave way last."""
        return self._sharing.status()

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

    async def _stop_slot(self, slot: Slot, grace_s: float) -> None:
        async with slot.starting:  # a process on its way must be here before it can be stopped
            if slot.worker is not None and not slot.worker.ended.is_set():
                await slot.worker.shutdown(grace_s, "was stopped together with the studio")

    async def _acquire(self, lane: str, run_id: str) -> Slot:
        """A slot of the lane that is now the caller's, after waiting for it in order of arrival."""
        if self._stopping:
            raise WorkerLost("The studio is stopping.")
        free = self._lanes[lane].free()
        if free is not None:
            free.taken = True
            return free
        future: asyncio.Future[Slot] = asyncio.get_running_loop().create_future()
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

    def _release(self, slot: Slot) -> None:
        if slot.worker is None or slot.worker.ended.is_set():
            self._sharing.forget(slot)
        self._sharing.settle(slot)
        slot.cancelled = False
        waiting = self._lanes[slot.spec.lane].waiting
        while waiting:
            future = waiting.popleft()
            if not future.done():
                future.set_result(slot)
                return
        slot.taken = False

    async def _release_when_quiet(self, slot: Slot, worker: WorkerProcess) -> None:
        await worker.quiesce(self._patience)
        self._release(slot)

    async def _ready(self, slot: Slot, demand: Demand) -> WorkerProcess:
        """The slot's process, with the memory that `demand` names kept for it."""
        while True:
            await self._sharing.reserve(slot, demand)
            worker = await self._started(slot)
            if slot.reserved or not self._sharing.rules(slot):
                return worker
            # The process that stood ready died in between, and what was kept for it is given away.

    async def _started(self, slot: Slot) -> WorkerProcess:
        """The slot's process, started if need be. A start that has begun goes on when its caller leaves."""
        return await asyncio.shield(self._spawn(self._start(slot), f"start {slot.spec.lane}"))

    async def _start(self, slot: Slot) -> WorkerProcess:
        """Start the slot's process unless it is up. One on its way out is waited for: two would not fit the device."""
        async with slot.starting:
            if slot.worker is not None and slot.attending is not None and not slot.is_up:
                await asyncio.wait([slot.attending])
            if slot.worker is None or slot.worker.ended.is_set():
                if self._stopping:
                    raise WorkerLost("The studio is stopping.")
                try:
                    slot.worker = worker = await WorkerProcess.start(slot.spec, slot.log)
                except OSError as error:
                    raise WorkerLost(f"The {slot.spec.lane} worker could not be started: {error.strerror}.") from error
                slot.attending = self._spawn(self._attend(slot, worker), f"attend {slot.spec.lane} {worker.pid}")
            return slot.worker

    async def _attend(self, slot: Slot, worker: WorkerProcess) -> None:
        """Watch one process until it has ended, and say why it did."""
        _logger.info("Worker %d of lane %s started.", worker.pid, slot.spec.lane)
        await worker.watch(self._patience)
        self._sharing.forget(slot)
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


def refuse(waiting: asyncio.Future[Slot]) -> None:
    """Tell a run that waits for a worker that it will not get one."""
    if not waiting.done():
        waiting.set_exception(WorkerLost("The studio is stopping."))
