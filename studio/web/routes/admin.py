"""What administrators do with people's accounts, and what happened."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request, Response

from studio.errors import Conflict
from studio.web.account_models import (
    EventAnswer,
    InvitationMade,
    InvitationWaiting,
    LinkMade,
    NewInvitation,
    PersonAnswer,
    PersonChange,
)
from studio.web.dependencies import AccountsOf, Administrator, Cursor, Limit
from studio.web.identity import origin_of
from studio.web.links import invitation_url, reset_url
from studio.web.models import Page
from studio.web.openapi import refuses

Json = dict[str, Any]

router = APIRouter(prefix="/api/admin", tags=["admin"])


@router.get("/people", response_model=Page[PersonAnswer], responses=refuses(404))
def list_people(admin: Administrator, doors: AccountsOf) -> Json:
    """Everybody who has an account, oldest first."""
    return {"items": doors.people.accounts.people(admin), "next": None}


@router.patch("/people/{user_id}", response_model=PersonAnswer, responses=refuses(409))
def change_person(
    user_id: str, change: PersonChange, request: Request, admin: Administrator, doors: AccountsOf
) -> Json:
    """Give an account another role, or shut it out or let it in again."""
    accounts, origin = doors.people.accounts, origin_of(request)
    person: Json = {}
    if change.role is not None:
        person = accounts.set_role(admin, user_id, change.role, origin)
    if change.active is not None:
        person = accounts.set_active(admin, user_id, change.active, origin)
    return person


@router.delete("/people/{user_id}", status_code=HTTPStatus.NO_CONTENT, responses=refuses(409, 503))
def delete_person(user_id: str, request: Request, admin: Administrator, doors: AccountsOf) -> None:
    """Delete another's account with everything of it. This cannot be undone."""
    if user_id == admin.id:
        raise Conflict("Delete your own account at /api/account.")
    doors.people.accounts.delete(admin, user_id, origin_of(request))


@router.post("/people/{user_id}/reset", status_code=HTTPStatus.CREATED, response_model=LinkMade)
def reset_password(user_id: str, request: Request, response: Response, admin: Administrator, doors: AccountsOf) -> Json:
    """Make a link by which a new password is set. It is in this answer and nowhere else."""
    token = doors.people.accounts.reset_by_admin(admin, user_id, origin_of(request))
    response.headers["Cache-Control"] = "no-store"
    return {"url": reset_url(request, token)}


@router.get("/invitations", response_model=Page[InvitationWaiting], responses=refuses(404))
def list_invitations(admin: Administrator, doors: AccountsOf) -> Json:
    """The invitations that nobody has followed yet."""
    return {"items": doors.people.invitations.list(admin), "next": None}


@router.post("/invitations", status_code=HTTPStatus.CREATED, response_model=InvitationMade, responses=refuses(404, 409))
def invite(
    invitation: NewInvitation, request: Request, response: Response, admin: Administrator, doors: AccountsOf
) -> Json:
    """Make a link for a new account. It is in this answer and nowhere else."""
    token = doors.people.accounts.invite(admin, invitation.email, invitation.role, origin_of(request))
    response.headers["Cache-Control"] = "no-store"
    return {"url": invitation_url(request, token), "email": invitation.email, "role": invitation.role}


@router.delete("/invitations/{invitation_id}", status_code=HTTPStatus.NO_CONTENT)
def withdraw_invitation(invitation_id: str, request: Request, admin: Administrator, doors: AccountsOf) -> None:
    """Take an invitation back."""
    doors.people.accounts.withdraw_invitation(admin, invitation_id, origin_of(request))


@router.get("/audit", response_model=Page[EventAnswer], responses=refuses(404))
def audit(admin: Administrator, doors: AccountsOf, limit: Limit = 50, cursor: Cursor = None) -> Json:
    """Sign-ins, keys, deletions and what administrators did, newest first."""
    return doors.people.audit.list(admin, limit=limit, cursor=cursor)
