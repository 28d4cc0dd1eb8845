"""What a worker on another machine reports, strictly read. Unknown fields, odd numbers and NUL are refused."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Base64Bytes,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
)

from pipelines.contract import Stage
from studio.catalog import MAX_PICTURES, MAX_PROMPT_CHARS, MAX_SEED
from studio.errors import InvalidInput
from studio.media.storage import MP4

MAX_PREVIEW_CHARS = 160_000
"""Base64 of a preview: the relayed ones are a few kilobytes."""
MAX_RECEIPT_CHARS = 60_000
MAX_STAGES = 32


def _json_that_can_be_kept(receipt: dict[str, Any]) -> dict[str, Any]:
    # Neither database keeps what JSON has no word for.
    if len(json.dumps(receipt, allow_nan=False)) > MAX_RECEIPT_CHARS:
        raise ValueError(f"a receipt has at most {MAX_RECEIPT_CHARS} characters")
    return receipt


StageName = Annotated[str, Field(pattern=r"^[a-z_]{1,40}_s$")]
Seconds = Annotated[float, Field(ge=0, le=1e7, allow_inf_nan=False)]
Timings = Annotated[dict[StageName, Seconds], Field(max_length=MAX_STAGES, description="seconds by stage, <stage>_s")]
Receipt = Annotated[dict[str, Any], AfterValidator(_json_that_can_be_kept)]
Pixels = Annotated[int, Field(ge=1, le=16_384)]


class _Event(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ClaimEvent(_Event):
    """Asks for the next job of a lane. `worker` is what it calls itself in the log."""

    event: Literal["claim"]
    lane: str = Field(max_length=40)
    worker: str = Field(min_length=1, max_length=80)


class _OfLease(_Event):
    job_id: str = Field(max_length=64)
    lease_token: str = Field(max_length=64)


class ProgressEvent(_OfLease):
    """How far the run is; it renews the lease. `fraction` is of this leg, 0 to 1; `preview` is a WebP in base64."""

    event: Literal["progress"]
    stage: Stage
    fraction: float = Field(ge=0, le=1, allow_inf_nan=False)
    step: int = Field(0, ge=0, le=100_000)
    steps: int = Field(0, ge=0, le=100_000)
    preview: Base64Bytes | None = Field(None, max_length=MAX_PREVIEW_CHARS)
    timings: Timings = {}


class DeliveredFile(_Event):
    """One file of a delivery, which lies in the form's part `file<index>`."""

    index: int = Field(ge=0, lt=MAX_PICTURES)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: int = Field(ge=1, le=MP4.max_bytes)
    mime_type: Literal["image/png", "video/mp4"]
    width: Pixels
    height: Pixels
    seed: int = Field(ge=0, le=MAX_SEED)
    frames: int | None = Field(None, ge=1, le=10_000)
    fps: float | None = Field(None, gt=0, le=1000, allow_inf_nan=False)


class CompletedEvent(_OfLease):
    """The job is done: these are its files."""

    event: Literal["completed"]
    files: list[DeliveredFile] = Field(min_length=1, max_length=MAX_PICTURES)
    timings: Timings = {}
    receipt: Receipt = {}


class RewrittenEvent(_OfLease):
    """The prompt of an enhanced job is written. `prompt` is null where the answer was unusable; `note` says why."""

    event: Literal["rewritten"]
    prompt: str | None = Field(None, max_length=4 * MAX_PROMPT_CHARS)
    note: str | None = Field(None, max_length=500)
    timings: Timings = {}
    receipt: Receipt = {}


class FailedEvent(_OfLease):
    """The attempt failed. `message` is a sentence for the job's person; `transient` says that another try may help."""

    event: Literal["failed"]
    code: str = Field(pattern=r"^[a-z_]{1,40}$")
    message: str = Field(min_length=1, max_length=1000)
    transient: bool = False


class CancelledEvent(_OfLease):
    """The run stopped because the studio asked for it."""

    event: Literal["cancelled"]


class HandedBackEvent(_OfLease):
    """The worker stops and gives the job back untried; no attempt is spent."""

    event: Literal["handed_back"]


EndEvent = CompletedEvent | RewrittenEvent | FailedEvent | CancelledEvent | HandedBackEvent
WorkerEvent = Annotated[ClaimEvent | ProgressEvent | EndEvent, Field(discriminator="event")]
_READER: TypeAdapter[ClaimEvent | ProgressEvent | EndEvent] = TypeAdapter(WorkerEvent)


def read_event(body: bytes) -> ClaimEvent | ProgressEvent | EndEvent:
    """The event in a report's JSON. Raises InvalidInput for the first thing wrong with it."""
    if b"\\u0000" in body:
        raise InvalidInput("The report contains a NUL character.")
    try:
        return _READER.validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = first["loc"][1:]  # after the name of the event
        field = ".".join(str(part) for part in place) or None
        raise InvalidInput(
            f"{field or 'The report'}: {first['msg'].removeprefix('Value error, ')}.", field=field
        ) from error
