"""The operating system's part of a worker: starting its process, ending it, and saying in words how it ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from queue_backend.messages import WorkerSpec
from queue_backend.worker import EXIT_POISONED

LOG_TAIL_BYTES: Final = 8_192
LOG_TAIL_LINES: Final = 20
LOG_ROTATE_BYTES: Final = 10_000_000

_PROGRAM_ROOT = Path(__file__).resolve().parents[1]
_SHARED_CORES: Final = {"OMP_WAIT_POLICY": "PASSIVE"}
"""Idle OpenMP threads sleep. By default they spin, and two workers on the same cores take each other's time: on 2 cores
the same steps of a UNet took 20 to 38 s beside each other instead of 8."""
_CRASHES = (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE)


def spawn(spec: WorkerSpec, descriptor: int, log: Path) -> subprocess.Popen[bytes]:
    """Start the child process with the socket `descriptor`. Blocks for some milliseconds. Raises OSError."""
    rotate(log)
    search = [spec.environment.get("PYTHONPATH"), str(_PROGRAM_ROOT), os.environ.get("PYTHONPATH")]
    environment = (
        _SHARED_CORES | os.environ | spec.environment | {"PYTHONPATH": os.pathsep.join(path for path in search if path)}
    )
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-P", "-u", "-m", "queue_backend.worker", str(descriptor)],
            env=environment,
            pass_fds=(descriptor,),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            process_group=0,  # its own group, so that it can be killed together with what it starts
        )


def rotate(log: Path) -> None:
    """Keep one older file beside a log that has grown past LOG_ROTATE_BYTES; make its folder where it is missing."""
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > LOG_ROTATE_BYTES:
        log.replace(log.with_suffix(".old.log"))


def read_tail(log: Path, start: int) -> str:
    """The last lines of `log` that were written after byte `start`; empty where it cannot be read."""
    with suppress(OSError), log.open("rb") as file:
        file.seek(max(start, log.stat().st_size - LOG_TAIL_BYTES))
        return "\n".join(file.read().decode(errors="replace").splitlines()[-LOG_TAIL_LINES:])
    return ""


def kill_group(pid: int) -> None:
    """Kill the process group that the worker leads; nothing happens where none is left."""
    with suppress(ProcessLookupError, PermissionError):  # macOS answers EPERM for a group of zombies
        os.killpg(pid, signal.SIGKILL)


def explain(exit_code: int | None) -> str:
    """An exit code as the end of a sentence, as in "The sdxl worker was killed (signal 9, SIGKILL), ..."."""
    if exit_code is None:
        return "has not ended"
    if exit_code == EXIT_POISONED:
        return "left after an error that ruined its device context"
    if exit_code >= 0:
        return f"exited by itself with code {exit_code}"
    number = -exit_code
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = "unknown"
    if number == signal.SIGKILL:
        return f"was killed (signal {number}, {name}), likely by the system for lack of memory"
    if number in _CRASHES:
        return f"crashed in native code (signal {number}, {name})"
    return f"was ended from outside (signal {number}, {name})"
