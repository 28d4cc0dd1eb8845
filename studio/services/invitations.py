"""One-time links: the first admin's, invitations, new passwords, and sign-ins under way at a provider outside. Only a
link's hash is kept."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from studio.database.engine import Database
from studio.database.schema import OneTimeLink
from studio.errors import NotFound
from studio.people import Person
from studio.services.profiles import need_admin, now_s
from studio.services.views import iso

Purpose = Literal["setup", "invite", "reset", "outside"]
TOKEN_BYTES = 32
DAY_S = 86_400.0
OUTSIDE_LIFE_S = 10 * 60.0
"""How long one may take to sign in at a provider outside."""
LINK_LIFE_S: dict[Purpose, float] = {"setup": DAY_S, "invite": 7 * DAY_S, "reset": DAY_S, "outside": OUTSIDE_LIFE_S}
LINK_IS_OVER = "This link is not valid any more. Ask for a new one."


@dataclass(frozen=True, kw_only=True)
class LinkFacts:
    """What a link is for. `email` and `user_id` are None where it is for whoever comes first."""

    purpose: Purpose
    role: str
    email: str | None
    user_id: str | None
    created_by: str | None


class Invitations:
    """Issues links, looks at them and takes them once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def issue(self, session: Session, facts: LinkFacts) -> str:
        """Make a link in a system session. Returns its token, which cannot be had again."""
        token = secrets.token_urlsafe(TOKEN_BYTES)
        now = now_s(session)
        session.add(
            OneTimeLink(
                token_hash=_hash(token),
                purpose=facts.purpose,
                user_id=facts.user_id,
                email=facts.email,
                role=facts.role,
                created_by=facts.created_by,
                created_at=now,
                expires_at=now + LINK_LIFE_S[facts.purpose],
            )
        )
        return token

    def look(self, token: str, purpose: Purpose) -> LinkFacts:
        """What the link is for, without taking it. Raises NotFound for one that is unknown, used or expired."""
        with self._database.as_system(write=False) as session:
            return _facts(_valid(session, token, purpose), purpose)

    def take(self, session: Session, token: str, purpose: Purpose) -> LinkFacts:
        """Use the link up, in the system session that does what it is for. Raises NotFound as `look` does."""
        link = _valid(session, token, purpose, lock=True)
        link.used_at = now_s(session)
        return _facts(link, purpose)

    def begin_outside(self) -> str:
        """The state of a sign-in that begins at a provider outside: its answer is taken once, and soon."""
        facts = LinkFacts(purpose="outside", role="", email=None, user_id=None, created_by=None)
        with self._database.as_system() as session:
            return self.issue(session, facts)

    def end_outside(self, state: str) -> None:
        """Use the state up. Raises NotFound for one that was not given out, is used or too old."""
        with self._database.as_system() as session:
            self.take(session, state, "outside")

    def waits_for(self, email: str | None) -> bool:
        """Whether an invitation as a member waits for this address."""
        with self._database.as_system(write=False) as session:
            return _waiting_for(session, email) is not None

    def take_of(self, session: Session, email: str | None) -> LinkFacts | None:
        """Use up the invitation as a member that waits for this address, in the system session that makes the account;
        None where there is none."""
        link = _waiting_for(session, email, lock=True)
        if link is None:
            return None
        link.used_at = now_s(session)
        return _facts(link, "invite")

    def list(self, admin: Person) -> list[dict[str, Any]]:
        """The invitations that nobody has followed yet, newest first. Raises Forbidden."""
        need_admin(admin)
        with self._database.as_system(write=False) as session:
            waiting = select(OneTimeLink).where(
                OneTimeLink.purpose == "invite", OneTimeLink.used_at.is_(None), OneTimeLink.expires_at > now_s(session)
            )
            links = session.scalars(waiting.order_by(OneTimeLink.created_at.desc(), OneTimeLink.token_hash)).all()
        return [
            {
                "id": link.token_hash,
                "email": link.email,
                "role": link.role,
                "created_at": iso(link.created_at),
                "expires_at": iso(link.expires_at),
            }
            for link in links
        ]

    def withdraw_of(self, session: Session, user_id: str) -> None:
        """Take back every unused link that this person has given out or was given."""
        mine = (OneTimeLink.created_by == user_id) | (OneTimeLink.user_id == user_id)
        session.execute(delete(OneTimeLink).where(mine, OneTimeLink.used_at.is_(None)))

    def withdraw(self, session: Session, purpose: Purpose, user_id: str | None = None) -> None:
        """Take back every unused link of this kind, or those that are about one person."""
        unused = delete(OneTimeLink).where(OneTimeLink.purpose == purpose, OneTimeLink.used_at.is_(None))
        session.execute(unused if user_id is None else unused.where(OneTimeLink.user_id == user_id))

    def withdraw_one(self, session: Session, link_id: str) -> None:
        """Take back the invitation of this id (as `list` gives it). Raises NotFound."""
        link = session.get(OneTimeLink, link_id)
        if link is None or link.used_at is not None or link.purpose != "invite":
            raise NotFound("There is no such invitation.")
        session.delete(link)


def _valid(session: Session, token: str, purpose: Purpose, *, lock: bool = False) -> OneTimeLink:
    query = select(OneTimeLink).where(
        OneTimeLink.token_hash == _hash(token),
        OneTimeLink.purpose == purpose,
        OneTimeLink.used_at.is_(None),
        OneTimeLink.expires_at > now_s(session),
    )
    link = session.scalars(query.with_for_update() if lock else query).one_or_none()
    if link is None:
        raise NotFound(LINK_IS_OVER)
    return link


def _waiting_for(session: Session, email: str | None, *, lock: bool = False) -> OneTimeLink | None:
    query = select(OneTimeLink).where(
        OneTimeLink.purpose == "invite",
        OneTimeLink.email == email,
        OneTimeLink.role == "member",
        OneTimeLink.used_at.is_(None),
        OneTimeLink.expires_at > now_s(session),
    )
    query = query.order_by(OneTimeLink.created_at).limit(1)
    return None if email is None else session.scalars(query.with_for_update() if lock else query).first()


def _facts(link: OneTimeLink, purpose: Purpose) -> LinkFacts:
    return LinkFacts(
        purpose=purpose, role=link.role, email=link.email, user_id=link.user_id, created_by=link.created_by
    )


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
