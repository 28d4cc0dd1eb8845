"""Who is asking. Every service call that touches somebody's data takes a `Person` first."""

from __future__ import annotations

from dataclasses import dataclass

from studio.errors import Forbidden

SCOPES = ("read", "generate", "admin")
"""What a key may be good for, in the order in which they are shown: looking, ordering and changing, administering."""
ALL_SCOPES = frozenset(SCOPES)


@dataclass(frozen=True, kw_only=True)
class Person:
    """One person who uses the studio. `role` is "member", "admin" or "guest".

    `scopes` is what the way they came in allows: all of it after signing in, less with an API key. `session_id` names
    the sign-in they came by, where there is one.
    """

    id: str
    role: str
    display_name: str
    email: str | None = None
    scopes: frozenset[str] = ALL_SCOPES
    session_id: str | None = None

    @property
    def is_admin(self) -> bool:
        return self.role == "admin" and "admin" in self.scopes


def require_scope(person: Person, scope: str) -> None:
    """Raise Forbidden where the key that `person` came with is not good for `scope`."""
    if scope not in person.scopes:
        raise Forbidden(f'This API key may not do that: it lacks the scope "{scope}".')


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a request comes from: the network address and what the client calls itself."""

    address: str
    agent: str
