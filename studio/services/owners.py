"""The name a studio process holds its leases under, and whether the process behind a name is still alive."""

from __future__ import annotations

import os
import socket

import psutil

REMOTE_WORKER = "remote worker:0:0"
"""The owner of leases of workers on other machines: no host is called so, and only their leases' time ends them."""
START_TOLERANCE_S = 1.0
"""Start times of one process read twice agree to within a clock tick; a reused process id differs by more."""


def this_process() -> str:
    """host:pid:start time. The start time tells a process from a later one with the same id."""
    pid = os.getpid()
    return f"{socket.gethostname()}:{pid}:{psutil.Process(pid).create_time():.2f}"


def is_dead(owner: str) -> bool:
    """Whether `owner` was a process of this host that has ended. Of other hosts nothing is known: False."""
    host, pid, started_at = owner.rsplit(":", 2)
    if host != socket.gethostname():
        return False
    try:
        process = psutil.Process(int(pid))
        is_another = abs(process.create_time() - float(started_at)) > START_TOLERANCE_S
        return is_another or bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
