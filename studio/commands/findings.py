"""What the doctor finds, in words."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from studio.commands.units import gigabytes


class State(StrEnum):
    """How it is: as it should be; working, but not as well as it could; or so that the studio cannot start."""

    OK = "ok"
    ADVICE = "advice"
    PROBLEM = "problem"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing looked at: what was found, and what to do where it is not as it should be."""

    subject: str
    state: State
    text: str
    to_do: str = ""


def ok(subject: str, text: str) -> Finding:
    return Finding(subject=subject, state=State.OK, text=text)


def advice(subject: str, text: str, to_do: str) -> Finding:
    return Finding(subject=subject, state=State.ADVICE, text=text, to_do=to_do)


def problem(subject: str, text: str, to_do: str) -> Finding:
    return Finding(subject=subject, state=State.PROBLEM, text=text, to_do=to_do)


def existing(path: Path) -> Path:
    """`path`, or the nearest above it that exists."""
    return next(above for above in (path, *path.parents) if above.exists())


def folder_finding(subject: str, folder: Path, to_do: str, worst: State = State.PROBLEM) -> Finding:
    """Whether files can be made in `folder`, which may be missing yet, and how much room its disk has. Where they
    cannot, that is `worst`."""
    at_hand = existing(folder)
    if not at_hand.is_dir() or not os.access(at_hand, os.W_OK | os.X_OK):
        return Finding(subject=subject, state=worst, text=f"{folder} cannot be written to.", to_do=to_do)
    made = "" if at_hand == folder else ", made at the first start"
    return ok(subject, f"{folder}{made}; {gigabytes(shutil.disk_usage(at_hand).free)} free.")
