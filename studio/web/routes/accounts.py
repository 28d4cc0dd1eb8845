"""Oneself: who one is, where one is signed in, one's data, and the end of the account."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse
from starlette.background import BackgroundTask

from studio.web.account_models import AccountEnd, MeAnswer, SessionAnswer
from studio.web.cookies import Cookie
from studio.web.dependencies import AccountsOf, Acting, Holder
from studio.web.identity import origin_of
from studio.web.models import Page
from studio.web.openapi import refuses

Json = dict[str, Any]
EXPORT_NAME = "ourvidz-studio-export.zip"

router = APIRouter(prefix="/api", tags=["account"])


@router.get("/me", response_model=MeAnswer)
async def me(person: Acting) -> Json:
    """In whose name this call acts, and how far its key goes."""
    return {
        "id": person.id,
        "email": person.email,
        "display_name": person.display_name,
        "role": person.role,
        "scopes": sorted(person.scopes),
        "signed_in": person.session_id is not None,
    }


@router.get("/sessions", response_model=Page[SessionAnswer], responses=refuses(404))
def sessions(person: Holder, doors: AccountsOf) -> Json:
    """Where one is signed in, last used first."""
    return {"items": doors.people.sessions.list(person), "next": None}


@router.delete("/sessions/{session_id}", status_code=HTTPStatus.NO_CONTENT)
def end_session(session_id: str, request: Request, person: Holder, doors: AccountsOf) -> None:
    """Sign one of one's sessions out, for good."""
    doors.people.sessions.revoke(person, session_id)
    doors.people.audit.note("session_revoked", person, origin_of(request), session_id)


@router.get(
    "/account/export",
    response_class=FileResponse,
    responses={200: {"content": {"application/zip": {}}}, **refuses(404, 503)},
)
def export(person: Acting, doors: AccountsOf) -> FileResponse:
    """Everything of one's own in a ZIP file: account, jobs and assets as JSON, and every picture and film."""
    path = doors.people.personal_data.export(person)
    return FileResponse(
        path,
        media_type="application/zip",
        filename=EXPORT_NAME,
        headers={"Cache-Control": "no-store"},
        background=BackgroundTask(doors.people.personal_data.discard, path),
    )


@router.delete("/account", status_code=HTTPStatus.NO_CONTENT, responses=refuses(404, 409, 429, 503))
def delete_account(end: AccountEnd, request: Request, person: Holder, doors: AccountsOf) -> Response:
    """Delete one's account with its jobs, assets, files and keys. This cannot be undone."""
    doors.people.accounts.delete(person, person.id, origin_of(request), end.password)
    gone = doors.identity.cookies.forget(request.scope, Cookie.SESSION)
    return Response(status_code=HTTPStatus.NO_CONTENT, headers={"Set-Cookie": gone})
