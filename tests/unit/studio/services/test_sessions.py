from __future__ import annotations

import jwt
import pytest
from sqlalchemy import select, update

from studio.database.schema import SignInSession
from studio.errors import NotFound
from studio.people import Origin, Person
from studio.services import sessions
from studio.services.sessions import SEEN_EVERY_S, SESSION_LIFE_S, SessionService

PHONE = Origin(address="192.0.2.9", agent="a phone\nwith a line break " + "x" * 1000)


@pytest.fixture
def desks(door):
    """The session service."""
    return door.parts.sessions


def _rows(door) -> list[SignInSession]:
    with door.database.as_system(write=False) as session:
        return list(session.scalars(select(SignInSession).order_by(SignInSession.id)))


def _set(door, **columns) -> None:
    with door.database.as_system() as session:
        session.execute(update(SignInSession).values(**columns))


def test_a_session_brings_its_person_back(door, desks: SessionService):
    ann = door.member()
    token = desks.open(ann, PHONE)

    found = desks.person_of(token)

    assert found is not None
    assert (found.id, found.email, found.role, found.is_admin) == (ann.id, "ann@example.org", "member", False)
    assert found.session_id == desks.session_id(token) == _rows(door)[0].id
    assert jwt.decode(token, options={"verify_signature": False})["aud"] == "studio-session"


def test_signing_out_ends_the_session_at_once(door, desks: SessionService):
    ann = door.member()
    token, other = desks.open(ann, PHONE), desks.open(ann, PHONE)
    desks.revoke(ann, desks.session_id(token) or "")
    desks.revoke(ann, desks.session_id(token) or "")

    assert desks.person_of(token) is None
    assert desks.person_of(other) is not None


def test_nobody_ends_anothers_session(door, desks: SessionService):
    ann, ben = door.member("ann"), door.member("ben")
    token = desks.open(ann, PHONE)
    with pytest.raises(NotFound):
        desks.revoke(ben, desks.session_id(token) or "")
    assert desks.revoke_all(ben) == 0

    assert desks.person_of(token) is not None
    assert desks.list(ben) == []


def test_all_but_the_present_session_can_be_ended(door, desks: SessionService):
    ann = door.member()
    tokens = [desks.open(ann, PHONE) for _ in range(3)]
    present = desks.session_id(tokens[1])

    assert desks.revoke_all(ann, except_id=present) == 2
    assert [desks.person_of(token) is not None for token in tokens] == [False, True, False]


def test_sessions_are_listed_with_where_they_come_from(door, desks: SessionService):
    ann = door.member()
    first, second = desks.open(ann, PHONE), desks.open(ann, PHONE)
    by_second = desks.person_of(second)
    assert by_second is not None

    listed = desks.list(by_second)

    assert {entry["id"]: entry["current"] for entry in listed} == {
        desks.session_id(first): False,
        desks.session_id(second): True,
    }
    assert listed[0]["address"] == "192.0.2.9"
    assert listed[0]["agent"].startswith("a phone with")
    assert len(listed[0]["agent"]) == 300


def test_a_session_ends_by_its_row_and_by_its_token(door, desks: SessionService, monkeypatch: pytest.MonkeyPatch):
    ann = door.member()
    token = desks.open(ann, PHONE)
    _set(door, expires_at=1.0)
    assert desks.person_of(token) is None
    assert desks.list(ann) == []

    monkeypatch.setattr(sessions, "SESSION_LIFE_S", -10.0)
    stale = desks.open(ann, PHONE)
    _set(door, expires_at=SESSION_LIFE_S + 1e12)
    assert desks.person_of(stale) is None


def test_a_deactivated_account_is_out_at_once(door, desks: SessionService):
    ann = door.member()
    token = desks.open(ann, PHONE)
    door.set(ann, active=False)

    assert desks.person_of(token) is None


def test_what_this_studio_did_not_sign_is_worth_nothing(door, desks: SessionService):
    ann = door.member()
    token = desks.open(ann, PHONE)
    head, body, signature = token.split(".")
    claims = jwt.decode(token, options={"verify_signature": False})
    unsigned = jwt.encode(claims, None, "none")
    elsewhere = SessionService(door.database, "another secret").open(ann, PHONE)
    tampered = f"{head}.{body[:-2]}{'AA' if body[-2:] != 'AA' else 'BB'}.{signature}"
    plain_key = jwt.encode(claims, "a secret of the studio".ljust(32, "0"), "HS256")
    odd = ["", "x", "a.b.c", "ü.ü.ü", "\0", token + "x", token[:-4]]

    assert [desks.person_of(bad) for bad in (unsigned, elsewhere, tampered, plain_key, *odd)] == [None] * 11


def test_a_token_for_another_use_is_no_session(door, desks: SessionService):
    ann = door.member()
    claims = jwt.decode(desks.open(ann, PHONE), options={"verify_signature": False})
    for change in ({"aud": "studio-guest"}, {"sid": None}, {"exp": None}):
        kept = {name: value for name, value in {**claims, **change}.items() if value is not None}
        assert desks.person_of(jwt.encode(kept, desks._key, "HS256")) is None


def test_being_seen_is_written_down_once_a_minute(door, desks: SessionService, count_statements):
    ann = door.member()
    token = desks.open(ann, PHONE)
    with count_statements() as sent:
        desks.person_of(token)
    assert not [statement for statement in sent if statement.startswith("UPDATE")]

    opened = _rows(door)[0].last_seen_at
    _set(door, last_seen_at=opened - SEEN_EVERY_S - 1)
    desks.person_of(token)
    assert _rows(door)[0].last_seen_at >= opened


def test_a_person_without_a_row_has_no_session(door, desks: SessionService):
    ann = door.member()
    token = desks.open(ann, PHONE)
    door.accounts.delete(ann, ann.id, PHONE, "correct horse")

    assert desks.person_of(token) is None
    assert desks.list(Person(id=ann.id, role="member", display_name="Ann")) == []
