"""In whose name a request acts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pwdlib.hashers.argon2 import Argon2Hasher
from starlette.requests import HTTPConnection, Request

from studio.database.engine import Database
from studio.errors import Forbidden, SignInNeeded
from studio.media.storage import MediaStorage
from studio.people import Origin, Person, require_scope
from studio.services.guests import GuestService
from studio.services.lockout import Lockout
from studio.services.passwords import Passwords
from studio.services.people_parts import PeopleParts, build_people
from studio.web.cookies import CookieRules
from studio.web.identity import Identity, connection_of, origin_of, scope_of

SECRET = "s" * 43
HERE = Origin(address="10.0.0.1", agent="tests")
KNOWN_TOKEN = "aaa.bbb.ccc"


@dataclass
class Outside:
    """A request of another framework that wraps Starlette's, as Gradio's does."""

    request: Request


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[tuple[Database, PeopleParts]]:
    database = Database(f"sqlite:///{tmp_path / 'studio.db'}")
    database.migrate()
    people = build_people(
        database,
        MediaStorage((tmp_path / "media").as_uri()),
        cancel=lambda person, job_id: None,
        forget_uploads=lambda person_id: None,
        secret=SECRET,
        signup="open",
        scratch_root=tmp_path,
        passwords=Passwords(Argon2Hasher(time_cost=1, memory_cost=64)),
    )
    yield database, people
    database.close()


@pytest.fixture
def ana(parts: tuple[Database, PeopleParts]) -> Person:
    return parts[1].accounts.sign_up("ana@example.org", "a long sentence", "Ana", HERE)


def identity(parts: tuple[Database, PeopleParts], mode: Any = "accounts", external: Any = None) -> Identity:
    database, people = parts
    return Identity(
        mode=mode,
        sessions=people.sessions,
        api_keys=people.api_keys,
        guests=GuestService(database, SECRET, Lockout(database)),
        cookies=CookieRules(),
        external=external,
    )


def request(method: str = "GET", **headers: str) -> Request:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": method, "scheme": "http", "path": "/", "query_string": b"", "headers": raw}
    return Request({**scope, "client": ("203.0.113.9", 5000)})


def test_a_session_names_its_person_and_a_guest_cookie_nobody(parts: tuple[Database, PeopleParts], ana: Person):
    who = identity(parts)
    token = parts[1].sessions.open(ana, HERE)
    assert who(request(cookie=f"studio={token}")).email == "ana@example.org"
    assert who(Outside(request(cookie=f"studio={token}"))).session_id is not None
    for cookie in (f"studio-guest={who.guests.new_token()}", f"studio-guest={token}", f"other={token}"):
        with pytest.raises(SignInNeeded):
            who(request(cookie=cookie))


def test_a_guests_token_is_no_session_and_a_session_no_guest(parts: tuple[Database, PeopleParts], ana: Person):
    who = identity(parts, "guest")
    guest, session = who.guests.new_token(), parts[1].sessions.open(ana, HERE)
    for cookie in (f"studio={guest}", f"studio-guest={session}"):
        with pytest.raises(SignInNeeded):
            who(request(cookie=cookie))
    assert who(request(cookie=f"studio-guest={guest}; studio={session}")).id == ana.id


def test_a_key_brings_its_scopes(parts: tuple[Database, PeopleParts], ana: Person):
    token, _ = parts[1].api_keys.create(ana, "key", ["read"], None, HERE)
    person = identity(parts)(request(authorization=f"Bearer {token}"))
    assert (person.id, person.scopes) == (ana.id, {"read"})
    require_scope(person, scope_of("GET"))
    with pytest.raises(Forbidden):
        require_scope(person, scope_of("POST"))


def test_a_token_that_does_not_hold_never_falls_back_to_the_cookie(parts: tuple[Database, PeopleParts], ana: Person):
    session = parts[1].sessions.open(ana, HERE)
    for mode in ("accounts", "guest"):
        with pytest.raises(SignInNeeded):
            identity(parts, mode)(request(cookie=f"studio={session}", authorization="bearer ovz_none"))
    assert identity(parts)(request(cookie=f"studio={session}", authorization="Basic abc")).id == ana.id


def test_what_does_not_hold_is_logged_with_its_address_and_without_the_secret(
    parts: tuple[Database, PeopleParts], ana: Person, caplog: pytest.LogCaptureFixture
):
    token, key = parts[1].api_keys.create(ana, "key", ["read"], None, HERE)
    parts[1].api_keys.revoke(ana, key["id"], HERE)
    session = parts[1].sessions.open(ana, HERE)
    tampered = session[:-4] + ("AAAA" if session[-4:] != "AAAA" else "BBBB")
    who = identity(parts)
    for headers, said in (
        ({"cookie": f"studio={tampered}"}, "a session"),
        ({"authorization": f"Bearer {token}"}, "an API key"),
        ({"authorization": "Bearer aaa.bbb.ccc"}, "a token"),
    ):
        caplog.clear()
        with pytest.raises(SignInNeeded):
            who(request(**headers))
        (line,) = [one.getMessage() for one in caplog.records if one.name == "studio.web.identity"]
        assert said in line
        assert "203.0.113.9" in line
        assert not any(secret in line for secret in (tampered, token, "aaa.bbb"))
    caplog.clear()
    with pytest.raises(SignInNeeded):
        who(request())  # nobody has tried anything
    assert not caplog.records


def test_outside_tokens_are_asked_of_their_issuer_only_where_one_is_set(
    parts: tuple[Database, PeopleParts], ana: Person
):
    def external(token: str, origin: Origin) -> Person | None:
        return ana if token == KNOWN_TOKEN and origin.address == "203.0.113.9" else None

    assert identity(parts, external=external)(request(authorization=f"Bearer {KNOWN_TOKEN}")) == ana
    for who, token in ((identity(parts), KNOWN_TOKEN), (identity(parts, external=external), "aaa.bbb.xxx")):
        with pytest.raises(SignInNeeded):
            who(request(authorization=f"Bearer {token}"))


def test_a_guest_gets_a_row_with_the_first_change(parts: tuple[Database, PeopleParts]):
    who = identity(parts, "guest")
    cookie = f"studio-guest={who.guests.new_token()}"
    guest = who(request(cookie=cookie))
    assert (guest.role, guest.scopes, guest.is_admin) == ("guest", {"read", "generate"}, False)
    assert not who.guests.is_kept(guest)
    assert who(request("POST", cookie=cookie)).id == who(request("DELETE", cookie=cookie)).id == guest.id
    assert who.guests.is_kept(guest)


def test_where_a_request_comes_from_is_bounded():
    origin = origin_of(request(user_agent="a" * 1000))
    assert (origin.address, len(origin.agent)) == ("203.0.113.9", 200)
    assert origin_of(HTTPConnection({"type": "http", "headers": []})) == Origin(address="unknown", agent="")


def test_other_things_are_no_requests():
    with pytest.raises(TypeError):
        connection_of(object())
