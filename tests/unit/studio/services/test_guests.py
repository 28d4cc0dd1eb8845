from __future__ import annotations

import pytest
from sqlalchemy import func, select

from studio.database.schema import UserProfile
from studio.errors import RateLimited
from studio.people import Origin, Person
from studio.services import lockout
from studio.services.guests import GuestService
from studio.services.lockout import Lockout

HERE, ELSEWHERE = (Origin(address=address, agent="a browser") for address in ("192.0.2.1", "192.0.2.2"))


@pytest.fixture
def guests(database) -> GuestService:
    return GuestService(database, "a secret of the studio", Lockout(database))


def new_guest(guests: GuestService) -> Person:
    guest = guests.person_of(guests.new_token())
    assert guest is not None
    return guest


def test_one_address_brings_so_many_new_guests_and_those_who_came_stay(guests, database, monkeypatch):
    monkeypatch.setitem(lockout._LIMITS, "guest", 2)  # type: ignore[index]
    first, second = (new_guest(guests) for _ in range(2))
    for guest in (first, second):
        guests.keep(guest, HERE)

    with pytest.raises(RateLimited) as refused:
        guests.keep(new_guest(guests), HERE)

    assert refused.value.message.startswith("Many guests have come from your network address. The next can begin in ")
    assert 0 < refused.value.retry_after_s <= lockout.LOCK_S
    guests.keep(first, HERE)
    guests.keep(new_guest(guests), ELSEWHERE)
    with database.as_system(write=False) as session:
        assert session.scalar(select(func.count(UserProfile.id))) == 3
