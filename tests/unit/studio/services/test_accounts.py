from __future__ import annotations

import pytest
from sqlalchemy import select

from studio.database.schema import OneTimeLink, UserProfile
from studio.errors import Conflict, Forbidden, InvalidInput, NotFound, RateLimited, SignInRefused
from studio.people import Origin
from studio.services.accounts import local_person
from studio.services.lockout import ACCOUNT_FAILURES

HERE = Origin(address="192.0.2.1", agent="a browser")
ELSEWHERE = Origin(address="198.51.100.7", agent="another browser")
GOOD, BETTER = "correct horse", "battery staple"


def _ways_in(door, *tokens: str) -> list[bool]:
    return [door.parts.sessions.person_of(token) is not None for token in tokens]


def test_local_mode_has_one_person_made_once(database):
    first = local_person(database)

    assert (first.role, first.is_admin) == ("admin", True)
    assert local_person(database) == first


def test_people_of_other_modes_are_not_mistaken_for_the_local_one(desk):
    assert local_person(desk.database).id not in (desk.alice.id, desk.bob.id)


def test_who_signed_up_can_sign_in(door):
    made = door.accounts.sign_up(" Ann@Example.ORG", GOOD, "", HERE)
    found = door.accounts.sign_in("ann@example.org", GOOD, HERE)

    assert found == made
    assert (found.email, found.display_name, found.role) == ("ann@example.org", "ann", "member")
    assert door.audited() == [
        ("sign_up", "ann@example.org", made.id),
        ("sign_in", "ann@example.org", None),
    ]


@pytest.mark.parametrize("email", ["", "ann", "@", "a b@c", "a@b@c", "x" * 251 + "@b.c", "a\0@b", "a@b\ud800"])
def test_what_is_no_address_is_refused(door, email: str):
    with pytest.raises(InvalidInput) as refused:
        door.accounts.sign_up(email, GOOD, "Ann", HERE)
    assert refused.value.field == "email"
    with pytest.raises(SignInRefused):
        door.accounts.sign_in(email, GOOD, HERE)


def test_a_name_is_tidied(door):
    assert door.accounts.sign_up("a@b.c", GOOD, " Ann \0 of\nGreen ", HERE).display_name == "Ann of Green"
    with pytest.raises(InvalidInput):
        door.accounts.sign_up("b@b.c", GOOD, "x" * 81, HERE)


def test_an_address_has_one_account(door):
    ann = door.member("ann")
    with pytest.raises(Conflict):
        door.accounts.sign_up("ANN@example.org", BETTER, "Else", HERE)

    assert door.accounts.sign_in("ann@example.org", GOOD, HERE) == ann


def test_every_refusal_to_sign_in_is_the_same(door):
    ann = door.member("ann")
    door.set(door.member("gone"), active=False)
    door.set(door.member("outside"), password_hash=None)
    refusals = []
    for email, password in [
        ("ann@example.org", "wrong password"),
        ("nobody@example.org", GOOD),
        ("gone@example.org", GOOD),
        ("outside@example.org", GOOD),
        ("no address", GOOD),
    ]:
        with pytest.raises(SignInRefused) as refused:
            door.accounts.sign_in(email, password, HERE)
        refusals.append((refused.value.message, refused.value.status, refused.value.code, refused.value.field))

    assert set(refusals) == {("The address or the password is wrong.", 401, "unauthorized", None)}
    assert ("sign_in_failed", "ann@example.org", ann.id) in door.audited()
    assert ("sign_in_failed", "nobody@example.org", None) in door.audited()


def test_known_and_unknown_addresses_ask_the_database_the_same(door, count_statements):
    door.member("ann")
    sent = []
    for name in ("somebody", "ann", "nobody"):
        with count_statements() as statements, pytest.raises(SignInRefused):
            door.accounts.sign_in(f"{name}@example.org", "wrong password", HERE)
        sent.append(statements)

    assert sent[1] == sent[2]  # the first makes the row of the failures of that address


@pytest.mark.parametrize("name", ["ann", "nobody"])
def test_too_many_wrong_passwords_lock_the_account_and_nobody_else(door, name: str):
    door.member("ann")
    ben = door.member("ben")
    for _ in range(ACCOUNT_FAILURES):
        with pytest.raises(SignInRefused):
            door.accounts.sign_in(f"{name}@example.org", "wrong password", HERE)
    with pytest.raises(RateLimited) as refused:
        door.accounts.sign_in(f"{name}@example.org", GOOD, ELSEWHERE)

    assert refused.value.retry_after_s
    assert door.accounts.sign_in("ben@example.org", GOOD, HERE) == ben
    assert door.audited().count(("locked_out", f"{name}@example.org", None)) == 1


def test_sign_up_by_invitation_or_not_at_all(door_with):
    door = door_with("invite")
    with pytest.raises(Forbidden, match="by invitation"):
        door.member("ann")
    with pytest.raises(NotFound):
        door.accounts.sign_up("ann@example.org", GOOD, "", HERE, invitation="made up")
    closed = door_with("closed")
    with pytest.raises(Forbidden, match="no new accounts"):
        closed.accounts.sign_up("ann@example.org", GOOD, "", HERE, invitation="made up")


