"""Ask other programs, and the studio's own modules in an interpreter of their own: what needs torch runs there."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_PROGRAM_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """How a program ended: its exit code, what it printed, and what it complained of."""

    exit_code: int
    output: str
    complaint: str

    @property
    def last_complaint(self) -> str:
        """The last line of the complaint, which says the most; empty where there is none."""
        return (self.complaint.strip().splitlines() or [""])[-1]


def run_module(module: str, *arguments: str) -> Answer:
    """Run `python -m module arguments`, however long it takes; what it prints is seen at once and not kept."""
    return _run([sys.executable, "-m", module, *arguments], None, None)


def ask_module(module: str, *, timeout_s: float) -> Answer:
    """Run `python -m module` and return what it prints; one that does not end in time has complained of that."""
    return _run([sys.executable, "-m", module], subprocess.PIPE, timeout_s)


def ask_program(name: str, *arguments: str, timeout_s: float) -> Answer | None:
    """Run a program and return what it prints; None where there is no program of that name or path."""
    path = shutil.which(name)
    return _run([path, *arguments], subprocess.PIPE, timeout_s) if path else None


def _run(command: Sequence[str], stdout: int | None, timeout_s: float | None) -> Answer:
    try:
        done = subprocess.run(
            command,
            cwd=_PROGRAM_ROOT,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Answer(exit_code=-1, output="", complaint=f"it did not answer within {timeout_s:.0f} s")
    except OSError as error:
        return Answer(exit_code=-1, output="", complaint=str(error))
    return Answer(exit_code=done.returncode, output=done.stdout or "", complaint=done.stderr)
