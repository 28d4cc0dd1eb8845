"""The child process: holds one pipeline and answers the messages of its parent.

Started as `python -m queue_backend.worker <fd>` on one end of a socket pair, and not through multiprocessing's spawn,
which would import the parent's main module, and with it the web interface, again.

The main thread computes. A second thread listens, so that a cancel arrives while the pipeline computes, and ends
the process at once when the parent is gone: no worker outlives its parent. A third sends heartbeats.
"""

from __future__ import annotations

import errno
import faulthandler
import importlib
import logging
import os
import pickle
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any, Final, NoReturn, Protocol

import psutil

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
    WorkerSpec,
)

HEARTBEAT_S: Final = 1.0
EXIT_ORPHANED: Final = 71
EXIT_POISONED: Final = 70
"""The process left by itself after an error that ruins its device context."""

_logger = logging.getLogger("queue_backend.worker")


class Occupied(Protocol):
    """What a runnable says of its memory; see queue_backend.messages.Memory."""

    @property
    def parts(self) -> Mapping[str, int]: ...

    @property
    def now_bytes(self) -> int: ...

    @property
    def peak_bytes(self) -> int: ...


class Runnable(Protocol):
    """What the factory returns: a pipeline, seen from here. Methods are called from one thread, never at once."""

    def load(self, report: Callable[[Any], None]) -> None:
        """Bring everything into memory. Idempotent; called before every run."""

    def generate(self, request: Any, report: Callable[[Any], None], is_cancelled: Callable[[], bool]) -> Any:
        """Answer `request`. An exception's `code` and `transient` attributes travel to the parent."""

    def give_way(self, parts: Collection[str]) -> None:
        """Take these parts off the device; what a run needs comes back by itself."""

    def occupied(self) -> Occupied:
        """What is held now, and at most since the last run began."""

    def release(self) -> None:
        """Give back all memory."""


class Link:
    """The connection to the parent. Any thread may send."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def send(self, message: FromWorker) -> None:
        """Send `message`. Raises what pickling raises; a parent that is gone is the listener's business."""
        payload = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
        with self._lock:
            try:
                self._connection.send_bytes(payload)
            except OSError:
                _logger.debug("The parent no longer listens.")

    def receive(self) -> Any:
        """The next message. Raises EOFError or OSError when the parent is gone, else what unpickling raises."""
        return self._connection.recv()


class Inbox:
    """What the listener thread hands to the main thread: work in order, and which runs were cancelled."""

    def __init__(self) -> None:
        self.work: queue.SimpleQueue[Run | GiveWay | Shutdown] = queue.SimpleQueue()
        self._cancelled: set[str] = set()

    def listen(self, link: Link) -> None:
        """Read messages until the parent is gone, then end the process."""
        while True:
            try:
                message = link.receive()
            except (EOFError, OSError):
                end_orphaned()
            except Exception as error:  # unpickling imports and runs the sender's classes: anything may be raised
                link.send(failure("", error))
                continue
            if isinstance(message, Cancel):
                self._cancelled.add(message.run_id)
            else:
                self.work.put(message)

    def is_cancelled(self, run_id: str) -> bool:
        """Whether the parent asked to stop this run."""
        return run_id in self._cancelled

    def forget_cancels(self) -> None:
        """The run has ended. The parent sends the next one only after it got this one's answer."""
        self._cancelled.clear()


