"""People whom a provider outside signs in: who of the accounts they are, and whether they get one."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from studio.database.engine import Database
from studio.database.schema import ExternalIdentity, UserProfile
from studio.errors import Conflict, Forbidden, InvalidInput, SignInRefused, StudioError
from studio.people import Origin, Person
from studio.services.audit import AuditLog
from studio.services.invitations import Invitations
from studio.services.lockout import Lockout, address_key
from studio.services.profiles import (
    BY_INVITATION,
    MAX_NAME_CHARS,
    SIGN_UP_CLOSED,
    now_s,
    person_of_profile,
    tidy_email,
    tidy_name,
)

SHUT = "This account has been deactivated. Ask an admin of this studio."
ANOTHER_ADDRESS = "This invitation is for another address."
SIGN_IN_AS_BEFORE = "There is an account with your address already. Sign in to it as you did before."
NAMELESS = "Somebody"


class AccountExists(Conflict):
    """An account of this address exists, which nobody gets without its password."""


@dataclass(frozen=True, kw_only=True)
class OutsideIdentity:
    """Whom a provider has signed in. `subject` is the provider's unchanging id, `email` one that it has confirmed."""

    provider: str
    subject: str
    name: str
    email: str | None

    @classmethod
    def of(cls, provider: str, subject: str, *, name: object, email: object) -> OutsideIdentity:
        """From claims, which may be anything. `email` is None unless the provider has confirmed it."""
        tidy = None
        if isinstance(email, str):
            try:
                tidy = tidy_email(email)
            except InvalidInput:
                tidy = None
        try:
            shown = tidy_name(name[:MAX_NAME_CHARS] if isinstance(name, str) else "", tidy)
        except InvalidInput:
            shown = NAMELESS
        return cls(provider=provider, subject=subject, name=shown, email=tidy)


class OutsidePeople:
    """Finds and makes the accounts of people from outside. What an account holds is opened by the provider's id alone;
    a confirmed address is looked at once, when the provider names somebody for the first time."""

    def __init__(
        self, database: Database, *, audit: AuditLog, invitations: Invitations, lockout: Lockout, signup: str
    ) -> None:
        """`signup` is "open", "invite" or "closed"."""
        self._database = database
        self._audit = audit
        self._invitations = invitations
        self._lockout = lockout
        self._signup = signup

    def person_of(self, who: OutsideIdentity, origin: Origin, invitation: str | None = None) -> Person:
        """The person of this identity, who gets an account at first sight where sign-up allows it.

        Raises SignInRefused for a deactivated account, AccountExists, Forbidden without a due invitation, NotFound
        for one that is over, RateLimited.
        """
        profile = self._known(who) or self._first_sight(who, origin, invitation)
        if not profile.active:
            raise SignInRefused(SHUT)
        return person_of_profile(profile)

    def sign_in(self, who: OutsideIdentity, origin: Origin, invitation: str | None = None) -> Person:
        """The same for a browser, which gets a session: the audit has it. Raises as `person_of` does."""
        try:
            person = self.person_of(who, origin, invitation)
        except AccountExists:
            raise
        except StudioError:
            self._audit.note("sign_in_failed", who.email or who.name, origin, provider=who.provider)
            raise
        self._audit.note("sign_in", person, origin, provider=who.provider)
        return person

    def begin(self, origin: Origin) -> str:
        """The state of a sign-in that begins at a provider. Raises RateLimited."""
        self._lockout.begin([address_key(origin.address, "outside")])
        return self._invitations.begin_outside()

    def end(self, state: str) -> None:
        """Use the state up. Raises NotFound for one that was not given out, is used or too old."""
        self._invitations.end_outside(state)

    def ways_in(self, person: Person) -> tuple[str, ...]:
        """How the person signs in: "password", where the account has one, and the providers that name them."""
        mine = select(ExternalIdentity.provider).order_by(ExternalIdentity.provider).distinct()
        with self._database.as_person(person, write=False) as session:
            profile = session.get(UserProfile, person.id)
            providers = session.scalars(mine).all()
        return (*(["password"] if profile and profile.password_hash else []), *providers)

    def connect(self, person: Person, who: OutsideIdentity, origin: Origin) -> None:
        """From now on this identity is the person, who has shown it with the password. Raises Conflict."""
        try:
            with self._database.as_system() as session:
                self._link(session, person.id, who)
                self._audit.note_in(session, "identity_connected", person, origin, person.id, provider=who.provider)
        except IntegrityError as error:
            raise Conflict("That sign-in belongs to another account.") from error

    def _known(self, who: OutsideIdentity) -> UserProfile | None:
        mine = select(UserProfile).join(ExternalIdentity, ExternalIdentity.user_id == UserProfile.id)
        mine = mine.where(ExternalIdentity.provider == who.provider, ExternalIdentity.subject == who.subject)
        with self._database.as_system(write=False) as session:
            return session.scalars(mine).one_or_none()

    def _first_sight(self, who: OutsideIdentity, origin: Origin, invitation: str | None) -> UserProfile:
        with self._database.as_system(write=False) as session:
            same = _by_email(session, who.email)
        if same is None:
            self._check_sign_up(who, invitation)
            self._lockout.begin([address_key(origin.address, "sign-up")])
        try:
            with self._database.as_system() as session:
                return self._let_in(session, who, origin, invitation)
        except IntegrityError:
            # Another request of the same person was first.
            profile = self._known(who)
            if profile is None:
                raise
            return profile

    def _let_in(self, session: Session, who: OutsideIdentity, origin: Origin, invitation: str | None) -> UserProfile:
        profile = _by_email(session, who.email)
        if profile is None:
            role = self._role(session, who, invitation)
            profile = UserProfile(
                email=who.email, display_name=who.name, role=role, created_at=now_s(session), active=True
            )
            session.add(profile)
            action = "sign_up"
        else:
            # An address with a password was only claimed, never confirmed: whoever made that account may be another.
            # One without came from a provider that had confirmed it. Admins' accounts are never had by an address.
            if profile.password_hash is not None or profile.role == "admin":
                raise AccountExists(SIGN_IN_AS_BEFORE)
            action = "identity_connected"
        session.flush()
        self._link(session, profile.id, who)
        person = person_of_profile(profile)
        self._audit.note_in(session, action, person, origin, profile.id, provider=who.provider, role=profile.role)
        return profile

    def _check_sign_up(self, who: OutsideIdentity, invitation: str | None) -> None:
        if self._signup == "closed":
            raise Forbidden(SIGN_UP_CLOSED)
        if invitation:
            if self._invitations.look(invitation, "invite").email not in (None, who.email):
                raise Forbidden(ANOTHER_ADDRESS)
        elif self._signup == "invite" and not self._invitations.waits_for(who.email):
            raise Forbidden(BY_INVITATION)

    def _role(self, session: Session, who: OutsideIdentity, invitation: str | None) -> str:
        """The role that an invitation gives, used up with it. An admin's is taken by its link alone: who may confirm
        addresses elsewhere must not make admins here."""
        if invitation:
            return self._invitations.take(session, invitation, "invite").role
        invited = self._invitations.take_of(session, who.email)
        if invited is None and self._signup != "open":
            raise Forbidden(BY_INVITATION)
        return "member"

    @staticmethod
    def _link(session: Session, user_id: str, who: OutsideIdentity) -> None:
        session.add(ExternalIdentity(provider=who.provider, subject=who.subject, user_id=user_id))
        session.flush()


def _by_email(session: Session, email: str | None) -> UserProfile | None:
    if email is None:
        return None
    return session.scalars(select(UserProfile).where(UserProfile.email == email)).one_or_none()
