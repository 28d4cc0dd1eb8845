"""What admins do with accounts: see them, invite, change roles, let in and shut out, hand out new passwords."""

from __future__ import annotations

from typing import Any

from sqlalchemy import exists, func, or_, select, update
from sqlalchemy.orm import Session

from studio.database.engine import Database
from studio.database.schema import ExternalIdentity, SignInSession, UserProfile
from studio.errors import Conflict, NotFound
from studio.people import Origin, Person
from studio.services.audit import AuditLog
from studio.services.invitations import Invitations, LinkFacts
from studio.services.profiles import ROLES, need_admin, now_s, profile_of, tidy_email, tidy_role
from studio.services.views import iso

LAST_ADMIN = "This is the last admin who can sign in. Make somebody else an admin first."
Json = dict[str, Any]


class Administration:
    """The accounts, for admins. Every method raises Forbidden for anybody else."""

    def __init__(self, database: Database, audit: AuditLog, invitations: Invitations, signup: str) -> None:
        """`signup` is "open", "invite" or "closed"."""
        self._database = database
        self._audit = audit
        self._invitations = invitations
        self._signup = signup

    @property
    def signup(self) -> str:
        """Who may sign up: "open", "invite" or "closed"."""
        return self._signup

    def people(self, admin: Person) -> list[Json]:
        """Every account, oldest first, without guests. `last_seen_at` is of its sessions; None if it has none."""
        need_admin(admin)
        seen = select(func.max(SignInSession.last_seen_at)).where(SignInSession.user_id == UserProfile.id)
        accounts = select(UserProfile, seen.scalar_subquery()).where(UserProfile.role.in_(ROLES))
        with self._database.as_system(write=False) as session:
            rows = session.execute(accounts.order_by(UserProfile.id)).all()
        return [_json(profile, last_seen) for profile, last_seen in rows]

    def invite(self, admin: Person, email: str | None, role: str, origin: Origin) -> str:
        """Make an invitation. Returns the token of its link. Without `email` anybody who has the link may follow it.

        Raises InvalidInput, or Conflict while sign-up is closed or where the address has an account.
        """
        need_admin(admin)
        if self._signup == "closed":
            raise Conflict("Sign-up is closed. Set STUDIO_SIGNUP=invite to invite people.")
        tidy = tidy_email(email) if email else None
        facts = LinkFacts(purpose="invite", role=tidy_role(role), email=tidy, user_id=None, created_by=admin.id)
        with self._database.as_system() as session:
            if tidy and session.scalars(select(UserProfile.id).where(UserProfile.email == tidy)).first():
                raise Conflict("There is an account with this address already.", field="email")
            token = self._invitations.issue(session, facts)
            self._audit.note_in(session, "invited", admin, origin, tidy, role=role)
        return token

    def withdraw_invitation(self, admin: Person, invitation_id: str, origin: Origin) -> None:
        """Take an invitation back. Raises NotFound."""
        need_admin(admin)
        with self._database.as_system() as session:
            self._invitations.withdraw_one(session, invitation_id)
            self._audit.note_in(session, "invitation_withdrawn", admin, origin, invitation_id)

    def reset_by_admin(self, admin: Person, user_id: str, origin: Origin) -> str:
        """The token of a link by which the account gets a new password; earlier ones end. Raises NotFound."""
        need_admin(admin)
        with self._database.as_system() as session:
            profile = account_of(session, user_id)
            self._invitations.withdraw(session, "reset", user_id)
            facts = LinkFacts(
                purpose="reset", role=profile.role, email=profile.email, user_id=user_id, created_by=admin.id
            )
            token = self._invitations.issue(session, facts)
            self._audit.note_in(session, "reset_issued", admin, origin, user_id, email=profile.email)
        return token

    def set_role(self, admin: Person, user_id: str, role: str, origin: Origin) -> Json:
        """Make an account a member or an admin. Raises InvalidInput, NotFound, or Conflict for the last admin."""
        need_admin(admin)
        tidy_role(role)
        with self._database.as_system() as session:
            profile = account_of(session, user_id)
            if profile.role != role:
                if role != "admin":
                    keep_an_admin(session, profile)
                    self._invitations.withdraw_of(session, user_id)
                self._audit.note_in(session, "role_changed", admin, origin, user_id, email=profile.email, role=role)
                profile.role = role
            return _json(profile, None)

    def set_active(self, admin: Person, user_id: str, active: bool, origin: Origin) -> Json:
        """Let an account in again, or shut it out: its sessions and keys stop at once, what it made stays.

        Raises NotFound, or Conflict for the last admin.
        """
        need_admin(admin)
        with self._database.as_system() as session:
            profile = account_of(session, user_id)
            if profile.active != active:
                action = "activated"
                if not active:
                    action = "deactivated"
                    keep_an_admin(session, profile)
                    self._invitations.withdraw_of(session, user_id)
                    end_sessions(session, user_id)
                self._audit.note_in(session, action, admin, origin, user_id, email=profile.email)
                profile.active = active
            return _json(profile, None)


def account_of(session: Session, user_id: str) -> UserProfile:
    """The account, locked; guests have none. Raises NotFound."""
    profile = profile_of(session, user_id, lock=True)
    if profile.role not in ROLES:
        raise NotFound("There is no such account.")
    return profile


def admins_who_can_sign_in(session: Session) -> set[str]:
    """The ids of the active admins who have a password or sign in from outside, locked until the transaction ends."""
    outside = exists().where(ExternalIdentity.user_id == UserProfile.id)
    able = or_(UserProfile.password_hash.is_not(None), outside)
    admins = select(UserProfile.id).where(UserProfile.role == "admin", UserProfile.active, able)
    return set(session.scalars(admins.order_by(UserProfile.id).with_for_update()))


def keep_an_admin(session: Session, going: UserProfile) -> None:
    """Raises Conflict where `going` is the last admin who can sign in."""
    admins = admins_who_can_sign_in(session)
    if going.id in admins and len(admins) == 1:
        raise Conflict(LAST_ADMIN)


def end_sessions(session: Session, user_id: str, except_id: str | None = None) -> None:
    """End the sessions of an account, all but `except_id`, in a system session."""
    ended = update(SignInSession).where(SignInSession.user_id == user_id, SignInSession.revoked_at.is_(None))
    if except_id is not None:
        ended = ended.where(SignInSession.id != except_id)
    session.execute(ended.values(revoked_at=now_s(session)))


def _json(profile: UserProfile, last_seen: float | None) -> Json:
    return {
        "id": profile.id,
        "email": profile.email,
        "display_name": profile.display_name,
        "role": profile.role,
        "active": profile.active,
        "created_at": iso(profile.created_at),
        "last_seen_at": None if last_seen is None else iso(last_seen),
    }
