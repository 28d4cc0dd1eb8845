"""Who people from outside are: their accounts at first sight and later."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from studio.errors import Conflict, Forbidden, NotFound, RateLimited, SignInRefused
from studio.services.lockout import OUTSIDE, SIGN_UPS
from studio.services.outside_people import AccountExists, OutsideIdentity

from .conftest import GOOD, HERE, FrontDoor

DoorWith = Callable[[str], FrontDoor]


def who(subject: str = "1", email: str | None = "ann@example.org", provider: str = "huggingface") -> OutsideIdentity:
    return OutsideIdentity.of(provider, subject, name="Ann", email=email)


def test_first_sight_makes_an_account_and_later_ones_find_it(door: FrontDoor):
    outside = door.parts.outside
    ann = outside.person_of(who(), HERE)
    assert (ann.role, ann.email, ann.display_name) == ("member", "ann@example.org", "Ann")
    assert outside.person_of(who(email=None), HERE).id == ann.id, "the id decides, and nothing else"
    assert outside.person_of(who(email="other@example.org"), HERE).id == ann.id
    assert outside.person_of(who("2", email=None), HERE).id != ann.id
    assert outside.person_of(who("1", email=None, provider="supabase"), HERE).id != ann.id
    profile = door.profile(ann)
    assert profile is not None
    assert profile.password_hash is None
    assert [action for action, _, _ in door.audited()] == ["sign_up"] * 3


def test_an_address_that_nobody_confirmed_is_not_kept(door: FrontDoor):
    person = door.parts.outside.person_of(who(email=None), HERE)
    assert person.email is None
    assert door.accounts.sign_up("ann@example.org", GOOD, "Ann", HERE).id != person.id


def test_an_account_with_a_password_is_never_had_by_its_address(door: FrontDoor):
    ann = door.member("ann")
    outside = door.parts.outside
    for _ in range(2):
        with pytest.raises(AccountExists):
            outside.person_of(who(), HERE)
    outside.connect(ann, who(), HERE)
    assert outside.person_of(who(email=None), HERE).id == ann.id
    assert door.audited()[-1] == ("identity_connected", "ann@example.org", ann.id)
    assert outside.ways_in(ann) == ("password", "huggingface")
    ben = door.member("ben")
    assert outside.ways_in(ben) == ("password",)
    with pytest.raises(Conflict):
        outside.connect(ben, who(), HERE)


def test_two_providers_that_confirmed_one_address_open_one_account_but_an_admins(door: FrontDoor):
    outside = door.parts.outside
    ann = outside.person_of(who(), HERE)
    assert outside.person_of(who("sb", provider="supabase"), HERE).id == ann.id
    door.set(ann, role="admin")
    assert outside.person_of(who("sb", provider="supabase"), HERE).role == "admin"
    with pytest.raises(AccountExists):
        outside.person_of(who("new", provider="supabase"), HERE)


def test_a_deactivated_account_is_refused(door: FrontDoor):
    outside = door.parts.outside
    ann = outside.person_of(who(), HERE)
    door.set(ann, active=False)
    with pytest.raises(SignInRefused):
        outside.person_of(who(), HERE)
    with pytest.raises(SignInRefused):
        outside.sign_in(who(), HERE)
    assert door.audited()[-1][0] == "sign_in_failed"


def test_closed_sign_up_lets_nobody_new_in(door_with: DoorWith, door: FrontDoor):
    shut = door_with("closed").parts.outside
    with pytest.raises(Forbidden, match="no new accounts"):
        shut.person_of(who(), HERE)
    ann = door.parts.outside.person_of(who(), HERE)
    assert shut.person_of(who(), HERE).id == ann.id


def test_by_invitation_a_confirmed_address_that_is_waited_for_is_let_in_once(door_with: DoorWith):
    door = door_with("invite")
    outside, root = door.parts.outside, root_of(door)
    with pytest.raises(Forbidden, match="by invitation"):
        outside.person_of(who(), HERE)
    door.accounts.invite(root, "ann@example.org", "member", HERE)
    with pytest.raises(Forbidden):
        outside.person_of(who(email=None), HERE)
    with pytest.raises(Forbidden):
        outside.person_of(who(email="ben@example.org"), HERE)
    assert outside.person_of(who(), HERE).role == "member"
    assert door.parts.invitations.list(root) == []


def test_an_admins_invitation_is_taken_by_its_link_alone(door_with: DoorWith):
    door = door_with("invite")
    outside, root = door.parts.outside, root_of(door)
    link = door.accounts.invite(root, "ann@example.org", "admin", HERE)
    with pytest.raises(Forbidden):
        outside.person_of(who(), HERE)
    for other in (who(email=None), who(email="ben@example.org")):
        with pytest.raises(Forbidden, match="another address"):
            outside.person_of(other, HERE, link)
    assert outside.person_of(who(), HERE, link).role == "admin"
    with pytest.raises(NotFound):
        outside.person_of(who("2", email=None), HERE, link)


def test_an_invitation_for_anybody_needs_no_address(door_with: DoorWith):
    door = door_with("invite")
    link = door.accounts.invite(root_of(door), None, "member", HERE)
    assert door.parts.outside.person_of(who(email=None), HERE, link).email is None
    with pytest.raises(NotFound):
        door.parts.outside.person_of(who("2", email=None), HERE, link)


def test_the_local_person_is_nobody_from_outside(door: FrontDoor):
    person = door.parts.outside.person_of(who(email=None), HERE)
    door.set(person, role="admin", active=False)
    assert door.accounts.first_admin("root@example.org", GOOD) is None
    assert door.accounts.sign_in("root@example.org", GOOD, HERE).id != person.id


def test_new_accounts_and_beginnings_are_counted_by_address(door: FrontDoor):
    outside = door.parts.outside
    for number in range(SIGN_UPS):
        outside.person_of(who(str(number), email=None), HERE)
    with pytest.raises(RateLimited):
        outside.person_of(who("new", email=None), HERE)
    assert outside.person_of(who("7", email=None), HERE)
    states = {outside.begin(HERE) for _ in range(OUTSIDE)}
    assert len(states) == OUTSIDE
    with pytest.raises(RateLimited):
        outside.begin(HERE)


def test_a_state_is_taken_once(door: FrontDoor):
    outside = door.parts.outside
    state = outside.begin(HERE)
    outside.end(state)
    for gone in (state, "made up", ""):
        with pytest.raises(NotFound):
            outside.end(gone)
    door.parts.tidier.tidy()
    link = door.accounts.invite(root_of(door), None, "member", HERE)
    with pytest.raises(NotFound):
        outside.end(link)


@pytest.mark.parametrize(
    ("claims", "name", "email"),
    [
        ({"name": "Ann", "email": "ANN@Example.org"}, "Ann", "ann@example.org"),
        ({"name": None, "email": "ann@example.org"}, "ann", "ann@example.org"),
        ({"name": 7, "email": ["x"]}, "Somebody", None),
        ({"name": "\u202e\n", "email": "no address"}, "Somebody", None),
        ({"name": "n" * 500, "email": None}, "n" * 80, None),
    ],
)
def test_claims_may_be_anything(claims: dict[str, Any], name: str, email: str | None):
    identity = OutsideIdentity.of("supabase", "1", **claims)
    assert (identity.name, identity.email) == (name, email)


def root_of(door: FrontDoor) -> Any:
    """An admin, whatever the sign-up is."""
    door.accounts.first_admin("root@example.org", GOOD)
    return door.accounts.sign_in("root@example.org", GOOD, HERE)
