"""The Python client, gradio_client, in somebody's name: with a password, with an API key, and as a guest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError, AuthenticationError
from sqlalchemy import func, select

from studio.database.schema import UserProfile
from studio.services.guests import GuestService
from studio.services.lockout import Lockout
from tests.integration.people import HERE, PASSWORD, visitor
from tests.integration.small_studio import ServedStudio
from tests.live import client_of

PNG = b"\x89PNG\r\n"


@pytest.fixture(scope="module")
def accounts_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedStudio]:
    with ServedStudio(tmp_path_factory.mktemp("accounts"), mode="accounts").serving() as served:
        yield served


@pytest.fixture(scope="module")
def guest_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedStudio]:
    with ServedStudio(tmp_path_factory.mktemp("guests"), mode="guest", signup="closed").serving() as served:
        yield served


@pytest.fixture
def member(accounts_studio: ServedStudio) -> str:
    """The address of a new member."""
    doors = accounts_studio.studio.accounts
    assert doors is not None
    email = f"{uuid4().hex[:12]}@example.org"
    doors.people.accounts.sign_up(email, PASSWORD, "Ana", HERE)
    return email


def key_of(served: ServedStudio, email: str, *scopes: str) -> tuple[str, str]:
    """A new key of the member, and its id."""
    assert served.studio.accounts is not None
    people = served.studio.accounts.people
    person = people.accounts.sign_in(email, PASSWORD, HERE)
    token, key = people.api_keys.create(person, "client", scopes, 1, HERE)
    return token, key["id"]


def painted(client: Client) -> list[str]:
    """Order two pictures and download them. Returns the ids of the assets."""
    job, files = client.predict("a red boat", count=2, seed=7, api_name="/generate")
    assert job["status"] == "completed"
    assert [Path(file).stem for file in files] == job["assets"]
    assert all(Path(file).read_bytes().startswith(PNG) for file in files)
    assets: list[str] = job["assets"]
    return assets


def listed(client: Client) -> list[str]:
    return [one["id"] for one in client.predict(api_name="/list_assets")["items"]]


def test_a_password_generates_and_downloads(accounts_studio: ServedStudio, member: str, tmp_path: Path):
    client = client_of(accounts_studio.url, auth=(member, PASSWORD), download_files=tmp_path)
    assert sorted(painted(client)) == sorted(listed(client))
    client.close()


@pytest.mark.parametrize("auth", [("nobody@example.org", PASSWORD), ("", ""), None])
def test_a_wrong_password_or_none_raises_authentication_error(
    accounts_studio: ServedStudio, auth: tuple[str, str] | None
):
    with pytest.raises(AuthenticationError):
        client_of(accounts_studio.url, auth=auth)


def test_a_key_generates_and_downloads_until_it_is_revoked(accounts_studio: ServedStudio, member: str, tmp_path: Path):
    token, key_id = key_of(accounts_studio, member, "read", "generate")
    headers = {"Authorization": f"Bearer {token}"}
    client = client_of(accounts_studio.url, headers=headers, download_files=tmp_path)
    assert sorted(painted(client)) == sorted(listed(client))
    assert accounts_studio.studio.accounts is not None
    people = accounts_studio.studio.accounts.people
    people.api_keys.revoke(people.accounts.sign_in(member, PASSWORD, HERE), key_id, HERE)
    with pytest.raises((AppError, httpx.HTTPStatusError, AuthenticationError)):
        client.predict(api_name="/list_jobs")
    client.close()


def test_a_key_revoked_meanwhile_is_told_nothing_more_and_the_job_goes_on(
    accounts_studio: ServedStudio, member: str
) -> None:
    token, key_id = key_of(accounts_studio, member, "read", "generate")
    assert accounts_studio.studio.accounts is not None
    people, jobs = accounts_studio.studio.accounts.people, accounts_studio.studio.services.jobs
    person = people.accounts.sign_in(member, PASSWORD, HERE)
    client = client_of(accounts_studio.url, headers={"Authorization": f"Bearer {token}"})
    following = client.submit("a slow boat", count=1, api_name="/generate")
    next(iter(following))
    people.api_keys.revoke(person, key_id, HERE)
    with pytest.raises((AppError, httpx.HTTPStatusError)):
        following.result(timeout=30)
    (job,) = jobs.list(person)["items"]
    assert job["status"] == "processing"
    jobs.cancel(person, job["id"])
    client.close()


def test_guests_are_people_of_their_own(guest_studio: ServedStudio, tmp_path: Path):
    first = client_of(guest_studio.url, download_files=tmp_path)
    second = client_of(guest_studio.url, download_files=tmp_path)
    mine = painted(first)
    assert sorted(listed(first)) == sorted(mine)
    assert listed(second) == []
    with pytest.raises(AppError, match="not_found"):
        second.predict(mine[0], api_name="/get_asset")
    stranger = httpx.get(f"{guest_studio.url}/media/{mine[0]}")
    assert stranger.status_code == 404
    own = httpx.get(f"{guest_studio.url}/media/{mine[0]}", cookies=dict(first.cookies))
    assert own.status_code == 200
    first.close()
    second.close()


def test_a_browser_becomes_a_guest_with_its_first_page_and_stays_one(guest_studio: ServedStudio):
    with visitor(guest_studio) as browser:
        page = browser.get("/")
        assert (page.status_code, "studio-guest" in browser.cookies) == (200, True)
        me = browser.get("/api/me")
        assert (me.json()["role"], me.json()["scopes"]) == ("guest", ["generate", "read"])
        assert "set-cookie" not in me.headers
        assert browser.post("/api/projects", json={"name": "mine"}).status_code == 201
        assert [one["name"] for one in browser.get("/api/projects").json()["items"]] == ["mine"]
        with visitor(guest_studio) as other:
            assert other.get("/api/projects").json()["items"] == []


def test_guests_have_an_account_page_and_no_keys(guest_studio: ServedStudio):
    with visitor(guest_studio) as browser:
        browser.get("/")
        assert "You are a guest" in browser.get("/account").text
        for path in ("/api/keys", "/api/sessions", "/api/admin/people", "/people"):
            assert browser.get(path).status_code == 403, path
        assert browser.post("/account/keys", data={"name": "key", "scopes": ["read"]}).status_code == 403


def test_a_forged_guest_is_somebody_new(guest_studio: ServedStudio):
    with visitor(guest_studio) as victim:
        victim.get("/")
        me = victim.get("/api/me").json()["id"]
        forged = GuestService(guest_studio.studio.database, "x" * 43, Lockout(guest_studio.studio.database)).new_token()
        for token in (forged, victim.cookies["studio-guest"][:-4] + "AAAA", "", "x"):
            answer = httpx.get(f"{guest_studio.url}/api/me", headers={"cookie": f"studio-guest={token}"})
            assert answer.json()["id"] != me
            assert "studio-guest=" in answer.headers["set-cookie"]


def test_looking_makes_no_rows_and_health_checks_no_guests(guest_studio: ServedStudio):
    def people() -> int:
        with guest_studio.studio.database.as_system(write=False) as session:
            return session.scalar(select(func.count(UserProfile.id))) or 0

    before = people()
    with visitor(guest_studio) as browser:
        for path in ("/", "/api/jobs", "/config"):
            assert browser.get(path).status_code == 200
        assert people() == before
        browser.post("/api/projects", json={"name": "mine"})
        assert people() == before + 1
    for path in ("/healthz", "/readyz", "/static/studio.css"):
        assert "set-cookie" not in httpx.get(f"{guest_studio.url}{path}").headers


def test_a_key_that_is_wrong_does_not_make_a_guest(guest_studio: ServedStudio):
    answer = httpx.get(f"{guest_studio.url}/api/me", headers={"Authorization": "Bearer ovz_unknown"})
    assert (answer.status_code, "set-cookie" in answer.headers) == (401, False)


def test_a_key_that_may_only_read_changes_nothing_through_any_endpoint(
    accounts_studio: ServedStudio, member: str
) -> None:
    token, _ = key_of(accounts_studio, member, "read")
    client = client_of(accounts_studio.url, headers={"Authorization": f"Bearer {token}"})
    assert client.predict(api_name="/list_jobs")["items"] == []
    for endpoint, arguments in (
        ("/submit_job", ["a red boat"]),
        ("/generate", ["a red boat"]),
        ("/enhance_prompt", ["a boat"]),
    ):
        with pytest.raises(AppError, match='lacks the scope "generate"'):
            client.predict(*arguments, api_name=endpoint)
    assert client.predict(api_name="/list_jobs")["items"] == []
