"""Who may use the studio: signing up and in, passwords, the first admin. In local mode one person, without sign-in."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Select, exists, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from studio.database.engine import Database
from studio.database.schema import ExternalIdentity, UserProfile
from studio.errors import Conflict, Forbidden, InvalidInput, SignInRefused
from studio.people import Origin, Person
from studio.services.account_removal import AccountRemoval
from studio.services.administration import (
    Administration,
    account_of,
    admins_who_can_sign_in,
    end_sessions,
    keep_an_admin,
)
from studio.services.audit import AuditLog
from studio.services.invitations import Invitations, LinkFacts
from studio.services.lockout import Lockout, account_key, address_key
from studio.services.passwords import Passwords
from studio.services.profiles import (
    BY_INVITATION,
    SIGN_UP_CLOSED,
    need_admin,
    now_s,
    person_of_profile,
    profile_of,
    tidy_email,
    tidy_name,
)

LOCAL_NAME = "You"
WRONG_SIGN_IN = "The address or the password is wrong."
WRONG_PASSWORD = "The password is wrong."  # noqa: S105
ADDRESS_TAKEN = "No account can be made with this address. If it is yours, sign in instead."
FROM_THE_SETTINGS = Origin(address="settings", agent="")


def local_person(database: Database) -> Person:
    """The one person of local mode, an admin. Made once; every later call returns the same."""
    with database.as_system() as session:
        profile = session.scalars(_local()).first()
        if profile is None:
            profile = UserProfile(display_name=LOCAL_NAME, role="admin", created_at=now_s(session))
            session.add(profile)
            session.flush()
        return person_of_profile(profile)


@dataclass(frozen=True, kw_only=True)
class _Chosen:
    """What somebody chose for their account, checked."""

    email: str
    name: str
    password: str


class AccountService(Administration):
    """People's own accounts, and what admins do with them. Methods that take a password block for a good moment."""

    def __init__(
        self,
        database: Database,
        *,
        passwords: Passwords,
        lockout: Lockout,
        audit: AuditLog,
        invitations: Invitations,
        removal: AccountRemoval,
        signup: str,
    ) -> None:
        """`signup` is "open", "invite" or "closed"."""
        super().__init__(database, audit, invitations, signup)
        self._passwords = passwords
        self._lockout = lockout
        self._removal = removal

    def sign_up(
        self, email: str, password: str, display_name: str, origin: Origin, invitation: str | None = None
    ) -> Person:
        """Make an account, with the role that the invitation gives. An empty name is taken from the address.

        Raises InvalidInput; Forbidden without a due invitation; NotFound for one that is over; Conflict where the
        address cannot have an account; RateLimited.
        """
        if self._signup == "closed" or (self._signup == "invite" and not invitation):
            raise Forbidden(SIGN_UP_CLOSED if self._signup == "closed" else BY_INVITATION)
        chosen = self._chosen(email, password, display_name)
        if invitation and self._invitations.look(invitation, "invite").email not in (None, chosen.email):
            raise Forbidden("This invitation is for another address.", field="email")
        self._lockout.begin([address_key(origin.address, "sign-up")])
        password_hash = self._passwords.hash(chosen.password)
        with self._database.as_system() as session:
            role = self._invitations.take(session, invitation, "invite").role if invitation else "member"
            person = _made(session, chosen, password_hash, role)
            self._audit.note_in(session, "sign_up", person, origin, person.id, role=role)
        return person

    def sign_in(self, email: str, password: str, origin: Origin) -> Person:
        """The person of this address and password.

        Raises SignInRefused, equally slow whether the address is unknown, the password wrong or the account shut;
        RateLimited after too many failures of the account or the address, also where there is no such account.
        """
        account, address = account_key(email), address_key(origin.address)
        self._count(email, origin, [account, address])
        profile = self._by_email(email)
        right = self._passwords.verify(password, profile.password_hash if profile else None)
        if profile is None or not right or not profile.active:
            self._audit.note("sign_in_failed", email, origin, profile.id if profile else None)
            raise SignInRefused(WRONG_SIGN_IN)
        self._lockout.succeeded(account, address)
        person = person_of_profile(profile)
        self._audit.note("sign_in", person, origin)
        return person

    def change_password(self, person: Person, old: str, new: str, origin: Origin) -> None:
        """Set another password. All sessions of the person end but the one they ask by.

        Raises InvalidInput for a wrong old or an unfit new password, Conflict for an account without one, RateLimited.
        """
        self._passwords.check(new, person.email)
        with self._database.as_system(write=False) as session:
            if profile_of(session, person.id).password_hash is None:
                raise Conflict("This account has no password: it signs in from outside.")
        self._confirm(person, old, origin)
        password_hash = self._passwords.hash(new)
        with self._database.as_system() as session:
            _set_password(session, person.id, password_hash, keep_session=person.session_id)
            self._audit.note_in(session, "password_changed", person, origin)

    def redeem_reset(self, token: str, new_password: str, origin: Origin) -> Person:
        """Set a new password by an admin's link. All sessions end. Raises NotFound for a link that is over,
        InvalidInput."""
        facts = self._invitations.look(token, "reset")
        self._passwords.check(new_password, facts.email)
        password_hash = self._passwords.hash(new_password)
        with self._database.as_system() as session:
            user_id = self._invitations.take(session, token, "reset").user_id or ""
            person = _set_password(session, user_id, password_hash)
            self._audit.note_in(session, "password_reset", person, origin)
        if person.email:
            self._lockout.succeeded(account_key(person.email), None)
        return person

    def delete(self, person: Person, user_id: str, origin: Origin, password: str | None = None) -> None:
        """Remove an account with all its jobs, media and keys: one's own, with one's password where it has one, or as
        an admin another's. Guests, too, can have all removed that is theirs.

        Raises InvalidInput for a wrong password, Forbidden, NotFound, RateLimited, StorageFailed, or Conflict for the
        last admin. Blocks while running jobs stop.
        """
        if user_id != person.id:
            need_admin(person)
        with self._database.as_system() as session:
            profile = (profile_of if user_id == person.id else account_of)(session, user_id)
            keep_an_admin(session, profile)
        if user_id == person.id and profile.password_hash is not None:
            self._confirm(person, password or "", origin)

        def note(session: Session) -> None:
            self._invitations.withdraw_of(session, user_id)
            self._audit.note_in(session, "account_deleted", person, origin, user_id, email=profile.email)

        self._removal.remove(user_id, note)

    def first_admin(self, email: str | None, password: str | None) -> str | None:
        """See to it that somebody can administer the studio, at its start.

        Where no admin can sign in yet, the account of `email` becomes one, with `password`; it is the local person's if
        the studio was used without sign-in before. Without these settings, returns the token of a one-time setup link;
        one from an earlier start ends. Raises InvalidInput.
        """
        with self._database.as_system() as session:
            if admins_who_can_sign_in(session):
                return None
            if not email or not password:
                local = session.scalars(_local()).first()
                facts = LinkFacts(
                    purpose="setup", role="admin", email=None, user_id=local.id if local else None, created_by=None
                )
                self._invitations.withdraw(session, "setup")
                return self._invitations.issue(session, facts)
        chosen = self._chosen(email, password, "")
        password_hash = self._passwords.hash(chosen.password)
        with self._database.as_system() as session:
            if not admins_who_can_sign_in(session):
                person = _first_admin(session, chosen, password_hash)
                self._audit.note_in(session, "first_admin", person, FROM_THE_SETTINGS, person.id)
        return None

    def redeem_setup(self, token: str, email: str, password: str, name: str, origin: Origin) -> Person:
        """Make the first admin by the link of `first_admin`.

        Raises NotFound for a link that is over, InvalidInput, or Conflict where there is an admin by now.
        """
        self._invitations.look(token, "setup")
        chosen = self._chosen(email, password, name)
        password_hash = self._passwords.hash(chosen.password)
        with self._database.as_system() as session:
            self._invitations.take(session, token, "setup")
            if admins_who_can_sign_in(session):
                raise Conflict("This studio has an admin already. Sign in, or ask them for an invitation.")
            person = _first_admin(session, chosen, password_hash)
            self._audit.note_in(session, "first_admin", person, origin, person.id)
        return person

    def _chosen(self, email: str, password: str, name: str) -> _Chosen:
        tidy = tidy_email(email)
        self._passwords.check(password, tidy)
        return _Chosen(email=tidy, name=tidy_name(name, tidy), password=password)

    def _count(self, email: str, origin: Origin, keys: list[str]) -> None:
        for key in self._lockout.begin(keys):
            self._audit.note("locked_out", email, origin, by=key.partition(":")[0])

    def _confirm(self, person: Person, password: str, origin: Origin) -> None:
        """Raises InvalidInput unless `password` is the person's, RateLimited after too many tries."""
        account, address = account_key(person.email or person.id), address_key(origin.address)
        self._count(person.email or person.display_name, origin, [account, address])
        with self._database.as_system(write=False) as session:
            password_hash = profile_of(session, person.id).password_hash
        if not self._passwords.verify(password, password_hash):
            raise InvalidInput(WRONG_PASSWORD, field="password")
        self._lockout.succeeded(account, address)

    def _by_email(self, email: str) -> UserProfile | None:
        try:
            tidy = tidy_email(email)
        except InvalidInput:
            return None
        with self._database.as_system(write=False) as session:
            return session.scalars(select(UserProfile).where(UserProfile.email == tidy)).one_or_none()


