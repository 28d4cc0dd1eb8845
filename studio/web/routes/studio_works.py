"""Pictures that administrators order on behalf of the studio. They are in nobody's library; here is how to get them."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Path, Request, Response

from studio.catalog import MAX_PICTURES
from studio.web.dependencies import AccountsOf, Administrator, PartsOf
from studio.web.files import file_answer
from studio.web.identity import origin_of
from studio.web.models import JobAnswer, OrderBody
from studio.web.openapi import refuses
from studio.web.routes.jobs import IdempotencyKey
from studio.web.routes.media import ORIGINAL_CACHE, file_answers, stored

Json = dict[str, Any]
PATH = "/api/admin/generate-image"

router = APIRouter(tags=["admin"])


@router.post(PATH, status_code=HTTPStatus.CREATED, response_model=JobAnswer, responses=refuses(404, 429))
def generate_image(
    *,
    order: OrderBody,
    request: Request,
    admin: Administrator,
    doors: AccountsOf,
    idempotency_key: IdempotencyKey = None,
) -> Json:
    """Queue pictures on behalf of the studio, as an administrator. References are earlier works of the studio."""
    return doors.studio_works.generate(admin, order, origin_of(request), idempotency_key=idempotency_key)


@router.get(PATH + "/{job_id}", response_model=JobAnswer)
def studio_job(job_id: str, admin: Administrator, doors: AccountsOf) -> Json:
    """How a job of the studio's stands."""
    return doors.studio_works.job(admin, job_id)


@router.get(PATH + "/{job_id}/files/{index}", response_class=Response, responses=file_answers("image/png"))
async def studio_file(
    *,
    job_id: str,
    index: Annotated[int, Path(ge=0, lt=MAX_PICTURES, description="which picture, from 0")],
    request: Request,
    admin: Administrator,
    doors: AccountsOf,
    parts: PartsOf,
) -> Response:
    """A picture of a job of the studio's, whole or in ranges."""
    file = await to_thread.run_sync(doors.studio_works.file, admin, job_id, index)
    return await file_answer(request, stored(parts.storage, file), cache_control=ORIGINAL_CACHE)
