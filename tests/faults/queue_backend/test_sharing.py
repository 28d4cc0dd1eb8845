"""Workers that share one device: who gives way, what a death or a cancel sets free, and what can never fit."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from queue_backend.errors import RunFailed, WorkerLost
from queue_backend.ledger import Part
from queue_backend.messages import WorkerSpec
from queue_backend.orchestrator import Orchestrator
from queue_backend.sharing import Demand
from queue_backend.slots import WorkerState

pytestmark = pytest.mark.faults

HERE = Path(__file__).parent
CONTEXT = 10
PARTS = {"films": {"encoder": 40, "body": 20}, "pictures": {"body": 30}}
RANKS = {"encoder": 1, "body": 3}


def demand(lane: str, working: int = 0) -> Demand:
    parts = tuple(Part(name=name, bytes=size, rank=RANKS[name]) for name, size in PARTS[lane].items())
    return Demand(parts=parts, working_bytes=working, advice="Ask for less.")


@pytest.fixture
def sharing(fleet):
    """Makes an orchestrator of two lanes on one device of `budget` bytes."""

    def make(budget: int) -> Orchestrator:
        specs = {
            lane: WorkerSpec(
                lane=lane,
                factory="runnables:Weighs",
                options={"parts": parts, "context": CONTEXT},
                environment={"PYTHONPATH": str(HERE)},
                context_bytes=CONTEXT,
            )
            for lane, parts in PARTS.items()
        }
        fleet.made.append(Orchestrator(specs, fleet.log_dir, budgets={"cpu": budget}))
        return fleet.made[-1]

    return make


def held(orchestrator: Orchestrator) -> dict[str, dict[str, int]]:
    """What each holder is known to hold, in the ledger and as its worker says."""
    in_ledger = {holder.holder: dict(holder.parts) for holder in orchestrator.devices()[0].holders}
    said = {f"{worker.lane}-{worker.index}": dict(worker.parts) for worker in orchestrator.status() if worker.pid}
    assert in_ledger == said
    return in_ledger


async def test_what_fits_stays(sharing, listener):
    orchestrator = sharing(200)
    for lane in ("films", "pictures", "films"):
        await orchestrator.run(lane, lane, {}, listener, demand=demand(lane))

    assert held(orchestrator) == {"films-0": PARTS["films"], "pictures-0": PARTS["pictures"]}
    assert orchestrator.devices()[0].last_given_way == []


async def test_the_cheapest_part_of_an_idle_worker_gives_way_and_comes_back(sharing, listener, caplog):
    orchestrator = sharing(100)
    caplog.set_level("INFO")
    first = await orchestrator.run("films", "one", {}, listener, demand=demand("films"))
    await orchestrator.run("pictures", "two", {}, listener, demand=demand("pictures"))
    assert held(orchestrator) == {"films-0": {"body": 20}, "pictures-0": {"body": 30}}
    gone = orchestrator.devices()[0].last_given_way[0]
    assert (gone.holder, gone.parts, gone.whole, gone.bytes) == ("films-0", ("encoder",), False, 40)
    assert gone.reason in caplog.text

    assert await orchestrator.run("films", "three", {}, listener, demand=demand("films")) == first
    assert held(orchestrator)["films-0"] == PARTS["films"]


async def test_a_worker_leaves_where_even_its_process_is_in_the_way(sharing, listener):
    orchestrator = sharing(75)
    await orchestrator.run("films", "one", {}, listener, demand=demand("films"))
    await orchestrator.run("pictures", "two", {}, listener, demand=demand("pictures", working=30))

    assert [worker.state for worker in orchestrator.status()] == [WorkerState.STOPPED, WorkerState.IDLE]
    assert orchestrator.devices()[0].last_given_way[0].whole
    assert [worker.restarts for worker in orchestrator.status()] == [0, 0], "leaving is not dying"
    assert held(orchestrator) == {"pictures-0": {"body": 30}}


async def test_a_run_waits_for_the_memory_of_one_that_runs(fleet, sharing, listener, tmp_path):
    orchestrator = sharing(100)
    gate = tmp_path / "gate"
    first = asyncio.create_task(orchestrator.run("films", "one", {"gate": gate}, listener, demand=demand("films")))
    await listener.heard.wait()
    second = asyncio.create_task(orchestrator.run("pictures", "two", {}, listener, demand=demand("pictures")))
    await fleet.until(lambda: orchestrator.devices()[0].waiting)
    assert not second.done()
    gate.touch()
    await asyncio.gather(first, second)

    assert held(orchestrator)["pictures-0"] == {"body": 30}


async def test_a_run_that_waits_for_memory_can_be_cancelled(fleet, sharing, listener, tmp_path):
    orchestrator = sharing(100)
    gate = tmp_path / "gate"
    first = asyncio.create_task(orchestrator.run("films", "one", {"gate": gate}, listener, demand=demand("films")))
    await listener.heard.wait()
    second = asyncio.create_task(orchestrator.run("pictures", "two", {}, listener, demand=demand("pictures")))
    await fleet.until(lambda: orchestrator.devices()[0].waiting)
    await orchestrator.cancel("two")
    with pytest.raises(RunFailed, match="waited for memory") as failed:
        await second
    assert failed.value.code == "cancelled"
    assert orchestrator.devices()[0].waiting == 0
    gate.touch()
    await first
    await orchestrator.run("pictures", "three", {}, listener, demand=demand("pictures"))


async def test_what_can_never_fit_is_said_at_once(sharing, listener):
    orchestrator = sharing(100)
    with pytest.raises(RunFailed, match=r"Ask for less\.") as failed:
        await orchestrator.run("films", "one", {}, listener, demand=demand("films", working=31))
    assert failed.value.code == "out_of_memory"
    assert orchestrator.status()[0].state is WorkerState.STOPPED
    await orchestrator.run("films", "two", {}, listener, demand=demand("films", working=30))


async def test_a_killed_worker_sets_everything_free(fleet, sharing, listener, tmp_path):
    orchestrator = sharing(100)
    run = asyncio.create_task(
        orchestrator.run("films", "one", {"gate": tmp_path / "never"}, listener, demand=demand("films", working=30))
    )
    await listener.heard.wait()
    assert orchestrator.devices()[0].working_bytes == 30
    os.kill(orchestrator.status()[0].pid, signal.SIGKILL)
    with pytest.raises(WorkerLost):
        await run
    await fleet.until(lambda: orchestrator.devices()[0].holders == [])
    assert (orchestrator.devices()[0].held_bytes, orchestrator.devices()[0].working_bytes) == (0, 0)

    await orchestrator.run("films", "two", {}, listener, demand=demand("films", working=30))
    os.kill(orchestrator.status()[0].pid, signal.SIGKILL)
    await fleet.until(lambda: orchestrator.devices()[0].holders == [])


async def test_workers_are_started_ahead_only_as_far_as_they_fit(sharing):
    orchestrator = sharing(CONTEXT + 5)
    for lane in PARTS:
        await orchestrator.prepare(lane)

    assert [worker.state for worker in orchestrator.status()] == [WorkerState.IDLE, WorkerState.STOPPED]
    assert orchestrator.devices()[0].held_bytes == CONTEXT


async def test_the_caller_is_told_what_the_run_took(sharing, listener):
    orchestrator = sharing(200)
    told = []
    await orchestrator.run(
        "films", "one", {"working": 33}, listener, demand=demand("films", working=40), on_memory=told.append
    )
    assert (told[0].working_bytes, told[0].context_bytes, dict(told[0].parts)) == (33, CONTEXT, PARTS["films"])


@pytest.mark.parametrize("ticks", range(8))
async def test_a_caller_who_leaves_at_any_moment_of_the_booking_leaves_nothing_booked(fleet, sharing, listener, ticks):
    orchestrator = sharing(100)
    await orchestrator.run("films", "warm", {}, listener, demand=demand("films"))
    leaving = asyncio.create_task(orchestrator.run("films", "one", {}, listener, demand=demand("films", working=30)))
    for _ in range(ticks):
        await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.wait([leaving])
    await fleet.until(lambda: not orchestrator.devices()[0].working_bytes)

    async with asyncio.timeout(20):
        await orchestrator.run("films", "two", {}, listener, demand=demand("films", working=30))