def _made(session: Session, chosen: _Chosen, password_hash: str, role: str) -> Person:
    now = now_s(session)
    profile = UserProfile(
        email=chosen.email,
        display_name=chosen.name,
        role=role,
        created_at=now,
        password_hash=password_hash,
        password_changed_at=now,
    )
    session.add(profile)
    _flush(session)
    return person_of_profile(profile)


def _first_admin(session: Session, chosen: _Chosen, password_hash: str) -> Person:
    """The account of that address becomes the first admin's, else the local person's does, else a new one."""
    same = select(UserProfile).where(UserProfile.email == chosen.email)
    profile = session.scalars(same).one_or_none() or session.scalars(_local()).first()
    if profile is None:
        return _made(session, chosen, password_hash, "admin")
    profile.email, profile.display_name, profile.role, profile.active = chosen.email, chosen.name, "admin", True
    return _set_password(session, profile.id, password_hash)


def _set_password(session: Session, user_id: str, password_hash: str, keep_session: str | None = None) -> Person:
    profile = account_of(session, user_id)
    profile.password_hash, profile.password_changed_at = password_hash, now_s(session)
    end_sessions(session, user_id, except_id=keep_session)
    return person_of_profile(profile)


def _local() -> Select[UserProfile]:
    """The person of local mode."""
    outside = exists().where(ExternalIdentity.user_id == UserProfile.id)
    mine = select(UserProfile).where(UserProfile.email.is_(None), UserProfile.role == "admin", ~outside)
    return mine.order_by(UserProfile.id).limit(1)


def _flush(session: Session) -> None:
    try:
        session.flush()
    except IntegrityError as error:
        raise Conflict(ADDRESS_TAKEN, field="email") from error
