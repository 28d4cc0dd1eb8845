"""Everything that a worker process and its parent say to each other, pickled over one duplex connection.

Requests, progress reports and results belong to the pipelines; here they are opaque payloads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class WorkerSpec:
    """What a worker process holds: `factory` is "module:function", called in the child with `options` as keywords.

    `environment` is added to the parent's environment, for what must be set before the first import
    (a device, thread counts). Its PYTHONPATH is searched before the program's own folder. `device` is the one whose
    memory it uses, and `context_bytes` what the process is expected to occupy there before any model is loaded.
    """

    lane: str
    factory: str
    options: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    device: str = "cpu"
    context_bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class Memory:
    """What a worker process occupies on its device, in bytes: the `parts` of its model that are there, the whole
    process `now_bytes`, and at most `peak_bytes` since its last run began."""

    parts: Mapping[str, int]
    now_bytes: int
    peak_bytes: int

    @property
    def context_bytes(self) -> int:
        """What is not weights: libraries, the device's context, caches."""
        return max(0, self.now_bytes - sum(self.parts.values()))

    @property
    def working_bytes(self) -> int:
        """What the run took on top of what it left behind."""
        return max(0, self.peak_bytes - self.now_bytes)


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
class GiveWay:
    """Take these parts of the model off the device. Sent between runs only; answered by GaveWay."""

    parts: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Shutdown:
    """Release the pipeline and exit with code 0."""


# Worker to parent


@dataclass(frozen=True, kw_only=True)
class Started:
    """The process is up and the factory's modules are imported; no model is loaded yet."""

    pid: int
    memory: Memory | None = None


@dataclass(frozen=True, kw_only=True)
class GaveWay:
    """The parts are off the device, or could not be taken off: `memory` says what is held now."""

    memory: Memory | None


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
    memory: Memory | None = None


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
    memory: Memory | None = None


ToWorker = Run | Cancel | GiveWay | Shutdown
FromWorker = Started | GaveWay | Began | Heartbeat | Reported | Finished | Failed
