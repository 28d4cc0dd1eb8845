"""Administrators order pictures on behalf of the studio; nobody else finds them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.integration.people import PASSWORD, make_admin
from tests.integration.small_studio import ServedStudio
from tests.integration.two_people import finished, order, sign_up
from tests.postgres import DATABASES, database_of_kind

PATH = "/api/admin/generate-image"
ORDER = {"prompt": "the studio's own boat", "count": 2, "seed": 7}


@dataclass(frozen=True, kw_only=True)
class House:
    """A running studio; an admin, a member, and nobody."""

    served: ServedStudio
    admin: httpx.Client
    member: httpx.Client
    nobody: httpx.Client

    def made(self, **fields: Any) -> dict[str, Any]:
        """A job of the studio's, once it has ended."""
        answer = self.admin.post(PATH, json={**ORDER, **fields})
        assert answer.status_code == 201, answer.text
        while True:
            job: dict[str, Any] = self.admin.get(f"{PATH}/{answer.json()['id']}").raise_for_status().json()
            if job["finished_at"] is not None:
                return job


@pytest.fixture(scope="module", params=DATABASES)
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder: Path = tmp_path_factory.mktemp("house")
    with (
        database_of_kind(request.param, folder, request) as url,
        ServedStudio(folder, database_url=url, mode="accounts").serving() as served,
        ExitStack() as stack,
    ):
        make_admin(served.studio)
        admin, member, nobody = [
            stack.enter_context(httpx.Client(base_url=served.url, timeout=60)) for _ in ("admin", "member", "nobody")
        ]
        admin.post("/login", data={"username": "admin@example.org", "password": PASSWORD}).raise_for_status()
        sign_up(member, "member@example.org", "Member")
        yield House(served=served, admin=admin, member=member, nobody=nobody)


def test_an_admin_gets_pictures_in_the_studios_name(house: House) -> None:
    job = house.made()
    assert (job["status"], len(job["assets"])) == ("completed", 2)
    assert job["user_id"] != house.admin.get("/api/me").json()["id"]
    file = house.admin.get(f"{PATH}/{job['id']}/files/1")
    assert (file.status_code, file.headers["content-type"]) == (200, "image/png")
    assert Image.open(io.BytesIO(file.content)).getpixel((0, 0)) == (8, 64, 128)
    assert house.admin.get(f"{PATH}/{job['id']}/files/0", headers={"Range": "bytes=1-3"}).content == b"PNG"
    assert house.admin.get(f"{PATH}/{job['id']}/files/2").status_code == 404
    event = house.admin.get("/api/admin/audit").json()["items"][0]
    assert (event["action"], event["target"], event["actor"]) == (
        "generated_for_studio",
        job["id"],
        "admin@example.org",
    )


def test_they_are_in_nobodys_hands_but_the_admins(house: House) -> None:
    job = house.made(prompt="a lantern of the studio")
    addresses = [f"{PATH}/{job['id']}", f"{PATH}/{job['id']}/files/0"]
    for client, status in ((house.member, 403), (house.nobody, 401)):
        assert client.post(PATH, json=ORDER).status_code == status
        assert [client.get(address).status_code for address in addresses] == [status, status]
    for client in (house.member, house.admin):  # an admin's own library is the admin's alone
        for address in (f"/api/jobs/{job['id']}", f"/api/assets/{job['assets'][0]}", f"/media/{job['assets'][0]}"):
            assert client.get(address).status_code == 404
        for listing in ("/api/jobs?limit=200", "/api/assets?limit=200", "/api/assets?search=lantern"):
            assert "lantern" not in client.get(listing).text
    people = house.admin.get("/api/admin/people").json()["items"]
    assert job["user_id"] not in [person["id"] for person in people]
    assert house.admin.delete(f"/api/admin/people/{job['user_id']}").status_code == 404
    assert house.admin.post(f"/api/admin/people/{job['user_id']}/reset").status_code == 404
    patch = house.admin.patch(f"/api/admin/people/{job['user_id']}", json={"role": "admin"})
    assert patch.status_code == 404


def test_a_persons_job_is_none_of_the_studios(house: House) -> None:
    mine = finished(house.member, order(house.member, "a red boat"))
    assert house.admin.get(f"{PATH}/{mine['id']}").status_code == 404
    assert house.admin.get(f"{PATH}/{mine['id']}/files/0").status_code == 404
    assert house.admin.post(PATH, json={**ORDER, "image": mine["assets"][0]}).status_code == 404
    own = house.made(count=1)
    assert house.made(count=1, image=own["assets"][0])["status"] == "completed"


def test_by_key_and_with_a_key_of_its_own(house: House) -> None:
    tokens = {}
    for scopes in (["read", "generate"], ["read", "generate", "admin"]):
        made = house.admin.post("/api/keys", json={"name": "script", "scopes": scopes}).raise_for_status().json()
        tokens[scopes[-1]] = {"Authorization": f"Bearer {made['token']}"}
    assert house.nobody.post(PATH, json=ORDER, headers=tokens["generate"]).status_code == 403
    again = {**tokens["admin"], "Idempotency-Key": "poster"}
    first, second = [house.nobody.post(PATH, json=ORDER, headers=again).json()["id"] for _ in range(2)]
    assert first == second
    assert house.nobody.get(f"{PATH}/{first}", headers=tokens["admin"]).status_code == 200


@pytest.mark.parametrize(
    ("fields", "field"),
    [({"job_type": "video_fast"}, "job_type"), ({"job_type": "poster"}, "job_type"), ({"width": 65}, "width")],
)
def test_films_and_what_cannot_be_made_are_refused(house: House, fields: dict[str, Any], field: str) -> None:
    answer = house.admin.post(PATH, json={"prompt": "a boat", **fields})
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, field)


def test_the_first_orders_at_once_are_of_one_studio(tmp_path: Path) -> None:
    with ServedStudio(tmp_path, mode="accounts").serving() as served:
        admin = make_admin(served.studio)
        works = served.studio.accounts.studio_works  # type: ignore[union-attr]
        with ThreadPoolExecutor(8) as threads:
            people = set(threads.map(lambda _: works._person(), range(8)))
        assert len(people) == 1
        assert admin not in people
