"""One's API keys."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request, Response

from studio.web.account_models import KeyAnswer, KeyMade, NewKey
from studio.web.dependencies import AccountsOf, Holder
from studio.web.identity import origin_of
from studio.web.models import Page
from studio.web.openapi import refuses

router = APIRouter(prefix="/api/keys", tags=["account"])


@router.get("", response_model=Page[KeyAnswer], responses=refuses(404))
def list_keys(person: Holder, doors: AccountsOf) -> dict[str, Any]:
    """One's keys, newest first, without those that were revoked."""
    return {"items": doors.people.api_keys.list(person), "next": None}


@router.post("", status_code=HTTPStatus.CREATED, response_model=KeyMade, responses=refuses(404, 409))
def make_key(key: NewKey, request: Request, response: Response, person: Holder, doors: AccountsOf) -> dict[str, Any]:
    """Make a key. Its `token` is in this answer and nowhere else."""
    made = doors.people.api_keys.create(person, key.name, key.scopes, key.expires_in_days, origin_of(request))
    response.headers["Cache-Control"] = "no-store"
    return {**made[1], "token": made[0]}


@router.delete("/{key_id}", status_code=HTTPStatus.NO_CONTENT)
def revoke_key(key_id: str, request: Request, person: Holder, doors: AccountsOf) -> None:
    """End a key: its next call is refused."""
    doors.people.api_keys.revoke(person, key_id, origin_of(request))
