"""What a pipeline is asked for and what it answers. Plain data: importing this module imports no model library.

A request travels from the studio to a worker process by pickling, so every field is a plain value or a path.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, Protocol


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


Residency = Literal["resident", "encode_first", "offload"]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a run lives with the memory of its device. The default is the most generous plan, rung 0 of every ladder.

    `sub_batch` is how many pictures are denoised at once, None for all of them. `tiled` has the VAE work tile by tile.
    `residency` says where the weights are while they have nothing to do: "resident" all stay on the device;
    "encode_first" lets the text encoders give way before denoising; "offload" keeps each part on the device only while
    it computes. Pictures do not depend on the residency; the other two change them by rounding.
    """

    rung: int = 0
    sub_batch: int | None = None
    tiled: bool = False
    residency: Residency = "resident"


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """What a run occupies on its device under a plan, in bytes: `parts`, the weights by name, stay when it has ended;
    `working_bytes` come on top of them while it runs."""

    parts: Mapping[str, int]
    working_bytes: int

    @property
    def total_bytes(self) -> int:
        """The most that is occupied at once, without the process's own context."""
        return sum(self.parts.values()) + self.working_bytes


@dataclass(frozen=True, kw_only=True)
class GenerationRequest:
    """One job's work for one pipeline.

    `seeds` holds one seed a picture: picture i depends on seeds[i] alone, so it can be made again without the others.
    `image` and `mask` are files of any size (RGB, and L with white to repaint); the pipeline resizes them to
    `width` x `height` (pixels). `video` is a film (MP4) to start from. `strength` is the denoising strength in (0, 1];
    1 ignores the image. `fps` makes the work a film of `frames` frames at that rate; without it pictures are made.
    `max_bytes` is the largest file that may come out of a film. `plan` says how to live with the memory. `scratch` is
    an existing, private folder for the artifacts.
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
    video: Path | None = None
    strength: float | None = None
    frames: int = 1
    fps: float | None = None
    max_bytes: int | None = None
    plan: Plan = Plan()
    scratch: Path


@dataclass(frozen=True, kw_only=True)
class RewriteRequest:
    """One prompt to be written out in more detail. `kind` is what it is for, "image" or "video"; `language` of the
    answer is "en" or "zh"; the same `seed` gives the same answer."""

    job_id: str
    prompt: str
    kind: str
    language: str = "en"
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a run is. `fraction` is in [0, 1] over the whole run and never falls.

    `preview` is a WebP: a sprite with one small square-pixel tile a picture, side by side from left to right, or a few
    moving frames of a film; None when this report brings no new one. `text` is what a rewriting has written so far; in
    the stage LOADING, the part of the model that is being read.
    """

    stage: Stage
    fraction: float
    step: int = 0
    steps: int = 0
    preview: bytes | None = None
    text: str | None = None


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


@dataclass(frozen=True, kw_only=True)
class RewriteResult:
    """A rewritten prompt. `prompt` is None where the model's answer could not be used, and `note` then says why in a
    sentence for its person. `receipt` names the model and says whether the answer came from the cache."""

    prompt: str | None
    note: str | None = None
    timings_s: dict[str, float]
    receipt: dict[str, Any] = field(default_factory=dict)


ReportProgress = Callable[[Progress], None]
IsCancelled = Callable[[], bool]


@dataclass(frozen=True, kw_only=True)
class Occupied:
    """What a pipeline's process occupies on its device, in bytes: each of its `parts` that is there now, the whole
    process `now_bytes`, and at most `peak_bytes` since the current or last run began."""

    parts: Mapping[str, int]
    now_bytes: int
    peak_bytes: int


class Pipeline(Protocol):
    """What a worker process holds. Methods are called from one thread, never at once."""

    def load(self, report: ReportProgress) -> None:
        """Bring the checkpoint into memory. Idempotent. Raises ModelMissing or OutOfMemory."""

    def generate(
        self, request: GenerationRequest, report: ReportProgress, is_cancelled: IsCancelled
    ) -> GenerationResult:
        """Run `request` and write its artifacts. Raises a PipelineError; Cancelled at the next step after a cancel."""

    def give_way(self, parts: Collection[str]) -> None:
        """Take these parts off the device; what has to be there comes back by itself. Unknown names are left alone."""

    def occupied(self) -> Occupied:
        """What is held at this moment."""

    def release(self) -> None:
        """Give back every byte of weights and caches. `load` may be called again."""


class Rewriter(Protocol):
    """What a worker process of prompts holds: as a Pipeline, with a text for an answer."""

    def load(self, report: ReportProgress) -> None:
        """As of a Pipeline."""

    def generate(self, request: RewriteRequest, report: ReportProgress, is_cancelled: IsCancelled) -> RewriteResult:
        """Rewrite `request.prompt`, reporting the text as it grows. Raises PipelineErrors, Cancelled within a token."""

    def give_way(self, parts: Collection[str]) -> None:
        """As of a Pipeline."""

    def occupied(self) -> Occupied:
        """As of a Pipeline."""

    def release(self) -> None:
        """As of a Pipeline."""
