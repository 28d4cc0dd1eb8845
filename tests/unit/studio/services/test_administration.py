from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import update

from studio.database.schema import ExternalIdentity, OneTimeLink, UserProfile
from studio.errors import Conflict, Forbidden, InvalidInput, NotFound, SignInRefused
from studio.people import Origin
from studio.services.accounts import local_person

HERE = Origin(address="192.0.2.1", agent="a browser")
GOOD, BETTER = "correct horse", "battery staple"

ACTIONS = {
    "people": lambda door, who, other: door.accounts.people(who),
    "invite": lambda door, who, other: door.accounts.invite(who, "x@example.org", "member", HERE),
    "withdraw": lambda door, who, other: door.accounts.withdraw_invitation(who, "x", HERE),
    "reset": lambda door, who, other: door.accounts.reset_by_admin(who, other.id, HERE),
    "role": lambda door, who, other: door.accounts.set_role(who, who.id, "admin", HERE),
    "active": lambda door, who, other: door.accounts.set_active(who, other.id, False, HERE),
    "delete": lambda door, who, other: door.accounts.delete(who, other.id, HERE, GOOD),
    "audit": lambda door, who, other: door.parts.audit.list(who),
    "invitations": lambda door, who, other: door.parts.invitations.list(who),
}


@pytest.mark.parametrize("action", ACTIONS.values(), ids=ACTIONS)
def test_only_admins_administer(door, action):
    ann, ben = door.member("ann"), door.member("ben")
    admins_reading_key = replace(door.admin(), scopes=frozenset({"read", "generate"}))
    before = [vars(door.profile(person))["role"] for person in (ann, ben)]
    for who in (ann, admins_reading_key):
        with pytest.raises(Forbidden):
            action(door, who, ben)

    assert [vars(door.profile(person))["role"] for person in (ann, ben)] == before


def test_people_are_listed_without_guests(door):
    root, ann = door.admin(), door.member("ann")
    door.parts.sessions.open(ann, HERE)
    with door.database.as_system() as session:
        session.add(UserProfile(display_name="Guest", role="guest", created_at=0.0))
    listed = {entry["email"]: entry for entry in door.accounts.people(root) if entry["email"]}

    assert set(listed) == {"root@example.org", "ann@example.org"}
    assert (listed["ann@example.org"]["role"], listed["ann@example.org"]["active"]) == ("member", True)
    assert listed["ann@example.org"]["last_seen_at"] is not None
    assert listed["root@example.org"]["last_seen_at"] is None
    assert "password" not in repr(listed)


@pytest.mark.parametrize("signup", ["invite", "open"])
def test_an_invitation_makes_one_account_with_its_role(door_with, signup: str):
    root = door_with("open").admin()
    door = door_with(signup)
    token = door.accounts.invite(root, "New@example.org", "admin", HERE)
    with pytest.raises(Forbidden, match="another address"):
        door.accounts.sign_up("eve@example.org", GOOD, "", HERE, invitation=token)
    new = door.accounts.sign_up("new@example.org", GOOD, "", HERE, invitation=token)

    assert new.is_admin
    with pytest.raises(NotFound):
        door.accounts.sign_up("new2@example.org", GOOD, "", HERE, invitation=token)
    assert ("invited", "root@example.org", "new@example.org") in door.audited()


def test_an_invitation_may_be_for_whoever_has_the_link(door):
    token = door.accounts.invite(door.admin(), None, "member", HERE)

    assert door.accounts.sign_up("anybody@example.org", GOOD, "", HERE, invitation=token).role == "member"


def test_an_account_that_cannot_be_made_does_not_use_the_invitation_up(door):
    root = door.admin()
    door.member("ann")
    token = door.accounts.invite(root, None, "member", HERE)
    with pytest.raises(Conflict):
        door.accounts.sign_up("ann@example.org", GOOD, "", HERE, invitation=token)

    assert door.accounts.sign_up("ben@example.org", GOOD, "", HERE, invitation=token)


def test_invitations_end_and_can_be_taken_back(door):
    root = door.admin()
    tokens = [door.accounts.invite(root, f"{name}@example.org", "member", HERE) for name in "ab"]
    listed = door.parts.invitations.list(root)
    door.accounts.withdraw_invitation(root, next(one["id"] for one in listed if one["email"][0] == "a"), HERE)
    with door.database.as_system() as session:
        session.execute(update(OneTimeLink).values(expires_at=1.0))

    assert [one["email"] for one in sorted(listed, key=lambda one: one["email"])] == [
        "a@example.org",
        "b@example.org",
    ]
    assert door.parts.invitations.list(root) == []
    for token in tokens:
        with pytest.raises(NotFound):
            door.parts.invitations.look(token, "invite")
    with pytest.raises(NotFound):
        door.accounts.withdraw_invitation(root, listed[0]["id"] + "x", HERE)


