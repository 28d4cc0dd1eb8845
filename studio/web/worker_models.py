"""What workers on other machines are answered, and what they report, as OpenAPI describes it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, TypeAdapter

from studio.services.worker_events import WorkerEvent
from studio.web.models import Answer, ErrorDetail
from studio.web.worker_door import EVENT_PART, FILE_PART


class WorkerClaim(Answer):
    """A job to be done. `request` holds the fields of `GenerationRequest`, or in the lane qwen of `RewriteRequest`
    (pipelines/contract.py); `image`, `mask` and `video` in it are links on this studio."""

    job_id: str
    lease_token: str
    lease_s: float = Field(description="report at least this often, in seconds")
    attempt: int
    type: str
    lane: str
    request: dict[str, Any]


class ClaimAnswer(Answer):
    claim: WorkerClaim | None = Field(description="null where no job of the lane waits")


class ProgressAnswer(Answer):
    stop: bool = Field(description="stop the run and report `cancelled`")


class EndAnswer(Answer):
    """How the job stands after it. `error` says why a delivery could not be taken."""

    status: Literal["pending", "processing", "completed", "failed", "cancelled", "deleted"]
    error: ErrorDetail | None


def report_schema() -> dict[str, Any]:
    """The OpenAPI body of a report: the event as JSON, or for `completed` a form with it and the files."""
    whole = TypeAdapter(WorkerEvent).json_schema()
    event = {"oneOf": _inlined(whole["oneOf"], whole["$defs"])}
    form = {
        "type": "object",
        "required": [EVENT_PART, f"{FILE_PART}0"],
        "properties": {
            EVENT_PART: {"type": "string", "description": "the event `completed` as JSON: this is what is signed"},
            f"{FILE_PART}0": {"type": "string", "format": "binary", "description": "and so on, by index"},
        },
    }
    content = {"application/json": {"schema": event}, "multipart/form-data": {"schema": form}}
    return {"required": True, "content": content}


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    """`schema` with every definition in the place of its reference: OpenAPI keeps such definitions elsewhere."""
    if isinstance(schema, list):
        return [_inlined(one, definitions) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    return {name: _inlined(value, definitions) for name, value in schema.items()}
