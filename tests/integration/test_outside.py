"""People whom Supabase and Hugging Face sign in, through the pages and the API of a running studio."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import httpx
import jwt
import pytest

from studio.settings import Settings
from tests.integration.issuer import CLIENT_ID, CLIENT_SECRET, Issuer, issuing
from tests.integration.people import HERE, PASSWORD, make_admin, notice, sign_in, sign_up, visitor
from tests.integration.small_studio import ServedStudio
from tests.live import client_of

FRONT_END = "https://front.example"
BEGIN_AGAIN = "This sign-in began in another browser"


@dataclass(frozen=True, kw_only=True)
class Place:
    """A studio and the issuer whom it believes."""

    served: ServedStudio
    issuer: Issuer

    @property
    def url(self) -> str:
        return self.served.url

    def bearer(self, token: str, method: str = "GET", path: str = "/api/me", **rest: Any) -> httpx.Response:
        return httpx.request(method, self.url + path, headers={"Authorization": f"Bearer {token}"}, timeout=60, **rest)

    def audited(self) -> list[tuple[str, str]]:
        assert self.served.studio.accounts is not None
        admin = self.served.studio.accounts.people.accounts.sign_in("admin@example.org", PASSWORD, HERE)
        events = self.served.studio.accounts.people.audit.list(admin, limit=200)["items"]
        return [(event["action"], event["details"].get("provider", "")) for event in events]


@contextmanager
def place(folder: Path, signup: str, **more: Any) -> Iterator[Place]:
    with issuing() as issuer:
        served = ServedStudio(folder, mode="accounts", signup=signup)
        values = {
            "auth": "accounts",
            "public_url": served.url,
            "allowed_origins": (FRONT_END,),
            "supabase_url": issuer.url,
            "OAUTH_CLIENT_ID": CLIENT_ID,
            "OAUTH_CLIENT_SECRET": CLIENT_SECRET,
            "OAUTH_SCOPES": "openid profile email read-repos",
            "OPENID_PROVIDER_URL": issuer.url,
            **more,
        }
        served.use(Settings.model_validate(values))
        with served.serving():
            make_admin(served.studio)
            yield Place(served=served, issuer=issuer)


@pytest.fixture(scope="module")
def open_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A studio open for sign-up."""
    with place(tmp_path_factory.mktemp("open"), "open") as one:
        yield one