def test_links_are_good_for_one_purpose(door):
    root = door.admin()
    token = door.accounts.invite(root, None, "admin", HERE)
    with pytest.raises(NotFound):
        door.accounts.redeem_reset(token, BETTER, HERE)
    with pytest.raises(NotFound):
        door.accounts.redeem_setup(token, "eve@example.org", GOOD, "", HERE)


def test_invitations_need_sense(door_with):
    root = door_with("open").admin()
    door = door_with("open")
    with pytest.raises(InvalidInput):
        door.accounts.invite(root, "x@example.org", "owner", HERE)
    with pytest.raises(InvalidInput):
        door.accounts.invite(root, "no address", "member", HERE)
    with pytest.raises(Conflict):
        door.accounts.invite(root, "ROOT@example.org", "member", HERE)
    with pytest.raises(Conflict, match="STUDIO_SIGNUP"):
        door_with("closed").accounts.invite(root, "x@example.org", "member", HERE)


def test_roles_change_at_once(door):
    root, ann = door.admin(), door.member("ann")
    session = door.parts.sessions.open(ann, HERE)
    assert door.accounts.set_role(root, ann.id, "admin", HERE)["role"] == "admin"
    assert door.parts.sessions.person_of(session).is_admin
    token = door.accounts.invite(ann_as_admin := door.parts.sessions.person_of(session), None, "admin", HERE)
    door.accounts.set_role(ann_as_admin, root.id, "member", HERE)
    door.set(root, role="admin")
    door.accounts.set_role(root, ann.id, "member", HERE)

    assert not door.parts.sessions.person_of(session).is_admin
    with pytest.raises(NotFound):
        door.parts.invitations.look(token, "invite")
    with pytest.raises(InvalidInput):
        door.accounts.set_role(root, ann.id, "guest", HERE)


def test_a_deactivated_account_is_shut_out_and_let_in_again(door):
    root, ann = door.admin(), door.member("ann")
    session = door.parts.sessions.open(ann, HERE)
    assert door.accounts.set_active(root, ann.id, False, HERE)["active"] is False
    with pytest.raises(SignInRefused):
        door.accounts.sign_in("ann@example.org", GOOD, HERE)
    assert door.accounts.set_active(root, ann.id, True, HERE)["active"] is True

    assert door.accounts.sign_in("ann@example.org", GOOD, HERE) == ann
    assert door.parts.sessions.person_of(session) is None
    assert [event for event in door.audited() if "activated" in event[0]] == [
        ("deactivated", "root@example.org", ann.id),
        ("activated", "root@example.org", ann.id),
    ]


def test_the_last_admin_stays(door):
    root, other = door.admin("root"), door.admin("other")
    local_person(door.database)  # an admin who cannot sign in does not count
    door.accounts.set_active(root, other.id, False, HERE)
    for refused in (
        lambda: door.accounts.set_role(root, root.id, "member", HERE),
        lambda: door.accounts.set_active(root, root.id, False, HERE),
        lambda: door.accounts.delete(root, root.id, HERE, GOOD),
    ):
        with pytest.raises(Conflict, match="last admin"):
            refused()
    assert door.accounts.sign_in("root@example.org", GOOD, HERE) == root

    door.accounts.set_active(root, other.id, True, HERE)
    assert door.accounts.set_role(root, root.id, "member", HERE)["role"] == "member"


def test_an_admin_who_signs_in_from_outside_counts(door):
    root, other = door.admin("root"), door.admin("other")
    door.set(other, password_hash=None)
    with pytest.raises(Conflict):
        door.accounts.set_role(root, root.id, "member", HERE)
    with door.database.as_system() as session:
        session.add(ExternalIdentity(provider="supabase", subject="1", user_id=other.id))

    assert door.accounts.set_role(root, root.id, "member", HERE)["role"] == "member"


def test_what_is_no_account_is_not_found(door):
    root = door.admin()
    with door.database.as_system() as session:
        guest = UserProfile(display_name="Guest", role="guest", created_at=0.0)
        session.add(guest)
        session.flush()
    for user_id in ("nobody", guest.id):
        with pytest.raises(NotFound):
            door.accounts.set_role(root, user_id, "admin", HERE)
        with pytest.raises(NotFound):
            door.accounts.set_active(root, user_id, False, HERE)
        with pytest.raises(NotFound):
            door.accounts.reset_by_admin(root, user_id, HERE)
        with pytest.raises(NotFound):
            door.accounts.delete(root, user_id, HERE)


def test_another_reset_link_ends_the_first(door):
    root, ann = door.admin(), door.member("ann")
    first, second = (door.accounts.reset_by_admin(root, ann.id, HERE) for _ in range(2))
    with pytest.raises(NotFound):
        door.accounts.redeem_reset(first, BETTER, HERE)

    assert door.accounts.redeem_reset(second, BETTER, HERE).id == ann.id
