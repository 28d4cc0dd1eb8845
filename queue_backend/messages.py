"""Everything that a worker process and its parent say to each other, pickled over one duplex connection.

Requests, progress reports and results belong to the pipelines; here they are opaque payloads.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class WorkerSpec:
    """What a worker process holds: `factory` is "module:function", called in the child with `options` as keywords.

    `environment` is added to the parent's environment, for what must be set before the first import
    (a device, thread counts). Its PYTHONPATH is searched before the program's own folder.
    """

    lane: str
    factory: str
    options: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)


# Parent to worker


@dataclass(frozen=True, kw_only=True)
class Run:
    """Run `request` under `run_id`. The pipeline is loaded first if it is not."""

    run_id: str
    request: Any


@dataclass(frozen=True, kw_only=True)
class Cancel:
    """Stop the run at its next step. A run that has already ended is left alone."""

    run_id: str


@dataclass(frozen=True, kw_only=True)
class Shutdown:
    """Release the pipeline and exit with code 0."""


# Worker to parent


@dataclass(frozen=True, kw_only=True)
class Started:
    """The process is up and the factory's modules are imported; no model is loaded yet."""

    pid: int


@dataclass(frozen=True, kw_only=True)
class Began:
    """Everything the run needs is in memory, and its request is computed from here on."""

    run_id: str


@dataclass(frozen=True, kw_only=True)
class Heartbeat:
    """Sent every HEARTBEAT_S by a thread of its own, also while the pipeline computes.

    `rss_bytes` is the process's resident memory.
    """

    rss_bytes: int


@dataclass(frozen=True, kw_only=True)
class Reported:
    """A progress report of the pipeline."""

    run_id: str
    progress: Any


@dataclass(frozen=True, kw_only=True)
class Finished:
    """The run ended well."""

    run_id: str
    result: Any


@dataclass(frozen=True, kw_only=True)
class Failed:
    """The run ended badly. `code` is public, `traceback` is for the log alone.

    An empty `run_id` stands for a run whose message could not be read. After a `fatal` failure the process exits
    by itself and must be given no more work.
    """

    run_id: str
    code: str
    message: str
    transient: bool
    traceback: str
    fatal: bool = False


ToWorker = Run | Cancel | Shutdown
FromWorker = Started | Began | Heartbeat | Reported | Finished | Failed
