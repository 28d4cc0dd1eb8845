"""What a fleet does while its workers behave: results, progress, cancels, sharing, idling and stopping."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from queue_backend.errors import RunFailed, WorkerLost
from queue_backend.slots import WorkerState
from queue_backend.worker_process import Patience

pytestmark = pytest.mark.faults


async def test_a_run_returns_its_result_and_reports_in_order(fleet, listener):
    orchestrator = fleet("Finishes", folder="models")
    result = await orchestrator.run("lane", "one", {"prompt": "a fox"}, listener)
    assert result["request"] == {"prompt": "a fox"}
    assert result["options"] == {"folder": "models"}
    steps = [report.step for report in listener.reports if report != "loading"]
    assert steps == sorted(steps)
    assert [report.preview for report in listener.reports if report != "loading"].count(b"tile") == 1
    assert steps[-1] == 2


async def test_one_process_serves_run_after_run(fleet, listener):
    orchestrator = fleet("Finishes")
    assert orchestrator.status()[0].state is WorkerState.STOPPED
    first = await orchestrator.run("lane", "one", None, listener)
    second = await orchestrator.run("lane", "two", None, listener)
    assert first["pid"] == second["pid"] == orchestrator.status()[0].pid
    assert second["loads"] == 2


async def test_prepare_starts_the_process(fleet):
    orchestrator = fleet("Finishes")
    await orchestrator.prepare("lane")
    await fleet.until(lambda: orchestrator.status()[0].state is WorkerState.IDLE)
    await fleet.until(lambda: orchestrator.status()[0].rss_bytes > 1_000_000)


async def test_a_cooperative_cancel_keeps_the_process(fleet, listener):
    orchestrator = fleet("Waits")
    run = asyncio.create_task(orchestrator.run("lane", "one", "patient", listener))
    await listener.heard.wait()
    assert orchestrator.status()[0].run_id == "one"
    pid = orchestrator.status()[0].pid
    await orchestrator.cancel("one")
    await orchestrator.cancel("one")
    with pytest.raises(RunFailed) as failed:
        await run
    assert failed.value.code == "cancelled"
    assert await orchestrator.run("lane", "two", "quick", listener) == pid


async def test_a_run_that_ignores_the_cancel_loses_its_process(fleet, listener):
    orchestrator = fleet("Waits", patience=Patience(cancel_grace_s=0.2))
    run = asyncio.create_task(orchestrator.run("lane", "one", "deaf", listener))
    await listener.heard.wait()
    pid = orchestrator.status()[0].pid
    await orchestrator.cancel("one")
    with pytest.raises(RunFailed) as failed:
        await run
    assert failed.value.code == "cancelled"
    await fleet.until_gone(pid)
    assert await orchestrator.run("lane", "two", "quick", listener) != pid
    status = orchestrator.status()[0]
    assert status.restarts == 1
    assert status.last_death == "The lane worker did not stop within 0.2 s of a cancel and was replaced."


async def test_cancelling_a_run_that_waits_or_is_unknown(fleet, listener):
    orchestrator = fleet("Waits")
    first = asyncio.create_task(orchestrator.run("lane", "one", "patient", listener))
    await listener.heard.wait()
    second = asyncio.create_task(orchestrator.run("lane", "two", "patient", listener))
    await asyncio.sleep(0)
    await orchestrator.cancel("nobody")
    await orchestrator.cancel("two")
    with pytest.raises(RunFailed, match="while it waited"):
        await second
    assert orchestrator.status()[0].run_id == "one"
    await orchestrator.cancel("one")
    with pytest.raises(RunFailed):
        await first


async def test_cancelling_while_the_process_starts(fleet, listener):
    orchestrator = fleet("Waits")
    run = asyncio.create_task(orchestrator.run("lane", "one", "patient", listener))
    await asyncio.sleep(0)
    await orchestrator.cancel("one")
    with pytest.raises(RunFailed) as failed:
        await run
    assert failed.value.code == "cancelled"
    assert listener.reports == []


async def test_a_run_cancelled_while_its_worker_loads_is_answered_at_once_and_the_load_goes_on(
    fleet, listener, tmp_path
):
    gate = tmp_path / "gate"
    orchestrator = fleet("LoadsSlowly", patience=Patience(cancel_grace_s=0.2), gate=gate)
    run = asyncio.create_task(orchestrator.run("lane", "one", None, listener))
    await fleet.until(lambda: listener.reports)
    pid = orchestrator.status()[0].pid
    await orchestrator.cancel("one")
    with pytest.raises(RunFailed, match="before it began") as failed:
        await run
    assert failed.value.code == "cancelled"

    following = asyncio.create_task(orchestrator.run("lane", "two", None, listener))
    await asyncio.sleep(0.5)
    assert not following.done(), "the worker still loads, and a load that outlasts the grace is not begun anew"
    assert orchestrator.status()[0].run_id == "one"
    gate.touch()
    assert await following == (pid, 2)


async def test_one_worker_takes_one_run_at_a_time(fleet, listener, tmp_path):
    orchestrator = fleet("WaitsForFile")
    gate, other_gate = tmp_path / "gate", tmp_path / "other"
    first = asyncio.create_task(orchestrator.run("lane", "one", gate, listener))
    await listener.heard.wait()
    other_gate.touch()
    second = asyncio.create_task(orchestrator.run("lane", "two", other_gate, listener))
    for _ in range(20):
        await asyncio.sleep(0.01)
        assert not second.done()
    gate.touch()
    assert await first == await second


async def test_two_workers_take_two_runs_at_once(fleet, tmp_path):
    orchestrator = fleet("WaitsForFile", workers=2)
    gate = tmp_path / "gate"
    seen: list[object] = []

    async def on_progress(progress: object) -> None:
        seen.append(progress)

    runs = [asyncio.create_task(orchestrator.run("lane", str(index), gate, on_progress)) for index in range(2)]
    await fleet.until(lambda: seen.count("running") == 2)
    assert {status.state for status in orchestrator.status()} == {WorkerState.BUSY}
    gate.touch()
    assert len(set(await asyncio.gather(*runs))) == 2


async def test_a_caller_that_leaves_cancels_the_run(fleet, listener):
    orchestrator = fleet("Waits")
    run = asyncio.create_task(orchestrator.run("lane", "one", "patient", listener))
    await listener.heard.wait()
    pid = orchestrator.status()[0].pid
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert await orchestrator.run("lane", "two", "quick", listener) == pid


async def test_a_caller_that_leaves_while_the_process_starts(fleet, listener):
    orchestrator = fleet("Waits")
    run = asyncio.create_task(orchestrator.run("lane", "one", "patient", listener))
    await asyncio.sleep(0.001)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    pid = await orchestrator.run("lane", "two", "quick", listener)
    assert orchestrator.status()[0].pid == pid
    assert orchestrator.status()[0].restarts == 0


async def test_a_process_that_cannot_start_is_explained(fleet, listener):
    fleet.log_dir.write_text("not a folder")
    with pytest.raises(WorkerLost, match="The lane worker could not be started: "):
        await fleet("Finishes").run("lane", "one", None, listener)


async def test_a_reader_that_fails_cancels_the_run(fleet, listener):
    orchestrator = fleet("Waits")

    async def lose_the_lease(progress: object) -> None:
        if progress == "running":
            raise LookupError("The lease is lost.")

    with pytest.raises(LookupError):
        await orchestrator.run("lane", "one", "patient", lose_the_lease)
    assert isinstance(await orchestrator.run("lane", "two", "quick", listener), int)


async def test_an_idle_worker_leaves_and_comes_back(fleet, listener):
    orchestrator = fleet("Finishes", patience=Patience(idle_exit_s=0.1, heartbeat_timeout_s=1.0))
    first = await orchestrator.run("lane", "one", None, listener)
    await fleet.until(lambda: orchestrator.status()[0].state is WorkerState.STOPPED)
    assert "released" in (fleet.log_dir / "worker-lane-0.log").read_text()
    second = await orchestrator.run("lane", "two", None, listener)
    assert first["pid"] != second["pid"]
    assert orchestrator.status()[0].restarts == 0


async def test_stop_lets_a_run_finish(fleet, listener, tmp_path):
    orchestrator = fleet("WaitsForFile")
    gate = tmp_path / "gate"
    run = asyncio.create_task(orchestrator.run("lane", "one", gate, listener))
    await listener.heard.wait()
    waiting = asyncio.create_task(orchestrator.run("lane", "two", gate, listener))
    pid = orchestrator.status()[0].pid
    stop = asyncio.create_task(orchestrator.stop(grace_s=20))
    with pytest.raises(WorkerLost, match="stopping"):
        await waiting
    gate.touch()
    await stop
    assert await run == pid
    await fleet.until_gone(pid)
    with pytest.raises(WorkerLost, match="stopping"):
        await orchestrator.run("lane", "three", gate, listener)


async def test_stop_kills_a_run_that_does_not_finish(fleet, listener):
    orchestrator = fleet("Waits")
    run = asyncio.create_task(orchestrator.run("lane", "one", "deaf", listener))
    await listener.heard.wait()
    pid = orchestrator.status()[0].pid
    await orchestrator.stop(grace_s=0.1)
    with pytest.raises(WorkerLost, match="stopped together with the studio"):
        await run
    await fleet.until_gone(pid)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts descriptors through /proc")
async def test_nothing_is_left_behind(fleet, listener):
    await fleet("Finishes").run("lane", "warm", None, listener)
    await fleet.made[0].stop(grace_s=20)
    await fleet.until(lambda: not worker_threads())
    descriptors = open_descriptors()
    for index in range(3):
        orchestrator = fleet("Finishes")
        await orchestrator.run("lane", str(index), None, listener)
        await orchestrator.stop(grace_s=20)
    await fleet.until(lambda: not worker_threads())
    assert open_descriptors() == descriptors


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def worker_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if " of lane " in thread.name]
