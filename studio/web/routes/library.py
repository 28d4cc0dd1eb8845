"""Assets, projects and uploads."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, File, Form, Query, Request, Response, UploadFile

from studio.people import Person
from studio.services.allowances import MEGABYTE
from studio.services.library import AssetFilter
from studio.web.dependencies import Acting, Cursor, Limit, PartsOf, ServicesOf, WebParts
from studio.web.identity import origin_of
from studio.web.models import (
    AssetAnswer,
    AssetChangeBody,
    ComparisonAnswer,
    JobAnswer,
    Page,
    ProjectAnswer,
    ProjectName,
    StorageAnswer,
    TrashAnswer,
    UploadAnswer,
)
from studio.web.openapi import refuses

Json = dict[str, Any]
Permanently = Annotated[bool, Query(description="remove for good what is in the trash; this cannot be undone")]
OtherAsset = Annotated[str | None, Query(alias="with", max_length=64, description="the asset to compare it with")]

router = APIRouter(prefix="/api")


@dataclass(frozen=True, kw_only=True)
class Removals:
    """Tells the audit what a request has removed for good, where there is one."""

    request: Request
    person: Person
    parts: WebParts

    def note(self, count: int, asset_id: str | None = None) -> None:
        """`count` assets are gone, or the one with `asset_id`."""
        if self.parts.accounts is not None and count:
            audit, origin = self.parts.accounts.people.audit, origin_of(self.request)
            audit.note("assets_deleted", self.person, origin, asset_id, count=count)


def _removals(request: Request, person: Acting, parts: PartsOf) -> Removals:
    return Removals(request=request, person=person, parts=parts)


RemovalsOf = Annotated[Removals, Depends(_removals)]


@router.get("/assets", response_model=Page[AssetAnswer], tags=["assets"])
def list_assets(
    *,
    person: Acting,
    services: ServicesOf,
    kind: Literal["image", "video"] | None = None,
    job_type: str | None = None,
    search: str | None = None,
    favourite: bool | None = None,
    project: str | None = None,
    trashed: bool = False,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Json:
    """One's own assets, newest first."""
    wanted = AssetFilter(
        kind=kind, job_type=job_type, search=search, favourite=favourite, project=project, trashed=trashed
    )
    return services.library.list(person, wanted, limit=limit, cursor=cursor)


@router.get("/assets/{asset_id}", response_model=AssetAnswer, tags=["assets"])
def get_asset(asset_id: str, person: Acting, services: ServicesOf) -> Json:
    """One asset."""
    return services.library.get(person, asset_id)


@router.patch("/assets/{asset_id}", response_model=AssetAnswer, tags=["assets"])
def change_asset(asset_id: str, change: AssetChangeBody, person: Acting, services: ServicesOf) -> Json:
    """Mark, rate, tag or move an asset."""
    return services.library.change(person, asset_id, change.model_dump(exclude_unset=True))


@router.delete(
    "/assets/{asset_id}",
    response_model=AssetAnswer,
    responses={204: {"description": "It was removed for good"}, **refuses(409, 503)},
    tags=["assets"],
)
def delete_asset(
    asset_id: str, person: Acting, services: ServicesOf, removals: RemovalsOf, permanently: Permanently = False
) -> Any:
    """Move an asset to the trash, or remove one that is there for good."""
    if permanently:
        services.library.purge(person, asset_id)
        removals.note(1, asset_id)
        return Response(status_code=HTTPStatus.NO_CONTENT)
    return services.library.delete(person, asset_id)


@router.delete("/trash", response_model=TrashAnswer, responses=refuses(503), tags=["assets"])
def empty_trash(person: Acting, services: ServicesOf, removals: RemovalsOf) -> Json:
    """Remove everything in one's own trash for good."""
    deleted = services.library.empty_trash(person)
    removals.note(deleted)
    return {"deleted": deleted}


@router.get("/storage", response_model=StorageAnswer, tags=["assets"])
def storage(person: Acting, services: ServicesOf) -> Json:
    """How much one's own assets and uploads take, the trash included, and may take."""
    most = services.allowances.of(person).storage_mb
    return {**services.library.storage_used(person), "limit_bytes": None if most is None else most * MEGABYTE}


@router.post("/assets/{asset_id}/restore", response_model=AssetAnswer, tags=["assets"])
def restore_asset(asset_id: str, person: Acting, services: ServicesOf) -> Json:
    """Take an asset out of the trash."""
    return services.library.restore(person, asset_id)


@router.post(
    "/assets/{asset_id}/run-again",
    status_code=HTTPStatus.CREATED,
    response_model=JobAnswer,
    responses=refuses(429),
    tags=["assets"],
)
def run_again(asset_id: str, person: Acting, services: ServicesOf) -> Json:
    """Queue a job that makes this one asset again, with its settings and seed and its prompt as it was rewritten."""
    return services.comparing.run_again(person, asset_id)


@router.get("/assets/{asset_id}/compare", response_model=ComparisonAnswer, responses=refuses(503), tags=["assets"])
async def compare(asset_id: str, person: Acting, services: ServicesOf, other_id: OtherAsset = None) -> Json:
    """Hold another asset's pixels and receipt against this one's."""
    return await services.comparing.compare(person, asset_id, other_id)


@router.get("/projects", response_model=Page[ProjectAnswer], tags=["projects"])
def list_projects(person: Acting, services: ServicesOf) -> Json:
    """One's own projects."""
    return {"items": services.projects.list(person), "next": None}


@router.post(
    "/projects",
    status_code=HTTPStatus.CREATED,
    response_model=ProjectAnswer,
    responses=refuses(409),
    tags=["projects"],
)
def create_project(project: ProjectName, person: Acting, services: ServicesOf) -> Json:
    """Make a project."""
    return services.projects.create(person, project.name)


@router.get("/projects/{project_id}", response_model=ProjectAnswer, tags=["projects"])
def get_project(project_id: str, person: Acting, services: ServicesOf) -> Json:
    """One project."""
    return services.projects.get(person, project_id)


@router.patch("/projects/{project_id}", response_model=ProjectAnswer, responses=refuses(409), tags=["projects"])
def rename_project(project_id: str, project: ProjectName, person: Acting, services: ServicesOf) -> Json:
    """Rename a project."""
    return services.projects.rename(person, project_id, project.name)


@router.delete("/projects/{project_id}", status_code=HTTPStatus.NO_CONTENT, tags=["projects"])
def delete_project(project_id: str, person: Acting, services: ServicesOf) -> None:
    """Remove a project; its jobs and assets stay."""
    services.projects.delete(person, project_id)


@router.post(
    "/uploads",
    status_code=HTTPStatus.CREATED,
    response_model=UploadAnswer,
    responses=refuses(429, 503),
    tags=["uploads"],
)
def upload(
    person: Acting,
    services: ServicesOf,
    file: Annotated[UploadFile, File(description="a PNG, JPEG or WebP picture")],
    mask: Annotated[bool, Form(description="whether it is a mask: white is repainted")] = False,
) -> Json:
    """Bring a reference picture or a mask."""
    return services.uploads.accept(person, file.file.read(), mask=mask)
