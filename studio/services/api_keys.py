"""API keys: for programs that act in a person's name. A key is shown once; only its hash is kept."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select

from studio.database.engine import Database
from studio.database.schema import ApiKey, UserProfile
from studio.errors import Conflict, Forbidden, InvalidInput, NotFound
from studio.people import SCOPES, Origin, Person
from studio.services.audit import AuditLog
from studio.services.profiles import MAX_NAME_CHARS, ROLES, now_s, person_of_profile, printable
from studio.services.sessions import MAX_ADDRESS_CHARS
from studio.services.views import iso

TOKEN_PREFIX = "ovz_"  # noqa: S105
TOKEN_BYTES = 32
SHOWN_CHARS = 8
MAX_KEYS = 50
MAX_LIFE_DAYS = 3650
DAY_S = 86_400.0
USED_EVERY_S = 60.0
"""How often a key in use is written down as used."""
NOTED_EVERY_S = 3600.0
"""How often the audit tells of a key in use, unless it is used from elsewhere."""
Json = dict[str, Any]


class ApiKeyService:
    """Makes, checks, lists and revokes API keys."""

    def __init__(self, database: Database, audit: AuditLog) -> None:
        self._database = database
        self._audit = audit

    def create(
        self, person: Person, name: str, scopes: Sequence[str], expires_in_days: float | None, origin: Origin
    ) -> tuple[str, Json]:
        """Make a key. Returns the key itself, which cannot be had again, and what is known of it.

        Raises InvalidInput, Conflict over MAX_KEYS, Forbidden for a scope that the person does not have.
        """
        tidy = " ".join(printable(name, MAX_NAME_CHARS + 1).split())
        if not 1 <= len(tidy) <= MAX_NAME_CHARS:
            raise InvalidInput(f"A key's name has 1 to {MAX_NAME_CHARS} characters.", field="name")
        wanted = _checked_scopes(person, scopes)
        if expires_in_days is not None and not 0 < expires_in_days <= MAX_LIFE_DAYS:
            raise InvalidInput(f"A key lives for up to {MAX_LIFE_DAYS} days, or without end.", field="expires_in_days")
        token = TOKEN_PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
        with self._database.as_person(person) as session:
            kept = select(func.count(ApiKey.id)).where(ApiKey.revoked_at.is_(None))
            if (session.scalar(kept) or 0) >= MAX_KEYS:
                raise Conflict(f"There are {MAX_KEYS} keys already. Revoke one first.")
            now = now_s(session)
            key = ApiKey(
                user_id=person.id,
                name=tidy,
                prefix=token[:SHOWN_CHARS],
                token_hash=_hash(token),
                scopes=wanted,
                created_at=now,
                expires_at=None if expires_in_days is None else now + expires_in_days * DAY_S,
            )
            session.add(key)
        self._audit.note("key_created", person, origin, key.id, name=tidy, scopes=wanted)
        return token, _json(key, expired=False)

    def list(self, person: Person) -> list[Json]:
        """The person's keys that are not revoked, the expired ones too, newest first."""
        with self._database.as_person(person, write=False) as session:
            now = now_s(session)
            keys = session.scalars(select(ApiKey).where(ApiKey.revoked_at.is_(None)).order_by(ApiKey.id.desc())).all()
        return [_json(key, expired=_is_over(key, now)) for key in keys]

    def revoke(self, person: Person, key_id: str, origin: Origin) -> None:
        """End a key: its next call is refused. Raises NotFound."""
        with self._database.as_person(person) as session:
            key = session.get(ApiKey, key_id)
            if key is None or key.revoked_at is not None:
                raise NotFound("There is no such key.")
            key.revoked_at = now_s(session)
            name = key.name
        self._audit.note("key_revoked", person, origin, key_id, name=name)

    def person_of(self, token: str, origin: Origin) -> tuple[Person, frozenset[str]] | None:
        """Whose key it is and what it is good for (the person's `scopes` too); None for a key that is not in force."""
        if not token.startswith(TOKEN_PREFIX):
            return None
        found = (
            select(ApiKey, UserProfile)
            .join(UserProfile, UserProfile.id == ApiKey.user_id)
            .where(ApiKey.token_hash == _hash(token), ApiKey.revoked_at.is_(None), UserProfile.active)
        )
        with self._database.as_system(write=False) as session:
            now = now_s(session)
            row = session.execute(found).one_or_none()
        if row is None:
            return None
        key, profile = row
        if _is_over(key, now):
            return None
        person = person_of_profile(profile, scopes=frozenset(key.scopes))
        if key.last_used_at is None or key.last_used_at < now - USED_EVERY_S:
            self._used(person, key, origin, now)
        return person, person.scopes

    def _used(self, person: Person, key: ApiKey, origin: Origin, now: float) -> None:
        address = printable(origin.address, MAX_ADDRESS_CHARS)
        telling = (
            key.last_used_at is None
            or key.last_used_from != address
            or key.last_used_at // NOTED_EVERY_S != now // NOTED_EVERY_S
        )
        with self._database.as_system() as session:
            row = session.get(ApiKey, key.id)
            if row is None:
                return
            row.last_used_at, row.last_used_from = now, address
            if telling:
                self._audit.note_in(session, "key_used", person, origin, key.id, name=key.name)


def _checked_scopes(person: Person, scopes: Sequence[str]) -> list[str]:
    if person.role not in ROLES:
        raise Forbidden("A key belongs to an account. Sign in to make one.")
    if not scopes or not set(scopes) <= set(SCOPES):
        raise InvalidInput(f"scopes names one or more of: {', '.join(SCOPES)}.", field="scopes")
    if ("admin" in scopes and not person.is_admin) or not set(scopes) <= person.scopes:
        raise Forbidden("A key cannot be good for more than you are.", field="scopes")
    return [scope for scope in SCOPES if scope in scopes]


def _hash(token: str) -> str:
    # A plain hash will do: the token is random, so there is nothing to guess.
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def _is_over(key: ApiKey, now: float) -> bool:
    return key.expires_at is not None and key.expires_at <= now


def _json(key: ApiKey, *, expired: bool) -> Json:
    return {
        "id": key.id,
        "name": key.name,
        "prefix": key.prefix,
        "scopes": list(key.scopes),
        "created_at": iso(key.created_at),
        "expires_at": None if key.expires_at is None else iso(key.expires_at),
        "expired": expired,
        "last_used_at": None if key.last_used_at is None else iso(key.last_used_at),
        "last_used_from": key.last_used_from,
    }
