from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import select, update

from studio.database.schema import ApiKey
from studio.errors import Conflict, Forbidden, InvalidInput, NotFound
from studio.people import Origin, Person
from studio.services import api_keys
from studio.services.api_keys import NOTED_EVERY_S, USED_EVERY_S, ApiKeyService

SCRIPT = Origin(address="192.0.2.5", agent="a script")


@pytest.fixture
def keys(door) -> ApiKeyService:
    return door.parts.api_keys


def _row(door) -> ApiKey:
    with door.database.as_system(write=False) as session:
        return session.scalars(select(ApiKey)).one()


def _set(door, **columns) -> None:
    with door.database.as_system() as session:
        session.execute(update(ApiKey).values(**columns))


def test_a_key_acts_for_its_person_within_its_scopes(door, keys: ApiKeyService):
    ann = door.member()
    token, known = keys.create(ann, "  my  script ", ["generate", "read"], 30, SCRIPT)

    found = keys.person_of(token, SCRIPT)

    assert found is not None
    person, scopes = found
    assert (person.id, person.email, person.scopes) == (ann.id, "ann@example.org", scopes)
    assert scopes == {"read", "generate"}
    assert known["name"] == "my script"
    assert known["scopes"] == ["read", "generate"]
    assert token.startswith("ovz_")
    assert known["prefix"] == token[:8]
    assert known["expires_at"] > known["created_at"]


def test_the_key_itself_is_kept_nowhere(door, keys: ApiKeyService):
    token, known = keys.create(door.member(), "script", ["read"], None, SCRIPT)

    row = {column.name: getattr(_row(door), column.name) for column in ApiKey.__table__.columns}
    assert token[8:] not in repr([row, known, door.audited()])
    assert known["expires_at"] is None


@pytest.mark.parametrize("columns", [{"revoked_at": 1.0}, {"expires_at": 1.0}])
def test_a_key_that_is_over_is_refused(door, keys: ApiKeyService, columns: dict[str, float]):
    token, _ = keys.create(door.member(), "script", ["read"], 1, SCRIPT)
    _set(door, **columns)

    assert keys.person_of(token, SCRIPT) is None


def test_a_revoked_key_stops_at_the_next_call(door, keys: ApiKeyService):
    ann, ben = door.member("ann"), door.member("ben")
    token, known = keys.create(ann, "script", ["read"], None, SCRIPT)
    assert keys.person_of(token, SCRIPT)
    with pytest.raises(NotFound):
        keys.revoke(ben, known["id"], SCRIPT)
    assert keys.person_of(token, SCRIPT)
    keys.revoke(ann, known["id"], SCRIPT)

    assert keys.person_of(token, SCRIPT) is None
    assert keys.list(ann) == []
    with pytest.raises(NotFound):
        keys.revoke(ann, known["id"], SCRIPT)


def test_the_keys_of_a_deactivated_account_stop(door, keys: ApiKeyService):
    ann = door.member()
    token, _ = keys.create(ann, "script", ["read"], None, SCRIPT)
    door.set(ann, active=False)

    assert keys.person_of(token, SCRIPT) is None


@pytest.mark.parametrize("token", ["", "ovz_", "ovz_" + "x" * 43, "xyz", "ovz_\ud800"])
def test_an_unknown_key_is_nobodys(keys: ApiKeyService, token: str):
    assert keys.person_of(token, SCRIPT) is None


def test_expired_keys_stay_listed_and_others_keys_do_not_show(door, keys: ApiKeyService):
    ann, ben = door.member("ann"), door.member("ben")
    keys.create(ann, "old", ["read"], 1, SCRIPT)
    _set(door, expires_at=1.0)
    keys.create(ann, "new", ["read"], 1, SCRIPT)

    assert [(key["name"], key["expired"]) for key in keys.list(ann)] == [("new", False), ("old", True)]
    assert keys.list(ben) == []


@pytest.mark.parametrize(
    ("name", "scopes", "days", "field"),
    [
        ("", ["read"], 1, "name"),
        ("x" * 81, ["read"], 1, "name"),
        ("x", [], 1, "scopes"),
        ("x", ["everything"], 1, "scopes"),
        ("x", ["read"], 0, "expires_in_days"),
        ("x", ["read"], 3651, "expires_in_days"),
        ("x", ["read"], float("nan"), "expires_in_days"),
    ],
)
def test_unfit_keys_are_refused_in_words(door, keys: ApiKeyService, name, scopes, days, field):
    with pytest.raises(InvalidInput) as refused:
        keys.create(door.member(), name, scopes, days, SCRIPT)

    assert refused.value.field == field


def test_a_key_is_good_for_no_more_than_who_makes_it(door, keys: ApiKeyService):
    ann, root = door.member("ann"), door.admin()
    with pytest.raises(Forbidden):
        keys.create(ann, "x", ["admin"], None, SCRIPT)
    with pytest.raises(Forbidden):
        keys.create(replace(root, scopes=frozenset({"read"})), "x", ["read", "generate"], None, SCRIPT)
    with pytest.raises(Forbidden):
        keys.create(Person(id=ann.id, role="guest", display_name="Guest"), "x", ["read"], None, SCRIPT)
    token, _ = keys.create(root, "x", ["admin"], None, SCRIPT)

    found = keys.person_of(token, SCRIPT)
    assert found is not None
    assert found[0].is_admin
    door.set(root, role="member")
    found = keys.person_of(token, SCRIPT)
    assert found is not None
    assert not found[0].is_admin


def test_a_key_without_the_admin_scope_makes_nobody_an_admin(door, keys: ApiKeyService):
    token, _ = keys.create(door.admin(), "x", ["read", "generate"], None, SCRIPT)

    found = keys.person_of(token, SCRIPT)
    assert found is not None
    assert not found[0].is_admin


def test_there_is_an_end_to_keys(door, keys: ApiKeyService, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(api_keys, "MAX_KEYS", 2)
    ann = door.member()
    for name in ("a", "b"):
        keys.create(ann, name, ["read"], None, SCRIPT)
    with pytest.raises(Conflict):
        keys.create(ann, "c", ["read"], None, SCRIPT)


def test_use_is_written_down_once_a_minute_and_told_to_the_audit_when_it_is_news(door, keys: ApiKeyService):
    token, known = keys.create(door.member(), "x", ["read"], None, SCRIPT)
    elsewhere = replace(SCRIPT, address="192.0.2.6")
    assert _row(door).last_used_at is None
    keys.person_of(token, SCRIPT)
    first = _row(door).last_used_at
    assert first is not None
    assert _row(door).last_used_from == "192.0.2.5"
    keys.person_of(token, elsewhere)
    assert _row(door).last_used_at == first

    _set(door, last_used_at=first - USED_EVERY_S - 1)
    keys.person_of(token, elsewhere)
    assert _row(door).last_used_from == "192.0.2.6"
    _set(door, last_used_at=first - NOTED_EVERY_S)
    keys.person_of(token, elsewhere)

    used = [event for event in door.audited() if event[0] == "key_used"]
    assert used == [("key_used", "ann@example.org", known["id"])] * 3


def test_making_and_revoking_are_audited(door, keys: ApiKeyService):
    ann = door.member()
    _, known = keys.create(ann, "x", ["read"], None, SCRIPT)
    keys.revoke(ann, known["id"], SCRIPT)

    assert door.audited()[-2:] == [
        ("key_created", "ann@example.org", known["id"]),
        ("key_revoked", "ann@example.org", known["id"]),
    ]
