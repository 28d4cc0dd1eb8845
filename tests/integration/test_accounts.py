"""Signing in and out, accounts and administrators, through the pages and the REST API of a running studio."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Iterator
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest

from studio.services.lockout import ACCOUNT_FAILURES
from studio.web.forms import MAX_FORM_BYTES
from studio.web.routes import events
from tests.integration.people import PASSWORD, make_admin, notice, secret, sign_in, sign_up, visitor
from tests.integration.small_studio import ServedStudio
from tests.postgres import DATABASES, database_of_kind


@pytest.fixture(scope="module", params=DATABASES)
def accounts_studio(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedStudio]:
    """A running studio that people sign in to, on either kind of database."""
    folder = tmp_path_factory.mktemp("accounts")
    with (
        database_of_kind(request.param, folder, request) as url,
        ServedStudio(folder, database_url=url, mode="accounts").serving() as served,
    ):
        make_admin(served.studio)
        yield served


@pytest.fixture
def browser(accounts_studio: ServedStudio) -> Iterator[httpx.Client]:
    """A browser that is signed out."""
    with visitor(accounts_studio) as browser:
        yield browser


@pytest.fixture
def email() -> str:
    return f"{uuid4().hex[:12]}@example.org"


@pytest.fixture
def ana(browser: httpx.Client, email: str) -> httpx.Client:
    """A browser that a new member has signed in with."""
    sign_up(browser, email)
    return browser


@pytest.fixture
def admin(accounts_studio: ServedStudio) -> Iterator[httpx.Client]:
    with visitor(accounts_studio) as browser:
        assert sign_in(browser, "admin@example.org").status_code == 303
        yield browser


def test_a_signed_out_browser_is_led_to_the_sign_in_and_back(browser: httpx.Client, email: str):
    sign_up(browser, email)
    browser.post("/logout")
    sent = browser.get("/?asset=7")
    assert (sent.status_code, sent.headers["location"]) == (303, "/login?next=/%3Fasset%3D7")
    form = browser.get(sent.headers["location"])
    assert (form.status_code, form.headers["cache-control"]) == (200, "no-store")
    assert 'name="next" value="/?asset=7"' in form.text
    back = browser.post("/login", data={"username": email, "password": PASSWORD, "next": "/?asset=7"})
    assert (back.status_code, back.headers["location"]) == (303, "/?asset=7")
    assert browser.get("/").status_code == 200


def test_nobody_is_led_to_another_site(browser: httpx.Client, email: str):
    sign_up(browser, email)
    for elsewhere in ("https://evil.example", "//evil.example", "/\\evil.example", "/\t/evil.example", "javascript:1"):
        sent = browser.post("/login", data={"username": email, "password": PASSWORD, "next": elsewhere})
        assert (sent.status_code, sent.headers["location"]) == (303, "/")


def test_pages_use_no_script_and_no_other_host(ana: httpx.Client, admin: httpx.Client):
    for page in (ana.get("/login"), ana.get("/signup"), ana.get("/account"), ana.get("/logout"), admin.get("/people")):
        assert page.status_code == 200
        assert "<script" not in page.text
        assert "://" not in page.text.replace("http://www.w3.org/2000/svg", "")


def test_programs_without_sign_in_get_an_error_and_no_page(accounts_studio: ServedStudio):
    with httpx.Client(base_url=accounts_studio.url) as program:
        for path in ("/api/jobs", "/api/me", "/api/keys", "/media/1", "/account", "/people", "/config"):
            answer = program.get(path)
            assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthorized"), path


def test_wrong_passwords_and_unknown_addresses_get_the_same_answer(browser: httpx.Client, email: str):
    sign_up(browser, email)
    browser.post("/logout")
    wrong, unknown = sign_in(browser, email, "wrong"), sign_in(browser, f"x{email}", "wrong")
    assert wrong.status_code == unknown.status_code == 401
    assert notice(wrong) == notice(unknown) != ""
    assert "set-cookie" not in wrong.headers
    assert f'value="{email}"' in wrong.text
    assert wrong.text.replace(email, "") == unknown.text.replace(f"x{email}", "")


def test_too_many_wrong_passwords_lock_one_account_and_no_other(browser: httpx.Client, email: str, admin: httpx.Client):
    sign_up(browser, email)
    browser.post("/logout")
    answers = [sign_in(browser, email, f"wrong {number}") for number in range(ACCOUNT_FAILURES + 2)]
    assert [answer.status_code for answer in answers] == [401] * ACCOUNT_FAILURES + [429] * 2
    assert int(answers[-1].headers["retry-after"]) > 60
    assert sign_in(browser, email).status_code == 429
    assert sign_in(browser, "admin@example.org").status_code == 303


def test_signing_out_ends_the_session_for_good(ana: httpx.Client, accounts_studio: ServedStudio):
    token = ana.cookies["studio"]
    assert ana.get("/logout").status_code == 200
    assert ana.get("/api/me").status_code == 200, "looking at the page signs nobody out"
    gone = ana.post("/logout")
    assert (gone.status_code, gone.headers["location"]) == (303, "/login")
    assert "studio" not in ana.cookies
    with httpx.Client(base_url=accounts_studio.url, cookies={"studio": token}) as thief:
        assert thief.get("/api/me").status_code == 401


def test_an_event_stream_ends_with_its_session(
    ana: httpx.Client, accounts_studio: ServedStudio, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(events, "SIGNED_IN_CHECK_S", 0.01)
    cookies = {"studio": ana.cookies["studio"]}
    with (
        httpx.Client(base_url=accounts_studio.url, cookies=cookies, timeout=30) as tab,
        tab.stream("GET", "/api/events") as stream,
    ):
        lines = stream.iter_lines()
        assert next(lines) == ": open"
        ana.post("/logout")
        assert not any(line.startswith("data:") for line in lines)


def test_a_tampered_session_is_nobodys(ana: httpx.Client, accounts_studio: ServedStudio):
    head, claims, signature = ana.cookies["studio"].split(".")
    flipped = signature[:-2] + ("AA" if signature[-2:] != "AA" else "BB")
    for token in (f"{head}.{claims}.{flipped}", f"{head}.{claims}.", "x", f"{head}.{claims}", "a" * 5000):
        with httpx.Client(base_url=accounts_studio.url, cookies={"studio": token}) as thief:
            assert thief.get("/api/me").status_code == 401


def test_the_session_cookie_is_out_of_reach_of_scripts_and_other_sites(browser: httpx.Client, email: str):
    answer = browser.post("/signup", data={"email": email, "password": PASSWORD, "display_name": "Ana"})
    line = answer.headers["set-cookie"]
    assert line.startswith("studio=")
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(line.split("; "))


def test_what_changes_something_must_not_come_from_another_site(ana: httpx.Client):
    by_origin = ana.post("/account/delete", data={"password": PASSWORD}, headers={"origin": "https://evil.example"})
    by_site = ana.post("/account/delete", data={"password": PASSWORD}, headers={"sec-fetch-site": "cross-site"})
    assert by_origin.status_code == by_site.status_code == 403
    assert ana.get("/api/me").status_code == 200
    own = {"origin": str(ana.base_url).rstrip("/"), "sec-fetch-site": "same-origin"}
    assert ana.post("/account/sessions/revoke-others", headers=own).status_code == 303


def test_forms_are_bounded_and_of_one_kind(browser: httpx.Client):
    assert browser.post("/login", data={"username": "a" * MAX_FORM_BYTES, "password": "b"}).status_code == 413
    assert browser.post("/login", json={"username": "a"}).status_code == 415
    assert browser.post("/login", data={f"field{number}": "1" for number in range(50)}).status_code == 422
    assert browser.post("/login", data={"username": "a\0b", "password": "c"}).status_code == 422


def test_a_sign_up_that_does_not_fit_says_why_and_keeps_what_was_typed(browser: httpx.Client, email: str):
    short = browser.post("/signup", data={"email": email, "password": "short", "display_name": "Ana <b>"})
    assert (short.status_code, notice(short)) == (422, "A password has 8 to 200 characters.")
    assert f'value="{email}"' in short.text
    assert "Ana &lt;b&gt;" in short.text
    assert 'aria-invalid="true"' in short.text
    sign_up(browser, email)
    browser.post("/logout")
    again = browser.post("/signup", data={"email": email, "password": PASSWORD, "display_name": "Ana"})
    assert (again.status_code, "set-cookie" in again.headers) == (409, False)


def test_changing_the_password_ends_all_other_sessions(ana: httpx.Client, email: str, accounts_studio: ServedStudio):
    with visitor(accounts_studio) as elsewhere:
        sign_in(elsewhere, email)
        wrong = ana.post("/account/password", data={"old": "wrong", "new": "another long one"})
        assert wrong.status_code == 422
        changed = ana.post("/account/password", data={"old": PASSWORD, "new": "another long one"})
        assert changed.headers["location"] == "/account?saved=password"
        assert notice(ana.get(changed.headers["location"])).startswith("The password is changed")
        assert elsewhere.get("/api/me").status_code == 401
        assert sign_in(elsewhere, email).status_code == 401
        assert sign_in(elsewhere, email, "another long one").status_code == 303


def test_sessions_are_listed_and_ended(ana: httpx.Client, email: str, accounts_studio: ServedStudio):
    with visitor(accounts_studio) as elsewhere:
        sign_in(elsewhere, email)
        listed = ana.get("/api/sessions").json()["items"]
        assert sorted(one["current"] for one in listed) == [False, True]
        other = next(one["id"] for one in listed if not one["current"])
        assert "Firefox on Linux" in ana.get("/account").text
        assert ana.delete(f"/api/sessions/{other}").status_code == 204
        assert elsewhere.get("/api/me").status_code == 401
        sign_in(elsewhere, email)
        ana.post("/account/sessions/revoke-others")
        assert elsewhere.get("/api/me").status_code == 401
        assert ana.get("/api/me").status_code == 200


def test_signing_in_again_takes_the_place_of_the_session_before(ana: httpx.Client, email: str):
    before = ana.cookies["studio"]
    sign_in(ana, email)
    assert len(ana.get("/api/sessions").json()["items"]) == 1
    assert ana.cookies["studio"] != before


def test_an_account_goes_with_everything_of_it(ana: httpx.Client, email: str):
    ana.post("/api/projects", json={"name": "mine"})
    wrong = ana.post("/account/delete", data={"password": "wrong"})
    assert (wrong.status_code, "<details open>" in wrong.text) == (422, True)
    gone = ana.post("/account/delete", data={"password": PASSWORD})
    assert (gone.status_code, "studio" in ana.cookies) == (200, False)
    assert "Your account is deleted" in gone.text
    assert sign_in(ana, email).status_code == 401


def test_an_account_can_be_ended_by_the_api(ana: httpx.Client, email: str):
    assert ana.request("DELETE", "/api/account", json={"password": "wrong"}).status_code == 422
    assert ana.request("DELETE", "/api/account", json={"password": PASSWORD}).status_code == 204
    assert ana.get("/api/me").status_code == 401


def test_ones_data_comes_as_a_zip(ana: httpx.Client, email: str, accounts_studio: ServedStudio):
    answer = ana.get("/api/account/export")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zip")
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert {"account.json", "jobs.json", "assets.json"} <= set(archive.namelist())
    assert email in archive.read("account.json").decode()
    while list((accounts_studio.folder / "scratch").glob("export-*")):
        time.sleep(0.01)  # it is removed once it was sent


def test_members_see_no_page_and_no_route_of_administrators(ana: httpx.Client):
    assert ana.get("/people").status_code == 403
    assert ana.post("/people/invite", data={"role": "admin"}).status_code == 403
    for path in ("people", "audit", "invitations"):
        assert ana.get(f"/api/admin/{path}").status_code == 403
    assert ana.post("/api/admin/invitations", json={}).status_code == 403
    assert 'href="/people"' not in ana.get("/account").text
    assert ana.get("/metrics").status_code == ana.get("/api/system").status_code == 403


def test_an_invitation_works_once_and_gives_its_role(admin: httpx.Client, browser: httpx.Client, email: str):
    shown = admin.post("/people/invite", data={"email": email, "role": "admin"})
    link = urlsplit(secret(shown))
    form = browser.get(f"{link.path}?{link.query}")
    assert f'value="{email}"' in form.text
    invitation = link.query.partition("=")[2]
    data = {"email": email, "password": PASSWORD, "display_name": "Bo", "invitation": invitation}
    assert browser.post("/signup", data=data).status_code == 303
    assert browser.get("/api/me").json()["role"] == "admin"
    assert browser.get(f"{link.path}?{link.query}").status_code == 404
    assert browser.post("/signup", data=data).status_code == 404


def test_an_invitation_can_be_taken_back(admin: httpx.Client, browser: httpx.Client, email: str):
    made = admin.post("/api/admin/invitations", json={"email": email})
    assert made.status_code == 201
    waiting = admin.get("/api/admin/invitations").json()["items"]
    assert [one["email"] for one in waiting] == [email]
    assert email in admin.get("/people").text
    assert admin.post(f"/people/invitations/{waiting[0]['id']}/withdraw").status_code == 303
    assert browser.get(made.json()["url"]).status_code == 404


def test_an_admin_hands_out_a_new_password_by_a_link(admin: httpx.Client, ana: httpx.Client, email: str):
    user_id = ana.get("/api/me").json()["id"]
    link = urlsplit(secret(admin.post(f"/people/{user_id}/reset"))).path
    assert ana.get(link).status_code == 200
    assert ana.post(link, data={"password": "short"}).status_code == 422
    done = ana.post(link, data={"password": "a brand new one"})
    assert notice(done) == "The new password is saved. Sign in with it."
    assert ana.get("/api/me").status_code == 401
    assert ana.post(link, data={"password": "a brand new one"}).status_code == 404
    assert sign_in(ana, email, "a brand new one").status_code == 303


def test_who_is_shut_out_is_out_at_once_until_let_in_again(admin: httpx.Client, ana: httpx.Client, email: str):
    user_id = ana.get("/api/me").json()["id"]
    assert admin.post(f"/people/{user_id}/active", data={"active": "no"}).status_code == 303
    assert ana.get("/api/me").status_code == 401
    assert sign_in(ana, email).status_code == 401
    assert admin.patch(f"/api/admin/people/{user_id}", json={"active": True}).json()["active"] is True
    assert sign_in(ana, email).status_code == 303


def test_roles_change_and_people_are_deleted(admin: httpx.Client, ana: httpx.Client, email: str):
    user_id = ana.get("/api/me").json()["id"]
    assert admin.post(f"/people/{user_id}/role", data={"role": "admin"}).status_code == 303
    assert ana.get("/api/me").json()["role"] == "admin"
    assert admin.patch(f"/api/admin/people/{user_id}", json={"role": "member"}).json()["role"] == "member"
    assert admin.patch(f"/api/admin/people/{user_id}", json={}).status_code == 422
    assert admin.post(f"/people/{user_id}/delete").status_code == 303
    assert email not in admin.get("/people").text.partition("What happened")[0]
    assert admin.delete(f"/api/admin/people/{user_id}").status_code == 404


def test_the_audit_tells_who_did_what_from_where(admin: httpx.Client, ana: httpx.Client, email: str):
    sign_in(ana, email, "wrong")
    ana.post("/logout")
    mine = [one for one in admin.get("/api/admin/audit").json()["items"] if one["actor"] == email]
    assert [one["action"] for one in mine] == ["sign_out", "sign_in_failed", "sign_up"]
    assert {one["address"] for one in mine} == {"127.0.0.1"}
    assert PASSWORD not in admin.get("/api/admin/audit").text
    assert email in admin.get("/people").text


def test_the_audit_tells_what_was_removed_for_good(
    admin: httpx.Client, ana: httpx.Client, email: str, accounts_studio: ServedStudio
):
    job = ana.post("/api/queue-job", json={"prompt": "a red boat", "count": 3}).json()
    first, *others = ana.get(f"/api/jobs/{job['id']}/wait", params={"timeout_s": 30}).json()["assets"]
    for asset in (first, *others):
        assert ana.delete(f"/api/assets/{asset}").status_code == 200
    assert ana.delete(f"/api/assets/{first}", params={"permanently": True}).status_code == 204
    assert ana.delete("/api/trash").json() == {"deleted": 2}
    assert ana.delete("/api/trash").json() == {"deleted": 0}
    events = admin.get("/api/admin/audit").json()["items"]
    removed = [one for one in events if one["actor"] == email and one["action"] == "assets_deleted"]
    assert [(one["target"], one["details"]) for one in removed] == [(None, {"count": 2}), (first, {"count": 1})]


def test_a_key_is_made_on_the_page_shown_once_and_revoked(ana: httpx.Client, accounts_studio: ServedStudio):
    data = {"name": "notebook", "scopes": ["read", "generate"], "expires_in_days": "30"}
    token = secret(ana.post("/account/keys", data=data))
    assert token not in ana.get("/account").text
    with httpx.Client(base_url=accounts_studio.url, headers={"Authorization": f"Bearer {token}"}) as program:
        me = program.get("/api/me").json()
        assert (me["id"], me["scopes"]) == (ana.get("/api/me").json()["id"], ["generate", "read"])
        assert program.post("/api/projects", json={"name": "by key"}).status_code == 201
        key = ana.get("/api/keys").json()["items"][0]
        assert key["last_used_at"] is not None
        assert ana.post(f"/account/keys/{key['id']}/revoke").status_code == 303
        assert program.get("/api/me").status_code == 401
        assert "WWW-Authenticate" not in program.get("/api/me").headers


def test_a_key_goes_no_further_than_its_scopes(ana: httpx.Client, accounts_studio: ServedStudio):
    made = ana.post("/api/keys", json={"name": "looker", "scopes": ["read"]})
    assert (made.status_code, made.headers["cache-control"]) == (201, "no-store")
    with httpx.Client(
        base_url=accounts_studio.url, headers={"Authorization": f"Bearer {made.json()['token']}"}
    ) as program:
        assert program.get("/api/jobs").status_code == 200
        assert program.post("/api/projects", json={"name": "no"}).status_code == 403
        assert program.post("/api/queue-job", json={"prompt": "a boat"}).status_code == 403
        for path in ("/api/keys", "/api/sessions"):
            assert program.get(path).status_code == 403
        assert program.post("/account/keys", data={"name": "more", "scopes": ["read"]}).status_code == 403


def test_an_admins_key_administers_only_with_that_scope(admin: httpx.Client, accounts_studio: ServedStudio):
    for scopes, status in ((["read"], 403), (["read", "generate", "admin"], 200)):
        token = admin.post("/api/keys", json={"name": "key", "scopes": scopes}).json()["token"]
        with httpx.Client(base_url=accounts_studio.url, headers={"Authorization": f"Bearer {token}"}) as program:
            for path in ("/api/admin/people", "/api/admin/audit", "/metrics", "/api/system"):
                assert program.get(path).status_code == status, (path, scopes)


def test_a_bad_key_is_refused_even_beside_a_good_session(ana: httpx.Client):
    for token in ("Bearer ovz_unknown", "bearer eyJ.a.b", "Bearer hf_something", "Bearer"):
        assert ana.get("/api/me", headers={"Authorization": token}).status_code == 401, token


def test_another_persons_key_or_session_looks_unknown(ana: httpx.Client, accounts_studio: ServedStudio):
    made = ana.post("/api/keys", json={"name": "mine"}).json()
    session_id = ana.get("/api/sessions").json()["items"][0]["id"]
    with visitor(accounts_studio) as bo:
        sign_up(bo, f"{uuid4().hex[:12]}@example.org", "Bo")
        for path in (f"/api/keys/{made['id']}", f"/api/sessions/{session_id}"):
            foreign, unknown = bo.delete(path), bo.delete(f"{path.rpartition('/')[0]}/{uuid4()}")
            assert (foreign.status_code, foreign.json()) == (404, unknown.json())
        assert bo.post(f"/account/sessions/{session_id}/revoke").status_code == 404
    assert ana.get("/api/me").status_code == 200
