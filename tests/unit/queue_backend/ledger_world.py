"""Workers that a ledger shares out, without processes: what they really hold is kept apart from the ledger's books.

Everything happens in virtual time: a loop that never sleeps, and fails where nothing can happen any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import selectors
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from queue_backend.ledger import DoesNotFit, GivingWay, Holding, Ledger, Need


class VirtualSelector(selectors.DefaultSelector):
    """Jumps over the time that nothing happens in."""

    now = 0.0

    def select(self, timeout: float | None = None):
        if timeout is None:
            raise AssertionError("Deadlock: nothing can happen any more.")
        self.now += max(timeout, 0.0)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._virtual = VirtualSelector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now


def in_virtual_time(work: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(work)


class Killed(Exception):
    """The process under a run is gone."""


@dataclass
class Worker:
    """A process. Its bytes are the truth that the ledger's books have to keep up with."""

    device: str
    context: int
    parts: dict[str, int] = field(default_factory=dict)
    working: int = 0
    running: bool = False
    died: asyncio.Event = field(default_factory=asyncio.Event)

    def holding(self) -> Holding:
        return Holding(parts=dict(self.parts), context_bytes=self.context)

    def bytes(self) -> int:
        return self.context + sum(self.parts.values()) + self.working


class World:
    """Runs needs on workers that a ledger rules, and checks at every change that no device holds more than its budget
    and that memory is granted in order of arrival. `failing` is how often giving way raises."""

    def __init__(self, budgets: dict[str, int], chance: random.Random, *, failing: float = 0.0) -> None:
        self.budgets = budgets
        self.chance = chance
        self.failing = failing
        self.ledger = Ledger(budgets, self._give_way, now=lambda: asyncio.get_running_loop().time())
        self.workers: dict[str, Worker] = {}
        self.given_way: list[GivingWay] = []
        self.broken: list[str] = []
        self.ended: dict[str, int] = {"finished": 0, "killed": 0, "cancelled": 0, "refused": 0}
        self._queues: dict[str, list[object]] = {device: [] for device in budgets}
        self._turns: dict[str, asyncio.Lock] = {}

    async def run(self, need: Need, duration_s: float) -> None:
        """One run of the need's holder, one at a time as a worker does, with as many bytes as planned or fewer."""
        try:
            async with self._turns.setdefault(need.holder, asyncio.Lock()):
                await self._reserve(need)
                try:
                    await self._work(need, duration_s)
                finally:
                    self._stop_working(need.holder)
        except Killed:
            self.ended["killed"] += 1
        except DoesNotFit:
            self.ended["refused"] += 1
        except asyncio.CancelledError:
            self.ended["cancelled"] += 1
            raise
        else:
            self.ended["finished"] += 1

    def kill(self, holder: str) -> None:
        """The holder's process dies, if there is one, whatever it does."""
        worker = self.workers.pop(holder, None)
        if worker is not None:
            worker.died.set()
            self.ledger.forget(holder)

    def check(self) -> None:
        assert self.broken == []
        for device in self.ledger.status():
            of_device = [worker for worker in self.workers.values() if worker.device == device.device]
            truth = sum(worker.bytes() for worker in of_device)
            assert truth <= device.held_bytes + device.working_bytes <= device.budget_bytes

    def check_all_free(self) -> None:
        for device in self.ledger.status():
            assert (device.held_bytes, device.working_bytes, device.waiting) == (0, 0, 0)
            assert device.holders == []

    async def _reserve(self, need: Need) -> None:
        arrival, queue = object(), self._queues[need.device]
        queue.append(arrival)
        try:
            await self.ledger.reserve(need)
            assert queue[0] is arrival, "Somebody who came later was served first."
        finally:
            queue.remove(arrival)

    async def _work(self, need: Need, duration_s: float) -> None:
        worker = self.workers.get(need.holder)
        if worker is None:
            worker = self.workers[need.holder] = Worker(device=need.device, context=need.context_bytes)
        assert not worker.running
        worker.running = True
        self.check()
        for part in need.parts:
            await self._lasts(worker, 0.2)
            worker.parts.setdefault(part.name, part.bytes)
            self.check()
        worker.working = int(need.working_bytes * self.chance.uniform(0.8, 1.0))
        self.check()
        await self._lasts(worker, duration_s)

    def _stop_working(self, holder: str) -> None:
        worker = self.workers.get(holder)
        if worker is not None:
            worker.running = False
            worker.working = 0
            self.ledger.settle(holder, worker.holding() if self.chance.random() < 0.8 else None)
            self.check()

    async def _give_way(self, giving: GivingWay) -> Holding | None:
        self.given_way.append(giving)
        worker = self.workers.get(giving.holder)
        if worker is None:
            return None
        if worker.running:  # not asserted here: the ledger survives whatever giving way raises
            self.broken.append(f"{giving.holder} was asked to give way while it ran.")
        try:
            await self._lasts(worker, self.chance.uniform(0.0, 2.0))
        except Killed:
            return None
        if worker.running:
            self.broken.append(f"{giving.holder} began a run while it gave way.")
        if self.chance.random() < self.failing:
            raise OSError("The pipe is broken.")
        if giving.whole:
            del self.workers[giving.holder]
            worker.died.set()
            return None
        for part in giving.parts:
            worker.parts.pop(part, None)
        return worker.holding()

    @staticmethod
    async def _lasts(worker: Worker, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(worker.died.wait(), seconds)
            raise Killed


async def disturb(world: World, tasks: list[asyncio.Task[None]], pause_s: Callable[[], float]) -> None:
    """Kill a random worker or cancel a random run every now and then, until all runs have ended."""
    while not all(task.done() for task in tasks):
        await asyncio.sleep(pause_s())
        if world.workers and world.chance.random() < 0.5:
            world.kill(world.chance.choice(sorted(world.workers)))
        else:
            world.chance.choice(tasks).cancel()
