"""What a fleet does when a run or a process goes wrong, one runnable a failure mode."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from queue_backend.errors import RunFailed, WorkerLost
from queue_backend.slots import WorkerState
from queue_backend.worker_process import Patience

pytestmark = pytest.mark.faults


@pytest.fixture
def only_here(monkeypatch) -> object:
    """An object of a class that the worker cannot import."""
    module = ModuleType("only_here")
    module.OnlyHere = type("OnlyHere", (), {"__module__": "only_here"})
    monkeypatch.setitem(sys.modules, "only_here", module)
    return module.OnlyHere()


async def fail(orchestrator, request, listener) -> RunFailed:
    with pytest.raises(RunFailed) as failed:
        await orchestrator.run("lane", "failing", request, listener)
    return failed.value


async def lose(orchestrator, request, listener) -> WorkerLost:
    with pytest.raises(WorkerLost) as lost:
        await orchestrator.run("lane", "losing", request, listener)
    return lost.value


async def test_an_exception_fails_the_run_alone(fleet, listener):
    orchestrator = fleet("Raises")
    pid = await orchestrator.run("lane", "one", None, listener)
    failed = await fail(orchestrator, "plain", listener)
    assert (failed.code, failed.transient) == ("internal", False)
    assert failed.message == "An unexpected error stopped the run (ValueError)."
    assert "the inner secret" in failed.traceback
    assert await orchestrator.run("lane", "two", None, listener) == pid


async def test_a_coded_error_keeps_its_code_and_its_words(fleet, listener):
    failed = await fail(fleet("Raises"), "coded", listener)
    assert (failed.code, failed.transient, failed.message) == ("model_missing", True, "No checkpoint here.")


async def test_running_out_of_memory_has_a_code(fleet, listener):
    assert (await fail(fleet("Raises"), "memory", listener)).code == "out_of_memory"


async def test_a_ruined_device_context_replaces_the_process(fleet, listener):
    orchestrator = fleet("Raises")
    pid = await orchestrator.run("lane", "one", None, listener)
    failed = await fail(orchestrator, "device", listener)
    assert (failed.code, failed.transient) == ("model_missing", True)
    assert await orchestrator.run("lane", "two", None, listener) != pid
    assert orchestrator.status()[0].last_death == (
        "The lane worker left after an error that ruined its device context."
    )


async def test_a_result_that_cannot_be_pickled_fails_the_run_alone(fleet, listener):
    orchestrator = fleet("Raises")
    pid = await orchestrator.run("lane", "one", None, listener)
    assert (await fail(orchestrator, "unpicklable", listener)).code == "internal"
    assert await orchestrator.run("lane", "two", None, listener) == pid


async def test_a_result_that_cannot_be_read_fails_the_run(fleet, listener):
    orchestrator = fleet("Raises")
    failed = await fail(orchestrator, "unreadable", listener)
    assert (failed.code, failed.message) == ("internal", "The worker's answer could not be read.")
    assert isinstance(await orchestrator.run("lane", "two", None, listener), int)


async def test_a_request_that_cannot_be_sent_or_read_fails_the_run_alone(fleet, listener, only_here):
    orchestrator = fleet("Raises")
    pid = await orchestrator.run("lane", "one", None, listener)
    assert (await fail(orchestrator, lambda: None, listener)).code == "internal"
    assert (await fail(orchestrator, only_here, listener)).code == "internal"
    assert await orchestrator.run("lane", "two", None, listener) == pid


async def test_a_factory_that_fails_fails_every_run(fleet, listener):
    orchestrator = fleet("broken")
    for _ in range(2):
        assert "No module named 'missing'" in (await fail(orchestrator, None, listener)).traceback
    assert orchestrator.status()[0].restarts == 0


async def test_a_process_that_exits_is_explained_and_replaced(fleet, listener):
    orchestrator = fleet("Dies")
    lost = await lose(orchestrator, "exit", listener)
    assert str(lost) == "The lane worker exited by itself with code 3."
    assert (lost.code, lost.transient, lost.exit_code) == ("worker_lost", True, 3)
    assert "the last words" in lost.log_tail
    assert isinstance(await orchestrator.run("lane", "two", None, listener), int)
    status = orchestrator.status()[0]
    assert (status.restarts, status.last_death, status.state) == (1, str(lost), WorkerState.IDLE)


@pytest.mark.parametrize(
    ("request_", "exit_code", "words"),
    [
        ("kill", -signal.SIGKILL, "was killed (signal 9, SIGKILL), likely by the system for lack of memory"),
        ("segfault", -signal.SIGSEGV, "crashed in native code (signal 11, SIGSEGV)"),
    ],
)
async def test_a_process_that_is_killed_is_explained(fleet, listener, request_, exit_code, words):
    lost = await lose(fleet("Dies"), request_, listener)
    assert str(lost) == f"The lane worker {words}."
    assert lost.exit_code == exit_code


async def test_a_process_that_hangs_is_replaced(fleet, listener):
    orchestrator = fleet("Dies", patience=Patience(heartbeat_timeout_s=2.0))
    lost = await lose(orchestrator, "hang", listener)
    assert str(lost) == "The lane worker stopped answering for 2 s and was replaced."
    assert isinstance(await orchestrator.run("lane", "two", None, listener), int)


async def test_the_death_of_an_idle_process_is_noticed(fleet, listener):
    orchestrator = fleet("Raises")
    pid = await orchestrator.run("lane", "one", None, listener)
    os.kill(pid, signal.SIGTERM)
    await fleet.until(lambda: orchestrator.status()[0].state is WorkerState.STOPPED)
    await fleet.until(lambda: orchestrator.status()[0].restarts == 1)
    assert orchestrator.status()[0].last_death == "The lane worker was ended from outside (signal 15, SIGTERM)."
    assert await orchestrator.run("lane", "two", None, listener) != pid


async def test_ctrl_c_is_left_to_the_parent(fleet, listener):
    orchestrator = fleet("Raises")
    pid = await orchestrator.run("lane", "one", None, listener)
    os.kill(pid, signal.SIGINT)
    assert await orchestrator.run("lane", "two", None, listener) == pid


async def test_what_a_worker_started_ends_with_it(fleet):
    orchestrator = fleet("HasChild", patience=Patience(cancel_grace_s=0.1))
    heard: asyncio.Queue[object] = asyncio.Queue()
    run = asyncio.create_task(orchestrator.run("lane", "one", None, heard.put))
    while not isinstance(grandchild := await heard.get(), int):
        pass
    await orchestrator.cancel("one")
    with pytest.raises(RunFailed):
        await run
    await fleet.until_gone(grandchild)


@pytest.fixture
def parent(tmp_path) -> Iterator[subprocess.Popen[str]]:
    """Another program with a worker that computes."""
    here = Path(__file__).parent
    environment = os.environ | {"PYTHONPATH": str(here.parents[2])}
    command = [sys.executable, str(here / "parent.py"), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as parent:
        yield parent
        parent.kill()


async def test_no_worker_outlives_a_killed_parent(fleet, parent):
    worker = int(await asyncio.to_thread(parent.stdout.readline))
    parent.kill()
    await fleet.until_gone(worker)
