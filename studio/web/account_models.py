"""What the routes of people and accounts read and answer, as OpenAPI describes it."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from studio.services.api_keys import MAX_LIFE_DAYS
from studio.web.models import Answer, refuse_nul

Role = Literal["member", "admin"]
ScopeName = Literal["read", "generate", "admin"]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="after")
    def _refuse_nul(self) -> Self:
        refuse_nul(self)
        return self


class NewKey(_Body):
    """A key to be made. It can do no more than whoever makes it."""

    name: str = Field(min_length=1, max_length=80)
    scopes: list[ScopeName] = Field(default=["read", "generate"], min_length=1, description="what it is good for")
    expires_in_days: float | None = Field(
        default=90, gt=0, le=MAX_LIFE_DAYS, description="null for a key that does not end by itself"
    )


class NewInvitation(_Body):
    """Whom to invite. Without `email`, whoever follows the link first gets the account."""

    email: str | None = Field(default=None, max_length=254)
    role: Role = "member"


class PersonChange(_Body):
    """What to change about an account; fields left out stay as they are."""

    role: Role | None = None
    active: bool | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.role is None and self.active is None:
            raise ValueError("give role or active")
        return self


class AccountEnd(_Body):
    """What confirms a deletion."""

    password: str | None = Field(default=None, max_length=200, description="of whoever deletes, where they have one")


class MeAnswer(Answer):
    id: str
    email: str | None
    display_name: str
    role: Literal["member", "admin", "guest"]
    scopes: list[ScopeName] = Field(description="what this session or key is good for")
    signed_in: bool = Field(description="whether a session asks, which can be ended, and no key, guest or local person")


class SessionAnswer(Answer):
    id: str
    created_at: str
    last_seen_at: str
    expires_at: str
    address: str
    agent: str
    current: bool = Field(description="whether it is the one that asks")


class KeyAnswer(Answer):
    id: str
    name: str
    prefix: str = Field(description="how the key begins, to tell it from others")
    scopes: list[ScopeName]
    created_at: str
    expires_at: str | None
    expired: bool
    last_used_at: str | None
    last_used_from: str | None


class KeyMade(KeyAnswer):
    """A new key, with the only copy of its `token`."""

    token: str


class PersonAnswer(Answer):
    id: str
    email: str | None
    display_name: str
    role: str
    active: bool
    created_at: str
    last_seen_at: str | None


class LinkMade(Answer):
    """A link that works once."""

    url: str


class InvitationMade(LinkMade):
    email: str | None
    role: str


class InvitationWaiting(Answer):
    id: str
    email: str | None
    role: str
    created_at: str
    expires_at: str


class EventAnswer(Answer):
    id: str
    at: str
    actor_id: str | None
    actor: str
    action: str
    target: str | None
    address: str
    agent: str
    details: dict[str, Any]
