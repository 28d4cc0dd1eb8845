"""One worker process, seen from its parent: from its start to the sentence that says why it ended."""

from __future__ import annotations

import asyncio
import logging
import pickle
import queue
import socket
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from queue_backend.errors import RunError, RunFailed, WorkerLost
from queue_backend.mailbox import OnProgress, ProgressMailbox
from queue_backend.messages import (
    Began,
    Cancel,
    Failed,
    Finished,
    FromWorker,
    GaveWay,
    GiveWay,
    Heartbeat,
    Memory,
    Reported,
    Run,
    Shutdown,
    Started,
    ToWorker,
    WorkerSpec,
)
from queue_backend.spawning import explain, kill_group, read_tail, spawn

HEARTBEAT_TIMEOUT_S: Final = 20.0
CANCEL_GRACE_S: Final = 30.0
START_TIMEOUT_S: Final = 180.0
"""Importing a model library from a cold network volume holds the interpreter, and with it the heartbeat, for long."""

POLL_INTERVAL_S: Final = 1.0

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long a parent waits, in seconds, before it takes a worker for lost. `idle_exit_s` None means never."""

    heartbeat_timeout_s: float = HEARTBEAT_TIMEOUT_S
    cancel_grace_s: float = CANCEL_GRACE_S
    start_timeout_s: float = START_TIMEOUT_S
    idle_exit_s: float | None = None


class WorkerProcess:
    """A running child process. Made by `start`; used from one event loop; takes one run at a time.

    `ready` once the factory's modules are imported, `settled` then or when it is gone; `closing` once it must get no
    more work; `dismissed` where its end was asked for; `ended` when it is gone. `memory` is what it last said that it
    occupies. `last_heard` and `idle_since` are on the monotonic clock, in seconds.
    """

    def __init__(self, spec: WorkerSpec, process: subprocess.Popen[bytes], connection: Connection, log: Path) -> None:
        self.spec = spec
        self.pid = process.pid
        self.started_at = time.time()
        self.rss_bytes = 0
        self.memory: Memory | None = None
        self.ready = False
        self.settled = asyncio.Event()
        self.ended = asyncio.Event()
        self.closing = False
        self.dismissed = False
        self.exit_code: int | None = None
        self.idle_since = time.monotonic()
        self.last_heard = time.monotonic()
        self._process = process
        self._connection = connection
        self._log = log
        self._log_start = log.stat().st_size
        self._outbox: queue.SimpleQueue[ToWorker | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write, name=f"writer of {spec.lane} {self.pid}", daemon=True)
        self._loop = asyncio.get_running_loop()
        self._run: _CurrentRun | None = None
        self._verdict: str | None = None
        self._killed_for: RunError | None = None
        self._giving_way: asyncio.Future[Memory | None] | None = None

    @classmethod
    async def start(cls, spec: WorkerSpec, log: Path) -> WorkerProcess:
        """Start the child, its output appended to `log`. Raises OSError where no process can be made, and what
        pickling the spec raises."""
        introduction = pickle.dumps(spec)
        ours, theirs = socket.socketpair()
        try:
            process = await asyncio.to_thread(spawn, spec, theirs.fileno(), log)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        worker = cls(spec, process, Connection(ours.detach()), log)
        with suppress(OSError):  # a child that is already dead is reported by the reader
            worker._connection.send_bytes(introduction)
        worker._writer.start()
        threading.Thread(target=worker._read, name=f"reader of {spec.lane} {process.pid}", daemon=True).start()
        return worker

    @property
    def run_id(self) -> str | None:
        """The run in progress."""
        return self._run.run_id if self._run else None

    async def run(self, run_id: str, request: Any, on_progress: OnProgress) -> Any:
        """Run `request` and return its result. Raises RunFailed, WorkerLost, or what `on_progress` raises.

        When this coroutine is cancelled or `on_progress` raises, the run goes on in the worker until `quiesce`.
        """
        current = self._run = _CurrentRun(run_id)
        if self.ended.is_set():
            self._end_run(error=self._lost())
        else:
            self._outbox.put(Run(run_id=run_id, request=request))
        await current.mailbox.deliver(on_progress)
        return current.answer.result()

    async def cancel(self, patience: Patience) -> None:
        """Ask the current run to stop, and kill the process if it has not stopped within the grace.

        Importing and loading cannot be cut short. The caller of a run that has not begun gets its answer at once, and
        the process may take as long as a start may: the next run needs the model too.
        """
        current = self._run
        if current is None or current.cancelling:
            return
        current.cancelling = True
        self._outbox.put(Cancel(run_id=current.run_id))
        grace_s = patience.cancel_grace_s
        if not current.began:
            grace_s = max(grace_s, patience.start_timeout_s)
            current.reply(error=RunFailed("The run was cancelled before it began.", code="cancelled"))
        if not await _happens(current.ended, grace_s):
            sentence = f"did not stop within {grace_s:g} s of a cancel and was replaced"
            self.kill(sentence, RunFailed("The run was cancelled.", code="cancelled"))
            await self.ended.wait()

    async def give_way(self, parts: tuple[str, ...]) -> Memory | None:
        """Have the idle process take `parts` off its device. Returns what it then holds; None where it is gone."""
        if self.ended.is_set():
            return None
        self._giving_way = asyncio.get_running_loop().create_future()
        self._outbox.put(GiveWay(parts=parts))
        return await self._giving_way

    async def quiesce(self, patience: Patience) -> None:
        """Return once no run is in progress: cancel what is, or kill the process."""
        await self.cancel(patience)
        if self._run is not None:
            await self._run.ended.wait()

    async def shutdown(self, grace_s: float, verdict: str) -> None:
        """Let the current run finish, release the model and exit; kill what is left after `grace_s` seconds."""
        self.closing = self.dismissed = True
        self._verdict = self._verdict or verdict
        self._outbox.put(Shutdown())
        if not await _happens(self.ended, grace_s):
            self.kill(verdict)
            await self.ended.wait()

    def kill(self, verdict: str, error: RunError | None = None) -> None:
        """End the process and everything it started. `verdict` completes "The sdxl worker ..."."""
        self.closing = True
        self._verdict, self._killed_for = verdict, error
        kill_group(self.pid)

    async def watch(self, patience: Patience) -> None:
        """Kill the process when its heart stops and let it go when it was idle too long; returns when it has ended."""
        interval_s = min(POLL_INTERVAL_S, patience.start_timeout_s / 4, patience.heartbeat_timeout_s / 4)
        while not await _happens(self.ended, interval_s):
            silent_s = time.monotonic() - self.last_heard
            limit_s = patience.heartbeat_timeout_s if self.ready else patience.start_timeout_s
            idle_s = time.monotonic() - self.idle_since
            if silent_s > limit_s:
                self.kill(f"stopped answering for {limit_s:g} s and was replaced")
            elif patience.idle_exit_s is not None and self._run is None and idle_s > patience.idle_exit_s:
                await self.shutdown(patience.cancel_grace_s, "was idle and gave its memory back")

    @property
    def death(self) -> str:
        """Why the process ended, as a sentence for people. Meaningful once `ended` is set."""
        return f"The {self.spec.lane} worker {self._verdict or explain(self.exit_code)}."

    def log_tail(self) -> str:
        """The last lines that this process wrote."""
        return read_tail(self._log, self._log_start)

    def _write(self) -> None:
        """Thread: send what the outbox holds. A child that was stopped reads nothing, and a full pipe would block."""
        while (message := self._outbox.get()) is not None:
            try:
                self._connection.send(message)
            except OSError:
                return  # the process is gone; the reader tells
            except Exception as error:  # pickling runs the request's own code: anything may be raised
                _logger.exception("A request cannot be sent to the %s worker.", self.spec.lane)
                text = f"The request could not be handed to the worker ({type(error).__name__})."
                failed = Failed(run_id="", code="internal", message=text, transient=False, traceback="")
                self._hand_over(self._on_message, failed)

    def _read(self) -> None:
        """Thread: hand messages to the event loop until the process is gone. Polls, since a grandchild may hold
        the other end of the socket open after the worker's death."""
        while True:
            try:
                if not self._connection.poll(POLL_INTERVAL_S):
                    if self._process.poll() is None:
                        continue
                    break
                message = self._connection.recv()
            except (EOFError, OSError):
                break
            except Exception:  # unpickling imports and runs the sender's classes: anything may be raised
                _logger.exception("An answer of the %s worker cannot be read.", self.spec.lane)
                self._hand_over(self._on_unreadable, None)
                continue
            self.last_heard = time.monotonic()
            self._hand_over(self._on_message, message)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(POLL_INTERVAL_S)
        kill_group(self.pid)
        self._process.wait()
        self._outbox.put(None)
        self._writer.join()
        self._connection.close()
        self._hand_over(self._on_end, self._process.returncode)

    def _hand_over(self, callback: Any, argument: Any) -> None:
        with suppress(RuntimeError):  # the event loop is closed: the parent is leaving, and nobody waits
            self._loop.call_soon_threadsafe(callback, argument)

    def _on_message(self, message: FromWorker) -> None:
        match message:
            case Started(memory=memory):
                self.memory = memory
                self.ready = True
                self.settled.set()
            case GaveWay(memory=memory):
                self.memory = memory
                self._end_giving_way(memory)
            case Began(run_id=run_id) if run_id == self.run_id and self._run:
                self._run.began = True
            case Heartbeat(rss_bytes=rss_bytes):
                self.rss_bytes = rss_bytes
            case Reported(run_id=run_id, progress=progress) if run_id == self.run_id and self._run:
                self._run.mailbox.put(progress)
            case Finished(run_id=run_id, result=result, memory=memory) if run_id == self.run_id:
                self.memory = memory or self.memory
                self._end_run(result=result)
            case Failed(run_id=run_id) as failed if run_id in ("", self.run_id):
                self.closing = self.closing or failed.fatal
                self.memory = failed.memory or self.memory
                error = RunFailed(
                    failed.message, code=failed.code, transient=failed.transient, traceback=failed.traceback
                )
                self._end_run(error=error)

    def _on_unreadable(self, _: None) -> None:
        error = RunFailed("The worker's answer could not be read.", code="internal")
        self.kill("sent an answer that could not be read and was replaced", error)

    def _on_end(self, exit_code: int) -> None:
        self.exit_code = exit_code
        self._end_run(error=self._killed_for or self._lost())
        self.settled.set()
        self.ended.set()
        self._end_giving_way(None)

    def _end_giving_way(self, memory: Memory | None) -> None:
        if self._giving_way is not None and not self._giving_way.done():
            self._giving_way.set_result(memory)

    def _lost(self) -> WorkerLost:
        return WorkerLost(self.death, exit_code=self.exit_code, log_tail=self.log_tail())

    def _end_run(self, *, result: Any = None, error: RunError | None = None) -> None:
        current, self._run = self._run, None
        self.idle_since = time.monotonic()
        if current is None:
            return
        current.reply(result=result, error=error)
        current.ended.set()


class _CurrentRun:
    """The run that a worker works on. `began` once the worker computes its request."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.mailbox = ProgressMailbox()
        self.answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.ended = asyncio.Event()
        self.began = False
        self.cancelling = False

    def reply(self, *, result: Any = None, error: RunError | None = None) -> None:
        """Answer the caller, unless the run was answered before."""
        if self.answer.done():
            return
        if error is None:
            self.answer.set_result(result)
        else:
            self.answer.set_exception(error)
            self.answer.exception()  # seen: the caller may have left
        self.mailbox.close()


async def _happens(event: asyncio.Event, within_s: float) -> bool:
    try:
        async with asyncio.timeout(within_s):
            await event.wait()
    except TimeoutError:
        return False
    return True
