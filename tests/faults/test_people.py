"""The whole program with accounts: its first admin, the Python client in somebody's name, keys that end."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError, AuthenticationError

from tests.live import StudioServer, client_of

pytestmark = pytest.mark.faults
ADMIN = "ana@example.org"
PASSWORD = "correct horse battery"  # not in any list
PNG = b"\x89PNG\r\n"
SMALL: dict[str, Any] = {"job_type": "sdxl_image_fast", "count": 1, "width": 64, "height": 64, "steps": 2}
BROWSER = {"accept": "text/html"}
SETUP_LINK = re.compile(r"http://\S+/setup/\S+")


@pytest.fixture(scope="module")
def shared_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StudioServer]:
    """The program with accounts, whose first admin comes from its settings."""
    server = StudioServer(
        tmp_path_factory.mktemp("people") / "data",
        STUDIO_AUTH="accounts",
        STUDIO_ADMIN_EMAIL=ADMIN,
        STUDIO_ADMIN_PASSWORD=PASSWORD,
    ).start()
    yield server
    server.stop()


@pytest.fixture
def admin(shared_studio: StudioServer) -> Iterator[httpx.Client]:
    """The admin, signed in."""
    with httpx.Client(base_url=shared_studio.url, timeout=60) as client:
        signed_in = client.post("/login", data={"username": ADMIN, "password": PASSWORD})
        assert signed_in.status_code == 200, signed_in.text
        yield client


def generated(client: Client) -> list[str]:
    """Generate a picture and download it. Returns the ids of the assets."""
    job, files = client.predict("a red house", **SMALL, api_name="/generate")
    assert job["status"] == "completed"
    assert [Path(file).stem for file in files] == job["assets"]
    assert all(Path(file).read_bytes().startswith(PNG) for file in files)
    assets: list[str] = job["assets"]
    return assets


def test_the_admin_of_the_settings_administers(shared_studio: StudioServer, admin: httpx.Client) -> None:
    me = admin.get("/api/me").raise_for_status().json()
    assert (me["email"], me["role"]) == (ADMIN, "admin")
    assert [one["email"] for one in admin.get("/api/admin/people").raise_for_status().json()["items"]] == [ADMIN]
    log = shared_studio.log_path.read_text()
    assert SETUP_LINK.search(log) is None
    assert PASSWORD not in log


def test_a_password_or_a_key_generates_and_downloads_in_one_name(
    shared_studio: StudioServer, admin: httpx.Client, tmp_path: Path
) -> None:
    key = admin.post("/api/keys", json={"name": "notebook", "scopes": ["read", "generate"]}).raise_for_status().json()
    by_password = client_of(shared_studio.url, auth=(ADMIN, PASSWORD), download_files=tmp_path / "one")
    by_key = client_of(
        shared_studio.url,
        headers={"Authorization": f"Bearer {key['token']}"},
        download_files=tmp_path / "two",
    )
    made = {*generated(by_password), *generated(by_key)}
    assert made <= {one["id"] for one in admin.get("/api/assets?limit=200").json()["items"]}
    assert {httpx.get(f"{shared_studio.url}/media/{asset}").status_code for asset in made} == {401}

    assert admin.delete(f"/api/keys/{key['id']}").status_code == 204
    with pytest.raises((AppError, httpx.HTTPStatusError, AuthenticationError)):
        by_key.predict(api_name="/list_jobs")
    assert by_password.predict(api_name="/list_jobs")["items"]
    assert key["token"] not in shared_studio.log_path.read_text()
    by_password.close()
    by_key.close()


def test_a_wrong_password_raises_authentication_error(shared_studio: StudioServer) -> None:
    with pytest.raises(AuthenticationError):
        client_of(shared_studio.url, auth=(ADMIN, "wrong" + PASSWORD))
    with pytest.raises(AuthenticationError):
        client_of(shared_studio.url)


def test_without_an_admin_a_link_is_printed_that_makes_one_once(
    make_studio: Callable[..., StudioServer],
) -> None:
    server = make_studio(STUDIO_AUTH="accounts")
    first = _setup_link(server)
    server.stop()
    server.start()
    link = _setup_link(server)
    assert link != first, "each start makes a link of its own"

    form = {"email": "ben@example.org", "password": PASSWORD, "display_name": "Ben"}
    with httpx.Client(base_url=server.url, headers=BROWSER, timeout=60) as ben:
        assert ben.get(first).status_code == 404, "the link of the earlier start is withdrawn"
        assert ben.get(link).status_code == 200
        assert ben.post(link, data=form).status_code == 303
        assert ben.get("/api/me").json()["role"] == "admin"
    assert httpx.post(link, data=form | {"email": "eve@example.org"}, headers=BROWSER).status_code == 404

    links = len(SETUP_LINK.findall(server.log_path.read_text()))
    server.stop()
    server.start()
    assert len(SETUP_LINK.findall(server.log_path.read_text())) == links, "there is an admin now"


def _setup_link(server: StudioServer) -> str:
    """The last link that the program printed."""
    found: list[str] = SETUP_LINK.findall(server.log_path.read_text())
    assert found, server.log_tail()
    return found[-1]
