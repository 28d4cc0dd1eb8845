"""Sign-in sessions: a signed token in the browser and a row here. Striking out the row ends the session at once."""

from __future__ import annotations

import hmac
from typing import Any

import jwt
from sqlalchemy import select, update

from studio.database.engine import Database
from studio.database.schema import SignInSession, UserProfile, new_id
from studio.errors import NotFound
from studio.people import Origin, Person
from studio.services.profiles import MAX_AGENT_CHARS, now_s, person_of_profile, printable
from studio.services.views import iso

SESSION_LIFE_S = 30 * 86_400.0
SEEN_EVERY_S = 60.0
"""How often a session in use is written down as seen: not with every request."""
AUDIENCE = "studio-session"
ALGORITHM = "HS256"
MAX_ADDRESS_CHARS = 64
_CLAIMS = ["sub", "sid", "exp", "iat", "aud"]
Json = dict[str, Any]


class SessionService:
    """Opens, checks, lists and ends sign-in sessions."""

    def __init__(self, database: Database, secret: str) -> None:
        """`secret` is the studio's; sessions of another secret are worth nothing."""
        self._database = database
        # A key of its own, so that nothing else that the studio signs can pass for a session.
        self._key = hmac.digest(secret.encode(), AUDIENCE.encode(), "sha256")

    def open(self, person: Person, origin: Origin) -> str:
        """Start a session. Returns its token (a JWT) for a cookie; it ends after SESSION_LIFE_S."""
        session_id = new_id()
        with self._database.as_person(person) as session:
            now = now_s(session)
            session.add(
                SignInSession(
                    id=session_id,
                    user_id=person.id,
                    created_at=now,
                    last_seen_at=now,
                    expires_at=now + SESSION_LIFE_S,
                    address=printable(origin.address, MAX_ADDRESS_CHARS),
                    agent=printable(origin.agent, MAX_AGENT_CHARS),
                )
            )
        claims = {"sub": person.id, "sid": session_id, "iat": int(now), "exp": int(now + SESSION_LIFE_S)}
        return jwt.encode({**claims, "aud": AUDIENCE}, self._key, ALGORITHM)

    def person_of(self, token: str) -> Person | None:
        """Whose session the token is of; None for one that is forged, over, signed out of, or of nobody active."""
        session_id = self.session_id(token)
        if session_id is None:
            return None
        found = (
            select(SignInSession, UserProfile)
            .join(UserProfile, UserProfile.id == SignInSession.user_id)
            .where(SignInSession.id == session_id, SignInSession.revoked_at.is_(None), UserProfile.active)
        )
        with self._database.as_system(write=False) as session:
            now = now_s(session)
            row = session.execute(found.where(SignInSession.expires_at > now)).one_or_none()
        if row is None:
            return None
        opened, profile = row
        if opened.last_seen_at < now - SEEN_EVERY_S:
            self._saw(session_id, now)
        return person_of_profile(profile, session_id=session_id)

    def session_id(self, token: str) -> str | None:
        """The id that a token carries, if this studio signed it and it has not expired. Asks no database."""
        try:
            claims = jwt.decode(
                token,
                self._key,
                [ALGORITHM],
                audience=AUDIENCE,
                # The row's own time decides; the database's clock may be a moment ahead of this one.
                options={"require": _CLAIMS, "verify_iat": False},
            )
        except jwt.InvalidTokenError:
            return None
        return str(claims["sid"])

    def revoke(self, person: Person, session_id: str) -> None:
        """End one of the person's sessions; one that is over already stays so. Raises NotFound."""
        with self._database.as_person(person) as session:
            row = session.get(SignInSession, session_id)
            if row is None:
                raise NotFound("There is no such session.")
            if row.revoked_at is None:
                row.revoked_at = now_s(session)

    def revoke_all(self, person: Person, except_id: str | None = None) -> int:
        """End every session of the person but `except_id`. Returns how many those were."""
        with self._database.as_person(person) as session:
            open_ones = update(SignInSession).where(SignInSession.revoked_at.is_(None))
            if except_id is not None:
                open_ones = open_ones.where(SignInSession.id != except_id)
            ended = open_ones.values(revoked_at=now_s(session)).returning(SignInSession.id)
            return len(session.scalars(ended).all())

    def list(self, person: Person) -> list[Json]:
        """The person's sessions that are not over, last used first. `current` is the one they ask by."""
        with self._database.as_person(person, write=False) as session:
            mine = select(SignInSession).where(
                SignInSession.revoked_at.is_(None), SignInSession.expires_at > now_s(session)
            )
            rows = session.scalars(mine.order_by(SignInSession.last_seen_at.desc(), SignInSession.id.desc())).all()
        return [{**_json(row), "current": row.id == person.session_id} for row in rows]

    def _saw(self, session_id: str, now: float) -> None:
        with self._database.as_system() as session:
            session.execute(update(SignInSession).where(SignInSession.id == session_id).values(last_seen_at=now))


def _json(row: SignInSession) -> Json:
    return {
        "id": row.id,
        "created_at": iso(row.created_at),
        "last_seen_at": iso(row.last_seen_at),
        "expires_at": iso(row.expires_at),
        "address": row.address,
        "agent": row.agent,
    }
