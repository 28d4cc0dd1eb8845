"""What is kept of people goes when its time is over: ended sessions, dead links, old notes, guests who are gone."""

from __future__ import annotations

import logging

from sqlalchemy import delete, or_, select

from studio.database.engine import Database
from studio.database.schema import ApiKey, AuditEvent, OneTimeLink, SignInSession, UserProfile
from studio.errors import StudioError
from studio.services.account_removal import AccountRemoval
from studio.services.guests import LIFETIME_S
from studio.services.lockout import Lockout
from studio.services.profiles import GUEST, now_s

log = logging.getLogger(__name__)

DAY_S = 86_400.0
OVER_KEPT_S = 30 * DAY_S
"""How long sessions, keys and links are kept that are over, should somebody ask what became of them."""
AUDIT_KEPT_S = 365 * DAY_S
BATCH = 100


class PeopleTidier:
    """Removes what is over. Guests go with all that they made, once their token has expired."""

    def __init__(self, database: Database, lockout: Lockout, removal: AccountRemoval) -> None:
        self._database = database
        self._lockout = lockout
        self._removal = removal

    def tidy(self) -> None:
        """Do it all. Blocks."""
        self._lockout.forget_old()
        with self._database.as_system() as session:
            now = now_s(session)
            over = now - OVER_KEPT_S
            sessions = or_(SignInSession.expires_at < over, SignInSession.revoked_at < over)
            session.execute(delete(SignInSession).where(sessions))
            session.execute(delete(ApiKey).where(ApiKey.revoked_at < over))
            begun = (OneTimeLink.purpose == "outside") & (OneTimeLink.expires_at < now)
            session.execute(delete(OneTimeLink).where(or_(OneTimeLink.expires_at < over, begun)))
            session.execute(delete(AuditEvent).where(AuditEvent.at < now - AUDIT_KEPT_S))
        removed = self._remove_guests(now)
        if removed:
            log.info("Removed %d guests whose time was over.", removed)

    def _remove_guests(self, now: float) -> int:
        gone = UserProfile.role == GUEST, UserProfile.created_at < now - LIFETIME_S
        with self._database.as_system(write=False) as session:
            guests = session.scalars(select(UserProfile.id).where(*gone).order_by(UserProfile.id).limit(BATCH)).all()
        removed = 0
        for user_id in guests:
            try:
                self._removal.remove(user_id, lambda session: None)
            except StudioError:
                log.exception("Guest %s could not be removed; the next round tries again.", user_id)
            else:
                removed += 1
        return removed
