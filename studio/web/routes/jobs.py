"""Jobs: order, look, wait, cancel, retry."""

from __future__ import annotations

from contextlib import aclosing
from http import HTTPStatus
from typing import Annotated, Any

from anyio import move_on_after, to_thread
from fastapi import APIRouter, Header, Query, Response

from studio.database.schema import ENDED
from studio.errors import NotFound
from studio.services.following import follow_job
from studio.services.jobs import MAX_KEY_CHARS
from studio.web.dependencies import Acting, Cursor, Limit, ServicesOf, StoppingOf
from studio.web.models import (
    EnhancedPrompt,
    Estimate,
    JobAnswer,
    JobStatus,
    JobSummary,
    JobTypeAnswer,
    OrderBody,
    Page,
    PromptToEnhance,
)
from studio.web.openapi import refuses

MAX_WAIT_S = 60.0

router = APIRouter(prefix="/api", tags=["jobs"])

Json = dict[str, Any]
IdempotencyKey = Annotated[
    str | None, Header(max_length=MAX_KEY_CHARS, description="the same key again answers with the same job")
]
Ordered = Annotated[int | None, Query(description="as in an order; the type's default where absent")]


@router.post("/queue-job", status_code=HTTPStatus.CREATED, response_model=JobAnswer, responses=refuses(404, 429))
def queue_job(
    order: OrderBody,
    person: Acting,
    services: ServicesOf,
    idempotency_key: IdempotencyKey = None,
) -> Json:
    """Queue one job."""
    return services.jobs.submit(person, order, idempotency_key=idempotency_key)


@router.get("/jobs", response_model=Page[JobAnswer])
def list_jobs(
    *,
    person: Acting,
    services: ServicesOf,
    status: Annotated[JobStatus | None, Query(description="only jobs that stand so")] = None,
    job_type: str | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Json:
    """One's own jobs, newest first."""
    return services.jobs.list(person, status=status, job_type=job_type, limit=limit, cursor=cursor)


@router.get("/jobs/summary", response_model=JobSummary)
def summary(person: Acting, services: ServicesOf) -> Json:
    """How many of one's jobs run, wait and ended today, and how many wait in all."""
    return services.jobs.summary(person)


@router.get("/estimate", response_model=Estimate)
def estimate(
    *,
    person: Acting,
    services: ServicesOf,
    job_type: str,
    count: Ordered = None,
    steps: Ordered = None,
    width: Ordered = None,
    height: Ordered = None,
    frames: Ordered = None,
) -> Json:
    """Expected seconds for one more job of a type, for so many pictures or frames of so many steps and pixels."""
    work = {"count": count, "steps": steps, "width": width, "height": height, "frames": frames}
    return services.jobs.estimate(person, job_type, work)


@router.post("/enhance-prompt", response_model=EnhancedPrompt, responses=refuses(429, 503))
async def enhance_prompt(wanted: PromptToEnhance, person: Acting, services: ServicesOf) -> Json:
    """Write a short prompt out in more detail, for a picture or a film. Takes seconds; a repeated prompt none."""
    return await services.enhancing.enhance(person, wanted.prompt, wanted.kind)


@router.get("/job-types", response_model=list[JobTypeAnswer])
def job_types(_person: Acting, services: ServicesOf) -> list[dict[str, object]]:
    """The catalog: every job type with its defaults, limits and sizes."""
    return services.catalog.as_json()


@router.get("/jobs/{job_id}", response_model=JobAnswer)
def get_job(job_id: str, person: Acting, services: ServicesOf) -> Json:
    """One job."""
    return services.jobs.get(person, job_id)


@router.post("/jobs/{job_id}/cancel", response_model=JobAnswer, responses=refuses(409))
def cancel_job(job_id: str, person: Acting, services: ServicesOf) -> Json:
    """Cancel a job: at once if it waits, at its next step if it runs."""
    return services.jobs.cancel(person, job_id)


@router.post("/jobs/{job_id}/retry", response_model=JobAnswer, responses=refuses(409, 429))
def retry_job(job_id: str, person: Acting, services: ServicesOf) -> Json:
    """Queue a failed or cancelled job once more, with the same settings and seed."""
    return services.jobs.retry(person, job_id)


@router.get("/jobs/{job_id}/wait", response_model=JobAnswer)
async def wait_for_job(
    job_id: str,
    person: Acting,
    services: ServicesOf,
    stopping: StoppingOf,
    timeout_s: Annotated[float, Query(ge=0, le=MAX_WAIT_S, description="longest wait")] = 30.0,
) -> Json:
    """Answer as soon as the job has ended, or as it stands after `timeout_s` seconds."""
    job = await to_thread.run_sync(services.jobs.get, person, job_id)
    with move_on_after(0 if job["status"] in ENDED else timeout_s):
        async with aclosing(stopping.cut_short(follow_job(services.feed, services.jobs, person, job_id))) as states:
            async for state in states:
                job = state
    return job


@router.get(
    "/jobs/{job_id}/preview",
    response_class=Response,
    responses={
        200: {"content": {"image/webp": {}}},
        204: {"description": "The job has no preview: it has not come so far, or it has ended"},
    },
)
def preview(job_id: str, person: Acting, services: ServicesOf) -> Response:
    """The running job's latest preview: small square tiles side by side, one a picture."""
    headers = {"Cache-Control": "private, no-cache"}
    try:
        picture = services.jobs.preview(person, job_id)
    except NotFound:
        services.jobs.get(person, job_id)  # an unknown or foreign job stays not found
        return Response(status_code=HTTPStatus.NO_CONTENT, headers=headers)
    return Response(picture, media_type="image/webp", headers=headers)
