"""What people may use, and what they used of the GPU."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response

from studio.web.dependencies import Acting, Administrator, ServicesOf
from studio.web.identity import origin_of
from studio.web.limit_models import AllowanceAnswer, EverybodysUsage, LimitChange, UsageAnswer
from studio.web.models import Page

Json = dict[str, Any]
WhichMonth = Annotated[str | None, Query(max_length=7, description="such as 2026-11, UTC; the present one if absent")]
Format = Annotated[Literal["json", "csv"], Query(alias="format")]

router = APIRouter(prefix="/api")


@router.get("/usage", response_model=UsageAnswer, tags=["usage"])
def usage(person: Acting, services: ServicesOf, month: WhichMonth = None) -> Json:
    """One's own GPU time of a month by job type, and what one uses and may use now."""
    return services.usage.mine(person, month)


@router.get(
    "/admin/usage",
    response_model=EverybodysUsage,
    responses={200: {"content": {"text/csv": {}}}},
    tags=["admin"],
)
def everybodys_usage(
    admin: Administrator, services: ServicesOf, month: WhichMonth = None, wanted: Format = "json"
) -> Any:
    """Everybody's GPU time of a month and their storage, most GPU time first."""
    if wanted == "csv":
        table = services.usage.everybody_csv(admin, month)
        named = {"Content-Disposition": 'attachment; filename="usage.csv"', "Cache-Control": "no-store"}
        return Response(table, media_type="text/csv; charset=utf-8", headers=named)
    return services.usage.everybody(admin, month)


@router.get("/admin/allowances", response_model=Page[AllowanceAnswer], tags=["admin"])
def list_allowances(admin: Administrator, services: ServicesOf) -> Json:
    """The limits of every role, and of everybody for whom an admin set some."""
    return {"items": services.allowances.list(admin), "next": None}


@router.patch("/admin/allowances/{subject}", response_model=AllowanceAnswer, tags=["admin"])
def change_allowance(
    subject: str, change: LimitChange, request: Request, admin: Administrator, services: ServicesOf
) -> Json:
    """Set limits of a role (member, guest, admin) or of one person, by id."""
    return services.allowances.change(admin, subject, change.model_dump(exclude_unset=True), origin_of(request))