def test_an_address_cannot_sign_up_without_end(door, monkeypatch):
    monkeypatch.setattr("studio.services.lockout._LIMITS", {"sign-up": 2, "email": 10, "address": 100})
    door.member("a")
    door.member("b")
    with pytest.raises(RateLimited):
        door.member("c")

    assert door.accounts.sign_up("c@example.org", GOOD, "", ELSEWHERE)


def test_another_password_ends_the_other_sessions(door):
    ann = door.member("ann")
    present, other = (door.parts.sessions.open(ann, HERE) for _ in range(2))
    asking = door.parts.sessions.person_of(present)
    door.accounts.change_password(asking, GOOD, BETTER, HERE)

    assert _ways_in(door, present, other) == [True, False]
    assert door.accounts.sign_in("ann@example.org", BETTER, HERE).id == ann.id
    with pytest.raises(SignInRefused):
        door.accounts.sign_in("ann@example.org", GOOD, HERE)
    assert ("password_changed", "ann@example.org", None) in door.audited()


def test_a_password_is_changed_only_by_who_knows_it(door):
    ann = door.member("ann")
    with pytest.raises(InvalidInput, match="wrong"):
        door.accounts.change_password(ann, "guess word", BETTER, HERE)
    with pytest.raises(InvalidInput, match="8 to 200"):
        door.accounts.change_password(ann, GOOD, "short", HERE)
    for _ in range(ACCOUNT_FAILURES - 1):
        with pytest.raises(InvalidInput):
            door.accounts.change_password(ann, "guess word", BETTER, HERE)
    with pytest.raises(RateLimited):
        door.accounts.change_password(ann, GOOD, BETTER, HERE)

    door.set(ann, password_hash=None)
    with pytest.raises(Conflict):
        door.accounts.change_password(ann, GOOD, BETTER, HERE)


def test_a_reset_link_gives_a_new_password_once(door):
    root, ann = door.admin(), door.member("ann")
    session = door.parts.sessions.open(ann, HERE)
    for _ in range(ACCOUNT_FAILURES):
        with pytest.raises(SignInRefused):
            door.accounts.sign_in("ann@example.org", "forgotten it", HERE)
    token = door.accounts.reset_by_admin(root, ann.id, HERE)
    assert _ways_in(door, session) == [True]
    with pytest.raises(InvalidInput):
        door.accounts.redeem_reset(token, "short", HERE)
    assert door.accounts.redeem_reset(token, BETTER, HERE).id == ann.id

    assert _ways_in(door, session) == [False]
    assert door.accounts.sign_in("ann@example.org", BETTER, HERE).id == ann.id
    with pytest.raises(NotFound):
        door.accounts.redeem_reset(token, GOOD, HERE)
    assert ("password_reset", "ann@example.org", None) in door.audited()


def test_the_first_admin_comes_from_the_settings(door):
    assert door.accounts.first_admin("root@example.org", GOOD) is None
    assert door.accounts.first_admin("other@example.org", BETTER) is None

    assert door.accounts.sign_in("root@example.org", GOOD, HERE).is_admin
    with pytest.raises(SignInRefused):
        door.accounts.sign_in("other@example.org", BETTER, HERE)


def test_the_settings_make_an_account_that_exists_the_admins(door):
    early = door.member("root")
    door.accounts.first_admin("root@example.org", BETTER)

    assert door.accounts.sign_in("root@example.org", BETTER, HERE).id == early.id
    with pytest.raises(SignInRefused):
        door.accounts.sign_in("root@example.org", GOOD, HERE)


def test_unfit_settings_make_nobody_an_admin(door):
    with pytest.raises(InvalidInput):
        door.accounts.first_admin("root@example.org", "short")


def test_without_settings_a_link_makes_the_first_admin_once(door):
    stale = door.accounts.first_admin(None, None)
    token = door.accounts.first_admin("root@example.org", None)
    with pytest.raises(NotFound):
        door.accounts.redeem_setup(stale, "root@example.org", GOOD, "Root", HERE)
    with pytest.raises(InvalidInput):
        door.accounts.redeem_setup(token, "root@example.org", "short", "Root", HERE)
    root = door.accounts.redeem_setup(token, "root@example.org", GOOD, "Root", HERE)

    assert root.is_admin
    assert door.accounts.sign_in("root@example.org", GOOD, HERE) == root
    assert door.accounts.first_admin(None, None) is None
    with pytest.raises(NotFound):
        door.accounts.redeem_setup(token, "eve@example.org", GOOD, "Eve", HERE)
    with door.database.as_system(write=False) as session:
        assert token not in repr([vars(link) for link in session.scalars(select(OneTimeLink))])


def test_a_setup_link_is_no_use_once_there_is_an_admin(door):
    token = door.accounts.first_admin(None, None)
    door.admin()
    with pytest.raises(Conflict):
        door.accounts.redeem_setup(token, "eve@example.org", GOOD, "Eve", HERE)


def test_what_was_made_without_sign_in_becomes_the_first_admins(door):
    local = local_person(door.database)
    job = door.desk.submit(local)
    token = door.accounts.first_admin(None, None)
    root = door.accounts.redeem_setup(token, "root@example.org", GOOD, "Root", HERE)

    assert root.id == local.id
    assert door.desk.jobs.get(root, job["id"])["id"] == job["id"]
    with door.database.as_system(write=False) as session:
        assert session.get_one(UserProfile, root.id).email == "root@example.org"
