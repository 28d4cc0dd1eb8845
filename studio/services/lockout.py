"""Lockout: whoever fails too often, by account or by address, waits.

Every try is counted before its password is looked at and taken back if it was right, so that a thousand tries at once
are counted like a thousand in a row.
"""

from __future__ import annotations

import hashlib
import ipaddress
import logging
from collections.abc import Mapping, Sequence

from sqlalchemy import Select, delete, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from studio.database.engine import Database
from studio.database.schema import FailedSignIn
from studio.errors import RateLimited
from studio.services.profiles import fold_email, now_s

log = logging.getLogger(__name__)

ACCOUNT_FAILURES = 10
ADDRESS_FAILURES = 100
"""Many people may share an address, and all of them mistype."""
SIGN_UPS = 50
GUESTS = 60
"""New guests who order something or change their screen's settings; those who merely look count for nothing."""
OUTSIDE = 200
WINDOW_S = 15 * 60.0
"""Failures count together for this long after the first."""
LOCK_S = 15 * 60.0
IPV6_PREFIX_BITS = 64
"""What one household or server is given of IPv6: single addresses of it cost nothing."""
_MAX_ADDRESS_CHARS = 64
_LIMITS: Mapping[str, int] = {
    "email": ACCOUNT_FAILURES,
    "address": ADDRESS_FAILURES,
    "sign-up": SIGN_UPS,
    "guest": GUESTS,
    "outside": OUTSIDE,
}


def account_key(email: str) -> str:
    """The key of an account's failures, the same whether or not there is such an account."""
    return f"email:{hashlib.sha256(fold_email(email).encode('utf-8', 'replace')).hexdigest()}"


def address_key(address: str, kind: str = "address") -> str:
    """The key of an address's failures; `kind` may also be "sign-up", "guest" or "outside"."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return f"{kind}:{address[:_MAX_ADDRESS_CHARS]}"
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return f"{kind}:{parsed.ipv4_mapped}"
        return f"{kind}:{ipaddress.ip_network((parsed, IPV6_PREFIX_BITS), strict=False)}"
    return f"{kind}:{parsed}"


class Lockout:
    """Counts tries by key and refuses more of them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, keys: Sequence[str]) -> list[str]:
        """Count a try under each key. Returns the keys that it has locked. Raises RateLimited if one is locked."""
        newly_locked = []
        with self._database.as_system() as session:
            now = now_s(session)
            rows = {key: _row(session, key, now) for key in sorted(keys)}  # in one order, so that none wait in a ring
            locked_until = max((row.locked_until or 0.0 for row in rows.values()), default=0.0)
            if locked_until > now:
                raise RateLimited("Too many attempts. Wait a while and try again.", retry_after_s=locked_until - now)
            for key, row in rows.items():
                row.failures += 1
                if row.failures >= _limit(key):
                    row.locked_until = now + LOCK_S
                    newly_locked.append(key)
        if newly_locked:
            log.warning("Locked after too many attempts: %s", ", ".join(newly_locked))
        return newly_locked

    def succeeded(self, account: str, address: str | None) -> None:
        """Forget the failures of the account, and this try of the address, where there was one: an account of one's own
        is no way to start anew with others'."""
        with self._database.as_system() as session:
            session.execute(delete(FailedSignIn).where(FailedSignIn.key == account))
            row = session.scalars(_by_key(address)).one_or_none() if address else None
            if row is not None:
                row.failures = max(0, row.failures - 1)
                if row.failures < _limit(row.key):
                    row.locked_until = None

    def forget_old(self) -> int:
        """Remove what counts no more. Returns how many rows that were."""
        with self._database.as_system() as session:
            now = now_s(session)
            over = or_(FailedSignIn.locked_until.is_(None), FailedSignIn.locked_until < now)
            old = delete(FailedSignIn).where(FailedSignIn.first_at < now - WINDOW_S, over)
            return len(session.scalars(old.returning(FailedSignIn.key)).all())


def _row(session: Session, key: str, now: float) -> FailedSignIn:
    """The row of `key`, made where it is missing and emptied where it counts no more."""
    row = session.scalars(_by_key(key)).one_or_none()
    if row is None:
        # Two first tries at once both find none; only one of them can insert it.
        insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
        session.execute(insert(FailedSignIn).values(key=key, failures=0, first_at=now).on_conflict_do_nothing())
        row = session.scalars(_by_key(key)).one()
    if row.first_at < now - WINDOW_S and (row.locked_until or 0.0) <= now:
        row.failures, row.first_at, row.locked_until = 0, now, None
    return row


def _by_key(key: str) -> Select[FailedSignIn]:
    return select(FailedSignIn).where(FailedSignIn.key == key).with_for_update()


def _limit(key: str) -> int:
    return _LIMITS[key.partition(":")[0]]
