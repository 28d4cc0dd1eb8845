from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, select, update

from studio.database.schema import ApiKey, AuditEvent, OneTimeLink, SignInSession, UserProfile
from studio.errors import StorageFailed
from studio.people import Origin, Person
from studio.services.guests import LIFETIME_S
from studio.services.people_tidying import AUDIT_KEPT_S, DAY_S, OVER_KEPT_S
from studio.services.profiles import now_s

HERE = Origin(address="192.0.2.1", agent="a browser")


def _count(door, kind: Any) -> int:
    with door.database.as_system(write=False) as session:
        return session.scalar(select(func.count()).select_from(kind)) or 0


def _age(door, column: Any, by_s: float) -> None:
    """Set a time of all rows of the column's table to so long ago."""
    with door.database.as_system() as session:
        session.execute(update(column.class_).values({column: now_s(session) - by_s}))


@pytest.fixture
def lived_in(door):
    """A studio with one of everything that ends by itself."""
    root = door.admin()
    door.parts.sessions.open(root, HERE)
    _, key = door.parts.api_keys.create(root, "script", ["read"], None, HERE)
    door.parts.api_keys.revoke(root, key["id"], HERE)
    door.accounts.invite(root, None, "member", HERE)
    return door


@pytest.mark.parametrize(
    ("column", "kept_s"),
    [
        (SignInSession.expires_at, OVER_KEPT_S),
        (SignInSession.revoked_at, OVER_KEPT_S),
        (ApiKey.revoked_at, OVER_KEPT_S),
        (OneTimeLink.expires_at, OVER_KEPT_S),
        (AuditEvent.at, AUDIT_KEPT_S),
    ],
    ids=str,
)
def test_what_is_over_goes_after_a_while(lived_in, column: Any, kept_s: float):
    before = _count(lived_in, column.class_)
    assert before
    _age(lived_in, column, kept_s - DAY_S)
    lived_in.parts.tidier.tidy()
    assert _count(lived_in, column.class_) == before
    _age(lived_in, column, kept_s + DAY_S)
    lived_in.parts.tidier.tidy()

    assert _count(lived_in, column.class_) == 0
    assert _count(lived_in, UserProfile) == 3


def test_guests_go_once_they_cannot_return_and_nobody_else_does(door, monkeypatch):
    guests = [Person(id=f"guest-{number}", role="guest", display_name="Guest") for number in range(2)]
    with door.database.as_system() as session:
        now = now_s(session)
        for guest, age_s in zip(guests, (LIFETIME_S + DAY_S, LIFETIME_S - DAY_S), strict=True):
            session.add(UserProfile(id=guest.id, display_name="Guest", role="guest", created_at=now - age_s))
    old, young = guests
    ann = door.member()
    door.set(ann, created_at=1.0)
    job = door.desk.submit(old)

    def fail(*_: object) -> None:
        raise StorageFailed("The media storage did not answer.")

    with monkeypatch.context() as broken:
        broken.setattr(door.storage, "batches", fail)
        door.parts.tidier.tidy()
    assert door.profile(old) is not None
    door.parts.tidier.tidy()

    assert door.profile(old) is None
    assert job["id"] in door.desk.hurried
    assert door.profile(young) is not None
    assert door.profile(ann) is not None