@pytest.fixture(scope="module")
def invited_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A studio that takes people by invitation, whose Supabase project confirms every address."""
    with place(tmp_path_factory.mktemp("invite"), "invite", supabase_emails_confirmed=True) as one:
        yield one


@pytest.fixture
def subject() -> str:
    return uuid4().hex


def begin(browser: httpx.Client, query: str = "") -> httpx.Response:
    return browser.get(f"/login/huggingface{query}")


def through(at: Place, browser: httpx.Client, query: str = "", **person: Any) -> httpx.Response:
    """Sign in at Hugging Face as `person` and come back."""
    at.issuer.person = {"sub": "hf-1", "name": "Ana Boat", **person}
    return browser.get(at.issuer.approve(begin(browser, query).headers["location"]))


def me(browser: httpx.Client) -> dict[str, Any]:
    found: dict[str, Any] = browser.get("/api/me").raise_for_status().json()
    return found


# --- Supabase -----------------------------------------------------------------------------------------------------


def test_a_supabase_token_acts_as_its_person_in_the_api_and_for_gradio_client(open_place: Place, subject: str):
    token = open_place.issuer.access_token(subject, user_metadata={"full_name": "Ana Boat"})
    found = open_place.bearer(token).raise_for_status().json()
    assert (found["display_name"], found["email"], found["scopes"]) == ("Ana Boat", None, ["generate", "read"])
    again = open_place.issuer.access_token(subject, key="other")
    assert open_place.bearer(again).json()["id"] == found["id"]
    assert open_place.bearer(token, "POST", "/api/projects", json={"name": "Boats"}).status_code == 201
    assert open_place.bearer(token, path="/api/keys").status_code == 403, "a token alone does not administer"
    client = client_of(open_place.url, headers={"Authorization": f"Bearer {token}"})
    assert client.predict(api_name="/list_jobs") is not None


def test_a_token_that_does_not_hold_is_refused_and_the_log_says_so_without_it(
    open_place: Place, subject: str, caplog: pytest.LogCaptureFixture
):
    stranger = Issuer(open_place.issuer.url)
    good = open_place.issuer.access_token(subject)
    refused = {
        "forged": stranger.access_token(subject),
        "none": jwt.encode({"sub": subject}, None, "none", {"kid": "main"}),  # type: ignore[arg-type]
        "shared secret": jwt.encode({"sub": subject}, "s" * 32, "HS256", {"kid": "secret"}),
        "other project": open_place.issuer.access_token(subject, iss="https://other.supabase.co/auth/v1"),
        "other audience": open_place.issuer.access_token(subject, aud="anon"),
        "expired": open_place.issuer.access_token(subject, exp=int(time.time()) - 3600),
        "service role": open_place.issuer.access_token(subject, role="service_role"),
        "anonymous": open_place.issuer.access_token(subject, is_anonymous=True),
        "id token": open_place.issuer.sign({"sub": subject, "iss": open_place.issuer.url, "aud": CLIENT_ID}),
    }
    with caplog.at_level(logging.WARNING):
        for name, token in refused.items():
            answer = open_place.bearer(token)
            assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthorized"), name
    told = [record.getMessage() for record in caplog.records if "Refused a token of Supabase" in record.getMessage()]
    assert len(told) == len(refused)
    written = "\n".join(told)
    assert not any(part in written for token in refused.values() for part in token.split(".") if part)
    assert open_place.bearer(good).status_code == 200


def test_what_the_person_wrote_themselves_confirms_no_address(open_place: Place, subject: str):
    email = f"{subject}@example.org"
    with visitor(open_place.served) as ana:
        sign_up(ana, email)
    claims = {"email": email, "user_metadata": {"email_verified": True, "email": email}}
    other = open_place.bearer(open_place.issuer.access_token(subject, **claims)).raise_for_status().json()
    assert other["email"] is None
    confirmed = open_place.issuer.access_token(subject + "x", email=email, email_verified=True)
    taken = open_place.bearer(confirmed)
    assert (taken.status_code, taken.json()["error"]["code"]) == (409, "conflict"), "there is a password before it"


def test_by_invitation_an_invited_address_comes_in_and_no_other(invited_place: Place, subject: str):
    email = f"{subject}@example.org"
    token = invited_place.issuer.access_token(subject, email=email)
    assert invited_place.bearer(token).status_code == 403
    with visitor(invited_place.served) as admin:
        sign_in(admin, "admin@example.org")
        admin.post("/api/admin/invitations", json={"email": email, "role": "member"}).raise_for_status()
    assert invited_place.bearer(token).json()["email"] == email
    page = invited_place.bearer(invited_place.issuer.access_token("new"), path="/")
    assert page.status_code == 403


def test_a_deactivated_person_and_an_issuer_out_of_reach_are_told_apart(open_place: Place, subject: str):
    token = open_place.issuer.access_token(subject)
    person = open_place.bearer(token).json()["id"]
    with visitor(open_place.served) as admin:
        sign_in(admin, "admin@example.org")
        admin.patch(f"/api/admin/people/{person}", json={"active": False}).raise_for_status()
    shut = open_place.bearer(token)
    assert (shut.status_code, "deactivated" in shut.json()["error"]["message"]) == (401, True)


def test_an_issuer_that_cannot_be_reached_is_a_clear_503(tmp_path: Path):
    with place(tmp_path, "open") as one:
        one.issuer.open = False
        answer = one.bearer(one.issuer.access_token())
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
        assert int(answer.headers["retry-after"]) > 0
        with visitor(one.served) as browser:
            sent = begin(browser)
            assert (sent.status_code, "cannot be reached" in notice(sent)) == (503, True)


def test_a_front_end_of_the_same_people_hands_its_token_in_for_a_session(open_place: Place, subject: str):
    token = open_place.issuer.access_token(subject)
    form = {"token": token, "next": "/?asset=7"}
    with visitor(open_place.served) as browser:
        foreign = browser.post("/login/supabase", data=form, headers={"origin": "https://evil.example"})
        assert (foreign.status_code, "set-cookie" in foreign.headers) == (403, False)
        answer = browser.post("/login/supabase", data=form, headers={"origin": FRONT_END})
        assert (answer.status_code, answer.headers["location"]) == (303, "/?asset=7")
        assert set(me(browser)["scopes"]) == {"read", "generate", "admin"}
        bad = browser.post("/login/supabase", data={"token": token[:-8] + "AAAAAAAA"})
        assert (bad.status_code, "not accepted" in notice(bad)) == (401, True)
    program = httpx.post(f"{open_place.url}/login/supabase", data=form)
    assert (program.status_code, program.json()) == (200, {"success": True})
    assert httpx.post(f"{open_place.url}/login/supabase", data={"token": "a.b.c"}).status_code == 401
    assert ("sign_in", "supabase") in open_place.audited()


# --- Hugging Face ---------------------------------------------------------------------------------------------------


def test_hugging_face_leads_in_and_back_to_where_one_was(open_place: Place, subject: str):
    with visitor(open_place.served) as browser:
        form = browser.get("/login?next=/?asset=7")
        href = re.search(r'href="(/login/huggingface\?next=[^"]+)"', form.text)
        assert href
        sent = browser.get(href[1])
        asked = parse_qs(urlsplit(sent.headers["location"]).query)
        assert asked["scope"] == ["openid profile email"], "nothing of what else the Space may ask for"
        assert asked["code_challenge_method"] == ["S256"]
        assert asked["redirect_uri"] == [f"{open_place.url}/login/callback"]
        cookie = sent.headers["set-cookie"]
        assert {"HttpOnly", "SameSite=Lax", "Max-Age=600"} <= set(cookie.split("; "))
        open_place.issuer.person = {"sub": subject, "name": "Ana Boat", "email": f"{subject}@example.org"}
        open_place.issuer.person["email_verified"] = True
        back = browser.get(open_place.issuer.approve(sent.headers["location"]))
        assert (back.status_code, back.headers["location"]) == (303, "/?asset=7")
        assert "studio-outside" not in browser.cookies
        assert me(browser)["email"] == f"{subject}@example.org"
        first = me(browser)["id"]
    with visitor(open_place.served) as elsewhere:
        through(open_place, elsewhere, sub=subject, email="changed@example.org", email_verified=True)
        assert me(elsewhere)["id"] == first
    assert ("sign_in", "huggingface") in open_place.audited()


def test_an_answer_is_taken_once_and_from_the_browser_that_asked(open_place: Place, subject: str):
    with visitor(open_place.served) as browser, visitor(open_place.served) as thief:
        open_place.issuer.person = {"sub": subject}
        sent = begin(browser)
        kept = browser.cookies["studio-outside"]
        back = open_place.issuer.approve(sent.headers["location"])
        begin(thief)
        for cookies in ({}, {"studio-outside": thief.cookies["studio-outside"]}, {"studio-outside": "forged"}):
            with visitor(open_place.served) as other:
                other.cookies.update(cookies)
                refused = other.get(back)
                assert (refused.status_code, notice(refused).startswith(BEGIN_AGAIN)) == (422, True)
                assert "studio" not in other.cookies
        assert browser.get(back).status_code == 303
        thief.cookies.set("studio-outside", kept)
        again = thief.get(open_place.issuer.approve(sent.headers["location"]))
        assert (again.status_code, notice(again).startswith(BEGIN_AGAIN)) == (422, True)


@pytest.mark.parametrize(
    "spoil",
    [
        {"nonce": "of another sign-in"},
        {"nonce": None},
        {"aud": "another client"},
        {"aud": [CLIENT_ID, "another"], "azp": "another"},
        {"iss": "https://huggingface.co"},
        {"exp": 1},
        {"sub": ""},
    ],
    ids=str,
)
def test_a_token_for_another_sign_in_signs_nobody_in(open_place: Place, spoil: dict[str, Any]):
    with visitor(open_place.served) as browser:
        open_place.issuer.spoil = spoil
        try:
            back = through(open_place, browser)
        finally:
            open_place.issuer.spoil = {}
        assert (back.status_code, notice(back).startswith("Hugging Face did not sign you in")) == (401, True)
        assert "studio" not in browser.cookies


def test_a_refusal_there_or_another_provider_is_said_in_our_words(open_place: Place):
    for wrong in ("error=access_denied&error_description=<script>", "code=x&iss=https://evil.example", "code=made-up"):
        with visitor(open_place.served) as browser:
            state = parse_qs(urlsplit(begin(browser).headers["location"]).query)["state"][0]
            back = browser.get(f"/login/callback?state={state}&{wrong}")
            assert (back.status_code, "did not sign you in" in notice(back)) == (401, True)
            assert "<script" not in back.text
            assert "evil" not in back.text


def test_an_account_with_a_password_is_connected_with_it_and_never_silently(open_place: Place, subject: str):
    email = f"{subject}@example.org"
    with visitor(open_place.served) as ana:
        sign_up(ana, email)
        first = me(ana)["id"]
    person = {"sub": subject, "email": email, "email_verified": True}
    with visitor(open_place.served) as browser:
        asked = through(open_place, browser, "?next=/account", **person)
        assert (asked.status_code, "studio" in browser.cookies) == (409, False)
        carried = re.search(r'name="carried" value="([^"]+)"', asked.text)
        assert carried
        wrong = browser.post("/login/connect", data={"carried": carried[1], "password": "wrong"})
        assert (wrong.status_code, "wrong" in notice(wrong)) == (401, True)
        assert browser.post("/login/connect", data={"carried": "x", "password": PASSWORD}).status_code == 422
        done = browser.post("/login/connect", data={"carried": carried[1], "password": PASSWORD})
        assert (done.status_code, done.headers["location"]) == (303, "/account")
        assert me(browser)["id"] == first
    with visitor(open_place.served) as browser:
        through(open_place, browser, sub=subject)
        assert me(browser)["id"] == first


def test_without_a_password_none_is_asked_for(open_place: Place, subject: str):
    with visitor(open_place.served) as browser:
        through(open_place, browser, sub=subject)
        page = browser.get("/account")
        assert "You sign in with Hugging Face." in page.text
        assert 'type="password"' not in page.text
        assert me(browser)["signed_in"]
        assert browser.post("/account/delete").status_code == 200
        assert browser.get("/api/me").status_code == 401
        assert through(open_place, browser, sub=subject).status_code == 303, "a new account, as for anybody"


def test_an_address_that_hugging_face_did_not_confirm_opens_nothing(open_place: Place, subject: str):
    email = f"{subject}@example.org"
    with visitor(open_place.served) as ana:
        sign_up(ana, email)
        first = me(ana)["id"]
    for verified in (False, "true", None):
        with visitor(open_place.served) as browser:
            through(open_place, browser, sub=f"{subject}-{verified}", email=email, email_verified=verified)
            assert me(browser)["email"] is None
            assert me(browser)["id"] != first


def test_an_invitation_is_followed_by_hugging_face_too(invited_place: Place, subject: str):
    with visitor(invited_place.served) as browser:
        refused = through(invited_place, browser, sub=subject)
        assert (refused.status_code, "by invitation" in notice(refused)) == (403, True)
    with visitor(invited_place.served) as admin:
        sign_in(admin, "admin@example.org")
        link = admin.post("/api/admin/invitations", json={"role": "member"}).raise_for_status().json()["url"]
    with visitor(invited_place.served) as browser:
        form = browser.get(link)
        href = re.search(r'href="(/login/huggingface\?[^"]+)"', form.text)
        assert href
        query = href[1].replace("&amp;", "&").removeprefix("/login/huggingface")
        assert through(invited_place, browser, query, sub=subject).status_code == 303
        assert me(browser)["role"] == "member"


def test_under_another_name_of_the_studio_the_way_begins_at_its_public_one(open_place: Place):
    with visitor(open_place.served) as browser:
        sent = browser.get("/login/huggingface?next=/x", headers={"host": "localhost:1"})
        assert (sent.status_code, sent.headers["location"]) == (303, f"{open_place.url}/login/huggingface?next=/x")


def test_nobody_is_led_to_another_site_by_either(open_place: Place, subject: str):
    with visitor(open_place.served) as browser:
        back = through(open_place, browser, "?next=https://evil.example", sub=subject)
        assert back.headers["location"] == "/"
        token = open_place.issuer.access_token(subject)
        sent = browser.post("/login/supabase", data={"token": token, "next": "//evil.example"})
        assert sent.headers["location"] == "/"


def test_what_is_not_set_up_is_not_there(tmp_path: Path):
    with ServedStudio(tmp_path, mode="accounts").serving() as served, visitor(served) as browser:
        assert "huggingface" not in browser.get("/login").text
        assert begin(browser).status_code == 404
        assert browser.get("/login/callback?code=1&state=2").status_code == 404
        assert browser.post("/login/supabase", data={"token": "a.b.c"}).status_code == 404
