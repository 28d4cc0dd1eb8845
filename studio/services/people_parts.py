"""Wires everything that knows people: accounts, sessions, keys, links, the audit and personal data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from studio.database.engine import Database
from studio.media.storage import MediaStorage
from studio.people import Person
from studio.services.account_removal import AccountRemoval
from studio.services.accounts import AccountService
from studio.services.api_keys import ApiKeyService
from studio.services.audit import AuditLog
from studio.services.invitations import Invitations
from studio.services.lockout import Lockout
from studio.services.outside_people import OutsidePeople
from studio.services.passwords import Passwords
from studio.services.people_tidying import PeopleTidier
from studio.services.personal_data import PersonalData
from studio.services.sessions import SessionService


@dataclass(frozen=True, kw_only=True)
class PeopleParts:
    """The services of people and their accounts. `tidier.tidy` is a chore for the sweeper's `clean`."""

    accounts: AccountService
    outside: OutsidePeople
    sessions: SessionService
    api_keys: ApiKeyService
    audit: AuditLog
    invitations: Invitations
    personal_data: PersonalData
    tidier: PeopleTidier


def build_people(
    database: Database,
    storage: MediaStorage,
    *,
    cancel: Callable[[Person, str], object],
    forget_uploads: Callable[[str], None],
    secret: str,
    signup: str,
    scratch_root: Path,
    passwords: Passwords | None = None,
) -> PeopleParts:
    """The services, none of which has asked the database yet.

    `cancel(person, job_id)` stops a job (`JobService.cancel`), `forget_uploads(person_id)` removes what a person sent
    through Gradio, `secret` signs sessions, `signup` is "open", "invite" or
    "closed", and exports are written below `scratch_root`. Takes a moment: it hashes a password that nobody has.
    """
    audit = AuditLog(database)
    invitations = Invitations(database)
    lockout = Lockout(database)
    removal = AccountRemoval(database, storage, cancel, forget_uploads)
    accounts = AccountService(
        database,
        passwords=passwords or Passwords(),
        lockout=lockout,
        audit=audit,
        invitations=invitations,
        removal=removal,
        signup=signup,
    )
    return PeopleParts(
        accounts=accounts,
        outside=OutsidePeople(database, audit=audit, invitations=invitations, lockout=lockout, signup=signup),
        sessions=SessionService(database, secret),
        api_keys=ApiKeyService(database, audit),
        audit=audit,
        invitations=invitations,
        personal_data=PersonalData(database, storage, scratch_root),
        tidier=PeopleTidier(database, lockout, removal),
    )