class Worker:
    """Runs what the inbox brings, one after the other, on the pipeline that the spec describes."""

    def __init__(self, spec: WorkerSpec, link: Link, inbox: Inbox) -> None:
        self._spec = spec
        self._link = link
        self._inbox = inbox
        self._runnable: Runnable | None = None

    def warm_up(self) -> None:
        """Import the factory's modules ahead of the first run. A failure is told to that run, which tries again."""
        try:
            self._runnable = build(self._spec)
        except Exception:  # whatever the factory's modules raise on import
            _logger.exception("The worker's factory %s failed.", self._spec.factory)

    def serve(self) -> int:
        """Work until told to stop; returns the exit code."""
        while True:
            message = self._inbox.work.get()
            if isinstance(message, Shutdown):
                if self._runnable is not None:
                    self._runnable.release()
                return 0
            if isinstance(message, GiveWay):
                self._give_way(message.parts)
                continue
            answer = replace(self._answer(message), memory=self.memory())
            self._inbox.forget_cancels()
            try:
                self._link.send(answer)
            except Exception as error:  # pickling runs the result's own code: anything may be raised
                _logger.exception("The result of run %s cannot be sent.", message.run_id)
                self._link.send(failure(message.run_id, error))
            if isinstance(answer, Failed) and answer.fatal:
                return EXIT_POISONED

    def memory(self) -> Memory | None:
        """What the process occupies, where that is known."""
        if self._runnable is None:
            return None
        try:
            held = self._runnable.occupied()
        except Exception:  # a poisoned device refuses even to be asked; the run's own answer is what matters
            _logger.exception("The worker's memory could not be measured.")
            return None
        return Memory(parts=dict(held.parts), now_bytes=held.now_bytes, peak_bytes=held.peak_bytes)

    def _give_way(self, parts: tuple[str, ...]) -> None:
        if self._runnable is not None:
            try:
                self._runnable.give_way(parts)
            except Exception:  # the ledger is told what is still held, and turns to others
                _logger.exception("%s could not give way.", ", ".join(parts))
        self._link.send(GaveWay(memory=self.memory()))

    def _answer(self, run: Run) -> Finished | Failed:
        def report(progress: Any) -> None:
            self._link.send(Reported(run_id=run.run_id, progress=progress))

        def is_cancelled() -> bool:
            return self._inbox.is_cancelled(run.run_id)

        try:
            if self._runnable is None:
                self._runnable = build(self._spec)
            if not is_cancelled():
                self._runnable.load(report)
            if is_cancelled():
                return cancelled(run.run_id)
            self._link.send(Began(run_id=run.run_id))
            return Finished(run_id=run.run_id, result=self._runnable.generate(run.request, report, is_cancelled))
        except Exception as error:  # the pipeline's failure belongs to the run, not to the process
            answer = failure(run.run_id, error)
            _logger.log(logging.INFO if answer.code == "cancelled" else logging.ERROR, "%s", answer.traceback)
            return answer


def build(spec: WorkerSpec) -> Runnable:
    """Call the spec's factory. Raises what importing or calling it raises."""
    module, _, function = spec.factory.partition(":")
    runnable: Runnable = getattr(importlib.import_module(module), function)(**spec.options)
    return runnable


def cancelled(run_id: str) -> Failed:
    """The answer to a run that was cancelled before it began to compute."""
    return Failed(run_id=run_id, code="cancelled", message="The run was cancelled.", transient=False, traceback="")


def failure(run_id: str, error: Exception) -> Failed:
    """What the parent is told about `error`. Only errors that carry a code of their own are quoted to people."""
    code = getattr(error, "code", None)
    if isinstance(code, str):
        message = str(error) or type(error).__name__
    elif isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # torch's, by name: no import
        code, message = "out_of_memory", "The worker ran out of memory."
    elif isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        code, message = "storage_full", "The disk is full. Free some space, then try again."
    else:
        code, message = "internal", f"An unexpected error stopped the run ({type(error).__name__})."
    fatal = is_fatal(error)
    return Failed(
        run_id=run_id,
        code=code,
        message=message,
        transient=bool(getattr(error, "transient", False)) or fatal,
        traceback="".join(traceback.format_exception(error)),
        fatal=fatal,
    )


def is_fatal(error: BaseException | None) -> bool:
    """Whether a CUDA error other than plain exhaustion lies beneath: every later call in the process would fail too."""
    while error is not None:
        if type(error).__name__ == "AcceleratorError" or "CUDA error" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def end_orphaned() -> NoReturn:
    """End this process, and what it started, without waiting for anything."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(EXIT_ORPHANED)


def beat(link: Link) -> None:
    """Send heartbeats for as long as the process lives."""
    process = psutil.Process()
    pause = threading.Event()
    while True:
        link.send(Heartbeat(rss_bytes=process.memory_info().rss))
        pause.wait(HEARTBEAT_S)


def main(descriptor: int) -> int:
    """Serve the parent at the other end of the socket `descriptor`; returns the exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C reaches the whole terminal; the parent decides what it means
    os.set_inheritable(descriptor, False)
    faulthandler.enable()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")

    link = Link(Connection(descriptor))
    try:
        spec = link.receive()
    except (EOFError, OSError):
        return EXIT_ORPHANED
    inbox = Inbox()
    worker = Worker(spec, link, inbox)
    threading.Thread(target=inbox.listen, args=(link,), name="listener", daemon=True).start()
    threading.Thread(target=beat, args=(link,), name="heartbeat", daemon=True).start()
    worker.warm_up()
    link.send(Started(pid=os.getpid(), memory=worker.memory()))
    return worker.serve()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
