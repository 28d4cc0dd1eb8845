"""What a pipeline is asked for and what it answers. Plain data: importing this module imports no model library.

A request travels from the studio to a worker process by pickling, so every field is a plain value or a path.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol


class Stage(StrEnum):
    """Where inside a job the work stands, in the order in which a job passes through."""

    QUEUED = "queued"
    ENHANCING = "enhancing"
    LOADING = "loading"
    DENOISING = "denoising"
    DECODING = "decoding"
    ENCODING = "encoding"
    STORING = "storing"


class PipelineError(Exception):
    """A failure that a person can be told about. `code` is public; `transient` says that another try may succeed."""

    code = "internal"
    transient = False


class ModelMissing(PipelineError):
    """The checkpoint could not be found or does not hold what the request needs."""

    code = "model_missing"


class OutOfMemory(PipelineError):
    """The device had too little memory for this request."""

    code = "out_of_memory"


class InvalidRequest(PipelineError):
    """The loaded checkpoint cannot do what was asked."""

    code = "invalid_input"


class Cancelled(PipelineError):
    """The run was stopped on request. Raised between steps; nothing was decoded or written."""

    code = "cancelled"


@dataclass(frozen=True, kw_only=True)
class GenerationRequest:
    """One job's work for one pipeline.

    `seeds` holds one seed a picture: picture i depends on seeds[i] alone, so it can be made again without the others.
    `image` and `mask` are files of any size (RGB, and L with white to repaint); the pipeline resizes them to
    `width` x `height` (pixels). `strength` is the denoising strength in (0, 1]; 1 ignores the image.
    `scratch` is an existing, private folder for the artifacts.
    """

    job_id: str
    quality: str
    prompt: str
    negative_prompt: str = ""
    width: int
    height: int
    steps: int
    guidance: float
    seeds: tuple[int, ...]
    scheduler: str | None = None
    image: Path | None = None
    mask: Path | None = None
    strength: float | None = None
    scratch: Path


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a run is. `fraction` is in [0, 1] over the whole run and never falls.

    `preview` is a WebP sprite: one small square-pixel tile a picture, side by side from left to right, or None when
    this report brings no new one.
    """

    stage: Stage
    fraction: float
    step: int = 0
    steps: int = 0
    preview: bytes | None = None


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """One finished file in the request's scratch folder."""

    path: Path
    index: int
    mime_type: str
    width: int
    height: int
    seed: int
    frames: int | None = None
    fps: float | None = None


@dataclass(frozen=True, kw_only=True)
class GenerationResult:
    """What a run made, how long each stage took (seconds), and the facts needed to make it again (JSON values)."""

    artifacts: tuple[Artifact, ...]
    timings_s: dict[str, float]
    receipt: dict[str, Any] = field(default_factory=dict)


ReportProgress = Callable[[Progress], None]
IsCancelled = Callable[[], bool]


class Pipeline(Protocol):
    """What a worker process holds. Methods are called from one thread, never at once."""

    def load(self, report: ReportProgress) -> None:
        """Bring the checkpoint into memory. Idempotent. Raises ModelMissing or OutOfMemory."""

    def generate(
        self, request: GenerationRequest, report: ReportProgress, is_cancelled: IsCancelled
    ) -> GenerationResult:
        """Run `request` and write its artifacts. Raises a PipelineError; Cancelled at the next step after a cancel."""

    def release(self) -> None:
        """Give back every byte of weights and caches. `load` may be called again."""
