"""What the REST API reads and answers, as OpenAPI describes it.

The services build the answers; these models document them and let later fields through.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Generic, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipelines.contract import Stage
from studio.catalog import MAX_PROMPT_CHARS
from studio.orders import Order
from studio.services.library import AssetChange
from studio.services.projects import MAX_NAME_CHARS

ItemT = TypeVar("ItemT")
JobStatus = Literal["pending", "processing", "completed", "failed", "cancelled"]


class OrderBody(Order):
    """What to make. Only `prompt` is needed; everything else has the job type's default."""

    @model_validator(mode="after")
    def _refuse_nul(self) -> Self:
        refuse_nul(self)
        return self


class AssetChangeBody(AssetChange):
    """What to change about an asset; fields left out stay as they are."""

    @model_validator(mode="after")
    def _refuse_nul(self) -> Self:
        refuse_nul(self)
        return self


class PromptToEnhance(BaseModel):
    """A prompt to be written out in more detail for a picture or a film."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompt: str = Field(min_length=1, max_length=MAX_PROMPT_CHARS)
    kind: Literal["image", "video"] = "video"


class ProjectName(BaseModel):
    """The name of a project."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=MAX_NAME_CHARS)


def refuse_nul(model: BaseModel) -> None:
    """Raise ValueError if any text of `model` holds a NUL character, which PostgreSQL cannot keep."""
    for name, text in _texts(model):
        if "\0" in text:
            raise ValueError(f"{name} contains a NUL character")


def _texts(model: BaseModel) -> Iterator[tuple[str, str]]:
    for name in type(model).model_fields:
        value = getattr(model, name)
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str):
                yield name, text


class Answer(BaseModel):
    """An answer of the API. Later versions may add fields."""

    model_config = ConfigDict(extra="allow")


class ErrorDetail(Answer):
    code: str
    message: str
    field: str | None = None


class ErrorAnswer(Answer):
    """Every error of the API."""

    error: ErrorDetail


class JobProgress(Answer):
    fraction: float = Field(description="0 to 1 over the whole run")
    step: int
    steps: int
    queue_position: int = Field(description="jobs before this one; 0 once it runs")
    eta_s: float | None = Field(description="expected seconds until it is done, where that is known")


class JobFailure(Answer):
    code: str
    message: str


class JobUsage(Answer):
    gpu_s: float = Field(description="seconds for which its ended attempts kept a worker busy")
    cost: float | None = Field(description="what they cost; null without a price in the settings")
    currency: str


class JobAnswer(Answer):
    """A job and what became of it. Times are ISO 8601 UTC."""

    id: str
    type: str
    lane: str = Field(description="where it is now: an enhanced job goes through qwen, then wan")
    status: JobStatus
    stage: Stage
    prompt: str
    negative_prompt: str
    enhanced_prompt: str | None
    note: str | None = Field(description="what its person should know, such as why a rewriting was not used")
    config: dict[str, Any] = Field(description="the order with every default filled in")
    user_id: str
    project_id: str | None
    attempt: int
    created_at: str
    started_at: str | None
    finished_at: str | None
    cancel_requested: bool
    progress: JobProgress
    preview_url: str | None = Field(description="the latest preview of a running job, where there is one")
    timings: dict[str, float] = Field(description="seconds by stage, such as denoising_s")
    usage: JobUsage
    receipt: dict[str, Any] | None = Field(description="how it was made: checkpoint, precision, plan, memory")
    error: JobFailure | None
    assets: list[str] = Field(description="ids of the finished assets, in order")


class AssetAnswer(Answer):
    """A finished picture or film."""

    id: str
    job_id: str
    user_id: str
    project_id: str | None
    parent_id: str | None
    kind: Literal["image", "video"]
    mime_type: Literal["image/png", "video/mp4"]
    width: int
    height: int
    frames: int | None
    fps: float | None
    bytes: int
    sha256: str
    seed: int
    index: int
    prompt: str
    negative_prompt: str
    enhanced_prompt: str | None
    job_type: str
    favourite: bool
    rating: int | None
    tags: list[str]
    created_at: str
    trashed_at: str | None
    url: str
    thumbnail_url: str
    preview_url: str | None = Field(description="a few moving frames of a film; null for a picture")
    download_url: str


class FactDifference(Answer):
    fact: str = Field(description="what of the making differs, such as plan.tiled")
    before: Any
    after: Any


class ComparisonAnswer(Answer):
    """Whether two pictures or films are equal, pixel for pixel, and what of their making differs."""

    equal: bool
    what: str = Field(description="pixels, or frames of films")
    largest_difference: int | None = Field(description="of a colour value, 0 to 255; null where the shapes differ")
    share_different: float | None = Field(description="of the pixels, 0 to 1; null where the shapes differ")
    differences: list[FactDifference]


class DeviceUse(Answer):
    device: str
    budget_bytes: int = Field(description="what may be planned with")
    used_bytes: int = Field(description="weights and running work")


class DevicesAnswer(Answer):
    devices: list[DeviceUse]


class TrashAnswer(Answer):
    deleted: int = Field(description="assets that were removed for good")


class StorageAnswer(Answer):
    bytes: int = Field(description="originals and uploads, without thumbnails")
    assets: int
    limit_bytes: int | None = Field(description="as many as may be kept; null is no limit")


class Page(Answer, Generic[ItemT]):
    """One page of a list. `next` is the cursor of the following page, null on the last."""

    items: list[ItemT]
    next: str | None


class ProjectAnswer(Answer):
    id: str
    name: str
    created_at: str
    assets: int = Field(description="how many are in it, without those in the trash")


class JobTypeAnswer(Answer):
    """One row of the catalog."""

    type: str = Field(description="an order's job_type")
    label: str
    description: str
    kind: Literal["image", "video"]
    mime_type: str
    quality: str
    engine: str
    lanes: list[str] = Field(description="in the order in which its jobs pass through them")
    bucket: str
    expected_s: float
    starts_from: list[str] = Field(description="text, image, video: what the checkpoint in use can begin with")
    takes_mask: bool
    schedulers: list[str]
    defaults: dict[str, Any]
    limits: dict[str, Any]
    aspects: dict[str, list[int]] = Field(description="width and height in pixels by shape")


class ReadyAnswer(Answer):
    ready: bool
    failing: list[str] = Field(description="what does not answer")


class SystemAnswer(Answer):
    workers: list[dict[str, Any]]
    devices: list[dict[str, Any]]
    waiting: dict[str, int] = Field(description="waiting jobs by lane")


class UploadAnswer(Answer):
    """A reference picture; its `id` goes into an order's `image` or `mask`."""

    id: str
    width: int
    height: int
    url: str


class EnhancedPrompt(Answer):
    """`enhanced_prompt` is null where the rewriting was unusable, and `note` says why."""

    prompt: str
    enhanced_prompt: str | None
    note: str | None


class Estimate(Answer):
    """Expected seconds of waiting and of running for one more job."""

    run_s: float
    wait_s: float


class JobSummary(Answer):
    running: int
    waiting: int
    done_today: int
    failed_today: int
    waiting_all: int
