from __future__ import annotations

from dataclasses import asdict

import pytest
from sqlalchemy import select

from studio.database.limit_tables import Allowance
from studio.database.schema import AuditEvent, UserProfile
from studio.errors import Forbidden, InvalidInput, NotFound
from studio.people import Origin, Person
from studio.services.allowances import BUILT_IN, KNOWN_FOR_S, Allowances, Allowed
from studio.services.audit import AuditLog

HERE = Origin(address="192.0.2.1", agent="tests")
ROOT = Person(id="root", role="admin", display_name="Root")


@pytest.fixture
def allowances(desk) -> Allowances:
    return Allowances(desk.database, AuditLog(desk.database))


def test_what_is_built_in_is_generous_to_members_tight_for_guests_and_leaves_admins_free():
    member, guest = asdict(BUILT_IN["member"]), asdict(BUILT_IN["guest"])

    assert all(guest[name] < member[name] for name in member)
    assert BUILT_IN["admin"] == Allowed()


def test_what_is_granted_to_a_person_goes_before_their_role_and_that_before_what_is_built_in(desk, allowances):
    allowances.change(ROOT, "member", {"pending_jobs": 7, "running_jobs": 2}, HERE)
    allowances.change(ROOT, desk.alice.id, {"pending_jobs": "unlimited"}, HERE)

    alice, bob = allowances.of(desk.alice), allowances.of(desk.bob)

    assert (alice.pending_jobs, alice.running_jobs) == (None, 2)
    assert (bob.pending_jobs, bob.running_jobs) == (7, 2)
    assert alice.gpu_minutes == bob.gpu_minutes == BUILT_IN["member"].gpu_minutes
    assert allowances.of(ROOT) == Allowed()
    assert allowances.of(Person(id="g", role="guest", display_name="Guest")) == BUILT_IN["guest"]


def test_null_takes_a_grant_back_and_leaves_no_row(desk, allowances):
    allowances.change(ROOT, desk.alice.id, {"pending_jobs": 7, "gpu_minutes": 0}, HERE)
    allowances.change(ROOT, desk.alice.id, {"pending_jobs": None}, HERE)
    assert allowances.of(desk.alice).pending_jobs == BUILT_IN["member"].pending_jobs
    assert allowances.of(desk.alice).gpu_minutes == 0
    allowances.change(ROOT, desk.alice.id, {"gpu_minutes": None}, HERE)
    allowances.change(ROOT, desk.bob.id, {"gpu_minutes": None}, HERE)

    with desk.database.as_system(write=False) as session:
        assert session.scalars(select(Allowance)).all() == []


def test_admins_see_every_role_and_whoever_has_limits_of_their_own(desk, allowances):
    allowances.change(ROOT, desk.alice.id, {"storage_mb": 5, "running_jobs": "unlimited"}, HERE)

    items = allowances.list(ROOT)

    assert [item["subject"] for item in items] == ["member", "guest", "admin", desk.alice.id]
    assert (items[3]["name"], items[3]["role"]) == ("Alice", "member")
    assert items[3]["granted"] == {"storage_mb": 5, "running_jobs": None}
    assert items[3]["allowed"] == {**asdict(BUILT_IN["member"]), "storage_mb": 5, "running_jobs": None}
    assert allowances.of_people(ROOT, [desk.bob.id])[desk.bob.id]["granted"] == {}


@pytest.mark.parametrize("value", [-1, 2**31, True, 1.5, "many"])
def test_a_limit_is_a_whole_number(desk, allowances, value):
    with pytest.raises(InvalidInput):
        allowances.change(ROOT, "member", {"pending_jobs": value}, HERE)


def test_nobody_can_be_kept_from_running_what_they_may_order(allowances):
    with pytest.raises(InvalidInput, match="from 1 on"):
        allowances.change(ROOT, "member", {"running_jobs": 0}, HERE)
    with pytest.raises(InvalidInput, match="A limit is one of"):
        allowances.change(ROOT, "member", {"jobs": 1}, HERE)


def test_only_admins_set_limits_and_it_is_noted(desk, allowances):
    for call in (
        lambda: allowances.change(desk.alice, "member", {"pending_jobs": 1}, HERE),
        lambda: allowances.list(desk.alice),
        lambda: allowances.of_people(desk.alice, []),
    ):
        with pytest.raises(Forbidden):
            call()
    with pytest.raises(NotFound):
        allowances.change(ROOT, "nobody", {"pending_jobs": 1}, HERE)
    allowances.change(ROOT, desk.alice.id, {"pending_jobs": 1}, HERE)

    with desk.database.as_system(write=False) as session:
        (event,) = session.scalars(select(AuditEvent)).all()
    assert (event.action, event.target) == ("limits_changed", desk.alice.id)
    assert event.details == {"name": "Alice", "pending_jobs": 1}


def test_a_grant_goes_with_its_person(desk, allowances):
    allowances.change(ROOT, desk.alice.id, {"pending_jobs": 1}, HERE)
    with desk.database.as_system() as session:
        session.delete(session.get_one(UserProfile, desk.alice.id))
    with desk.database.as_system(write=False) as session:
        assert session.scalars(select(Allowance)).all() == []


def test_an_answer_is_kept_for_seconds_and_forgotten_at_a_change(desk, count_statements):
    clock = [0.0]
    kept = Allowances(desk.database, AuditLog(desk.database), now=lambda: clock[0])
    other = Allowances(desk.database, AuditLog(desk.database))
    kept.of(desk.alice)
    other.change(ROOT, desk.alice.id, {"pending_jobs": 1}, HERE)
    with count_statements() as sent:
        assert kept.of(desk.alice).pending_jobs == BUILT_IN["member"].pending_jobs
    assert sent == []
    clock[0] += KNOWN_FOR_S
    assert kept.of(desk.alice).pending_jobs == 1
    kept.change(ROOT, desk.alice.id, {"pending_jobs": 2}, HERE)
    assert kept.of(desk.alice).pending_jobs == 2
