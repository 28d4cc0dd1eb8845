"""Guests: people without an account, each browser or client one of its own, known by a signed token alone."""

from __future__ import annotations

import hmac
import time

import jwt
from sqlalchemy.exc import IntegrityError

from studio.database.engine import Database
from studio.database.schema import UserProfile, new_id
from studio.errors import RateLimited
from studio.people import Origin, Person
from studio.services.limits import in_about
from studio.services.lockout import Lockout, address_key
from studio.services.profiles import GUEST as GUEST_ROLE
from studio.services.profiles import now_s

GUEST_NAME = "Guest"
GUEST_SCOPES = frozenset({"read", "generate"})
LIFETIME_S = 180 * 86_400
AUDIENCE = "studio-guest"
ALGORITHM = "HS256"


class GuestService:
    """Hands out guests' tokens. A guest has a row only from the first change on, so that visits cost nothing."""

    lifetime_s = LIFETIME_S

    def __init__(self, database: Database, secret: str, lockout: Lockout) -> None:
        self._database = database
        self._lockout = lockout
        # A key of its own, so that nothing else that the studio signs can pass for a guest.
        self._key = hmac.digest(secret.encode(), AUDIENCE.encode(), "sha256")

    def new_token(self) -> str:
        """The token of a new guest."""
        claims = {"sub": new_id(), "aud": AUDIENCE, "exp": int(time.time()) + self.lifetime_s}
        return jwt.encode(claims, self._key, ALGORITHM)

    def person_of(self, token: str) -> Person | None:
        """The guest of `token`; None where it was not signed here or has expired. Asks no database."""
        try:
            claims = jwt.decode(
                token, self._key, [ALGORITHM], audience=AUDIENCE, options={"require": ["sub", "aud", "exp"]}
            )
        except jwt.InvalidTokenError:
            return None
        return Person(id=claims["sub"], role=GUEST_ROLE, display_name=GUEST_NAME, scopes=GUEST_SCOPES)

    def keep(self, guest: Person, origin: Origin) -> None:
        """Make the row that everything of `guest` hangs on, where it is missing.

        Raises RateLimited after many new guests from one address: else a client that keeps no token would be a new
        person, with limits of its own, at every order.
        """
        if self.is_kept(guest):
            return
        try:
            self._lockout.begin([address_key(origin.address, "guest")])
        except RateLimited as many:
            raise RateLimited(
                "Many guests have come from your network address. The next can begin "
                f"{in_about(many.retry_after_s or 0.0)}; with an account you need not wait.",
                retry_after_s=many.retry_after_s,
            ) from many
        try:
            with self._database.as_system() as session:
                now = now_s(session)
                session.add(UserProfile(id=guest.id, display_name=GUEST_NAME, role=GUEST_ROLE, created_at=now))
        except IntegrityError:
            if not self.is_kept(guest):  # else another request of this guest was first
                raise

    def is_kept(self, guest: Person) -> bool:
        """Whether `guest` has a row."""
        with self._database.as_system(write=False) as session:
            return session.get(UserProfile, guest.id) is not None
