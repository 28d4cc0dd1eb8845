"""In whose name a request acts, in each mode: one person (local), people with accounts, or guests as well."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from starlette.requests import HTTPConnection

from studio.errors import SignInNeeded
from studio.people import Origin, Person
from studio.web.cookies import Cookie, CookieRules

if TYPE_CHECKING:
    from studio.services.api_keys import ApiKeyService
    from studio.services.container import RequestLike
    from studio.services.guests import GuestService
    from studio.services.sessions import SessionService

log = logging.getLogger(__name__)

Mode = Literal["accounts", "guest"]
KEY_PREFIX = "ovz_"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
MAX_AGENT_CHARS = 200
JWT_PARTS = 3

SIGN_IN_FIRST = "Sign in first."
BAD_KEY = "This API key is unknown, expired or revoked. Make another one on your account's page."
BAD_TOKEN = "This token is not accepted here. Use an API key, or sign in again."  # noqa: S105

ExternalPerson = Callable[[str, Origin], Person | None]
"""The person whom a JWT of an outside issuer names; None where it is not valid. May block."""


def connection_of(request: RequestLike) -> HTTPConnection:
    """Starlette's request, which lies beneath Gradio's too. Raises TypeError for any other."""
    found = request if isinstance(request, HTTPConnection) else getattr(request, "request", None)
    if not isinstance(found, HTTPConnection):
        raise TypeError(f"{type(request).__name__} is no request of the web app.")
    return found


def origin_of(request: RequestLike) -> Origin:
    """Where `request` comes from. The server has already put a trusted proxy's word in the place of its address."""
    connection = connection_of(request)
    address = connection.client.host if connection.client else "unknown"
    return Origin(address=address, agent=connection.headers.get("user-agent", "")[:MAX_AGENT_CHARS])


def bearer_of(connection: HTTPConnection) -> str | None:
    """The token of an "Authorization: Bearer …" header; None where there is none."""
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def scope_of(method: str) -> str:
    """How far a key must reach for a request of `method`."""
    return "read" if method in SAFE_METHODS else "generate"


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Tells the person of a request: by its API key or outside token, else by its session, else as a guest.

    Blocks: it asks the database. Called with a request, raises SignInNeeded. An Authorization header that does not
    hold is refused and never falls back to a cookie. A guest gets a row with the first request that changes something.
    """

    mode: Mode
    sessions: SessionService
    api_keys: ApiKeyService
    guests: GuestService
    cookies: CookieRules
    external: ExternalPerson | None = None

    def __call__(self, request: RequestLike, /) -> Person:
        connection = connection_of(request)
        token = bearer_of(connection)
        if token is not None:
            return self._by_token(token, origin_of(connection))
        person = self._by_session(connection) or self.guest_of(connection)
        if person is None:
            raise SignInNeeded(SIGN_IN_FIRST)
        if person.role == "guest" and connection.scope.get("method", "GET") not in SAFE_METHODS:
            self.guests.keep(person, origin_of(connection))
        return person

    def guest_of(self, connection: HTTPConnection) -> Person | None:
        """The guest whose cookie `connection` carries. Asks no database."""
        if self.mode != "guest":
            return None
        token = self.cookies.read(connection.scope, Cookie.GUEST)
        return self.guests.person_of(token) if token else None

    def _by_session(self, connection: HTTPConnection) -> Person | None:
        token = self.cookies.read(connection.scope, Cookie.SESSION)
        if not token:
            return None
        person = self.sessions.person_of(token)
        if person is None:
            log.warning("Refused a session from %s: it is over, or was not signed here.", origin_of(connection).address)
        return person

    def _by_token(self, token: str, origin: Origin) -> Person:
        if token.startswith(KEY_PREFIX):
            known = self.api_keys.person_of(token, origin)
            if known is None:
                log.warning("Refused an API key from %s: it is unknown, expired or revoked.", origin.address)
                raise SignInNeeded(BAD_KEY)
            person, scopes = known
            return replace(person, scopes=frozenset(scopes))
        found = None
        if self.external is not None and token.count(".") == JWT_PARTS - 1:
            found = self.external(token, origin)
        if found is None:
            log.warning("Refused a token from %s: nobody here knows its issuer, or it does not hold.", origin.address)
            raise SignInNeeded(BAD_TOKEN)
        return found
