"""One small runnable a failure mode, imported by the worker processes under test."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection
from types import SimpleNamespace
from typing import Any

Report = Callable[[Any], None]
IsCancelled = Callable[[], bool]
WAIT_S = 0.01


class Runnable:
    """Counts its loads; subclasses say what a run does."""

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.loads = 0

    def load(self, report: Report) -> None:
        report("loading")
        self.loads += 1

    def generate(self, request: Any, report: Report, is_cancelled: IsCancelled) -> Any:
        raise NotImplementedError

    def give_way(self, parts: Collection[str]) -> None:
        """Nothing is held."""

    def occupied(self) -> Any:
        return SimpleNamespace(parts={}, now_bytes=0, peak_bytes=0)

    def release(self) -> None:
        print("released", flush=True)


class Finishes(Runnable):
    def generate(self, request: Any, report: Report, is_cancelled: IsCancelled) -> Any:
        for step in range(3):
            report(SimpleNamespace(step=step, preview=b"tile" if step == 1 else None))
        return {"request": request, "options": self.options, "loads": self.loads, "pid": os.getpid()}


class Coded(Exception):
    code = "model_missing"
    transient = True


class AcceleratorError(RuntimeError):
    """Named as torch names it."""


class Raises(Runnable):
    """Raises what the request names, and otherwise returns."""

    def generate(self, request: Any, report: Report, is_cancelled: IsCancelled) -> Any:
        match request:
            case "plain":
                raise ValueError("the inner secret")
            case "coded":
                raise Coded("No checkpoint here.")
            case "memory":
                raise MemoryError
            case "device":
                raise Coded("The device failed.") from AcceleratorError("CUDA error: device-side assert triggered")
            case "unpicklable":
                return lambda: None
            case "unreadable":
                return Coded("known in the child alone")
        return os.getpid()


class Waits(Runnable):
    """Runs until cancelled, or, asked to be "deaf", for ever. The request "quick" returns at once."""

    def generate(self, request: Any, report: Report, is_cancelled: IsCancelled) -> Any:
        if request == "quick":
            return os.getpid()
        report("running")
        while request == "deaf" or not is_cancelled():
            time.sleep(WAIT_S)
        cancelled = Coded("Stopped.")
        cancelled.code = "cancelled"
        raise cancelled


class WaitsForFile(Runnable):
    """Runs until the file that the request names exists."""

    def generate(self, request: Any, report: Report, is_cancelled: IsCancelled) -> Any:
        report("running")
        while not request.exists():
            time.sleep(WAIT_S)
        return os.getpid()


class LoadsSlowly(Runnable):
    """Loads until the file of the option `gate` exists, whatever is asked of it; a run then takes no time."""

    def load(self, report: Report) -> None:
        super().load(report)
        while not self.options["gate"].exists():
            time.sleep(WAIT_S)

    def generate(self, request: Any, report: Report, is_cancelled: IsCancelled) -> Any:
        return (os.getpid(), self.loads)


class Weighs(Runnable):
    """Has parts of the bytes that its option says, and a process of `context` bytes. A request brings all parts back,
    takes `working` bytes and waits for the file `gate`, where it names one; "overflow" names an error."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.here: dict[str, int] = {}
        self.peak = 0

    def generate(self, request: Any, report: Report, is_cancelled: IsCancelled) -> Any:
        self.here = dict(self.options["parts"])
        self.peak = sum(self.here.values()) + self.options["context"] + request.get("working", 0)
        report("running")
        while "gate" in request and not request["gate"].exists() and not is_cancelled():
            time.sleep(WAIT_S)
        return os.getpid()

    def give_way(self, parts: Collection[str]) -> None:
        for part in parts:
            self.here.pop(part, None)

    def occupied(self) -> Any:
        now = sum(self.here.values()) + self.options["context"]
        return SimpleNamespace(parts=dict(self.here), now_bytes=now, peak_bytes=max(now, self.peak))


class Dies(Runnable):
    """Ends its own process in the way the request names."""

    def generate(self, request: Any, report: Report, is_cancelled: IsCancelled) -> Any:
        report("running")
        match request:
            case "exit":
                print("the last words", flush=True)
                sys.exit(3)
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "hang":
                os.kill(os.getpid(), signal.SIGSTOP)
            case "segfault":
                os.kill(os.getpid(), signal.SIGSEGV)
        return os.getpid()


class HasChild(Runnable):
    """Starts a process of its own, reports its id and waits."""

    def generate(self, request: Any, report: Report, is_cancelled: IsCancelled) -> Any:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        report(child.pid)
        return child.wait()


def broken(**options: Any) -> Runnable:
    raise ImportError("No module named 'missing'.")
