"""Workers on other machines: one address for all that they report, and one for the files that a job begins with.

The routes exist only where STUDIO_WORKER_SECRET is set. docs/api/workers.md tells the protocol.
"""

from __future__ import annotations

from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import StreamingResponse

from studio.errors import NotFound
from studio.services.remote_work import RemoteClaim
from studio.services.worker_events import ClaimEvent, ProgressEvent, read_event
from studio.web.dependencies import PartsOf
from studio.web.models import Answer
from studio.web.openapi import OPEN_TO_ALL, refuses
from studio.web.worker_door import WorkerDoor
from studio.web.worker_models import ClaimAnswer, EndAnswer, ProgressAnswer, report_schema

PATH = "/api/job-callback"

router = APIRouter(tags=["workers"])


async def _door(parts: PartsOf) -> WorkerDoor:
    if parts.workers is None:
        raise NotFound("There is nothing at this address.")
    return parts.workers


Door = Annotated[WorkerDoor, Depends(_door)]


@router.post(
    PATH,
    response_model=ClaimAnswer | ProgressAnswer | EndAnswer,
    responses=refuses(400, 401, 409, 413, 415, 503),
    openapi_extra={**OPEN_TO_ALL, "requestBody": report_schema()},
)
async def report(request: Request, door: Door) -> Answer:
    """What a worker elsewhere reports, signed as Standard Webhooks are, under a new `webhook-id` each time: `claim` a
    job, `progress`, and how it ended: `completed`, `rewritten`, `failed`, `cancelled` or `handed_back`."""
    async with door.report(request) as signed:
        event = read_event(signed.event)
        await to_thread.run_sync(door.work.reports.take, signed.id, event.event)
        if isinstance(event, ClaimEvent):
            claim = await to_thread.run_sync(door.work.claim, event)
            return ClaimAnswer.model_validate({"claim": None if claim is None else _claim_json(door, claim)})
        if isinstance(event, ProgressEvent):
            return ProgressAnswer(stop=await to_thread.run_sync(door.work.progress, event))
        return EndAnswer.model_validate(await to_thread.run_sync(door.work.end, signed.id, event, signed.files))


@router.get(
    PATH + "/references/{token}",
    response_class=Response,
    responses={200: {"content": {"image/png": {}, "video/mp4": {}}}, **refuses(409, 503)},
    openapi_extra=OPEN_TO_ALL,
)
def reference(token: str, door: Door) -> StreamingResponse:
    """A file that a job begins with, by the link in its claim, for as long as the lease holds."""
    mime_type, content = door.work.reference(*door.read_link(token))
    return StreamingResponse(content, media_type=mime_type, headers={"Cache-Control": "no-store"})


def _claim_json(door: WorkerDoor, found: RemoteClaim) -> dict[str, Any]:
    claim = found.claim
    links = {name: f"{PATH}/references/{door.link(claim.job_id, claim.lease_token, name)}" for name in found.references}
    return {
        "job_id": claim.job_id,
        "lease_token": claim.lease_token,
        "lease_s": found.lease_s,
        "attempt": claim.attempt,
        "type": claim.type,
        "lane": claim.lane,
        "request": {**found.request, **links},
    }
