"""What the account services share: a profile as a `Person`, addresses and names as they are kept, and one's rights."""

from __future__ import annotations

import re
import unicodedata

from sqlalchemy import select
from sqlalchemy.orm import Session

from studio.database.engine import db_now
from studio.database.schema import UserProfile
from studio.errors import Forbidden, InvalidInput, NotFound
from studio.people import ALL_SCOPES, Person

MAX_EMAIL_CHARS = 254
"""RFC 5321, 4.5.3.1.3, less the angle brackets."""
MAX_NAME_CHARS = 80
MAX_AGENT_CHARS = 300
ROLES = ("member", "admin")
"""What an account can be. Guests have no account."""
GUEST = "guest"
BY_INVITATION = "New accounts are by invitation. Ask an admin of this studio for a link."
SIGN_UP_CLOSED = "This studio takes no new accounts."
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")


def person_of_profile(
    profile: UserProfile, *, scopes: frozenset[str] = ALL_SCOPES, session_id: str | None = None
) -> Person:
    """The person of a row of `user_profiles`."""
    return Person(
        id=profile.id,
        role=profile.role,
        display_name=profile.display_name,
        email=profile.email,
        scopes=scopes,
        session_id=session_id,
    )


def tidy_email(email: str) -> str:
    """The address in the one form that is kept and looked up. Raises InvalidInput for what cannot be one."""
    tidy = fold_email(email)
    if len(tidy) > MAX_EMAIL_CHARS or not _EMAIL.fullmatch(tidy) or not tidy.isprintable():
        raise InvalidInput("That is no e-mail address.", field="email")
    return tidy


def fold_email(email: str) -> str:
    """What counts of an address when it is compared; any text will do."""
    return unicodedata.normalize("NFKC", email).strip().casefold()


def tidy_name(name: str, email: str | None) -> str:
    """The name to show: as given, without odd characters, else the first part of the address. Raises InvalidInput."""
    tidy = " ".join(printable(name, MAX_NAME_CHARS + 1).split()) or (email or "").partition("@")[0][:MAX_NAME_CHARS]
    if not 1 <= len(tidy) <= MAX_NAME_CHARS:
        raise InvalidInput(f"A name has 1 to {MAX_NAME_CHARS} characters.", field="display_name")
    return tidy


def tidy_role(role: str) -> str:
    """`role`, if an account can have it. Raises InvalidInput."""
    if role not in ROLES:
        raise InvalidInput(f"role is one of: {', '.join(ROLES)}.", field="role")
    return role


def printable(text: str, limit: int) -> str:
    """At most `limit` characters of what a stranger sent, fit to be stored, logged and shown."""
    return "".join(character if character.isprintable() else " " for character in text[:limit])


def need_admin(person: Person) -> None:
    """Raises Forbidden."""
    if not person.is_admin:
        raise Forbidden("Only an admin may do this.")


def profile_of(session: Session, user_id: str, *, lock: bool = False) -> UserProfile:
    """The row of the account. Raises NotFound."""
    query = select(UserProfile).where(UserProfile.id == user_id)
    profile = session.scalars(query.with_for_update() if lock else query).one_or_none()
    if profile is None:
        raise NotFound("There is no such account.")
    return profile


def now_s(session: Session) -> float:
    """Seconds since 1970 UTC by the database's clock."""
    return session.execute(select(db_now())).scalar_one()
