from __future__ import annotations

import errno
import json
from pathlib import Path
from zipfile import ZipFile

import pytest

from studio.database.schema import Upload
from studio.errors import NotFound, StorageFailed, StorageFull
from studio.media.storage import PNG
from studio.people import Origin, Person
from studio.services import personal_data
from studio.services.outside_people import OutsideIdentity
from studio.services.projects import ProjectService
from studio.services.webhooks.service import NewWebhook

HERE = Origin(address="192.0.2.1", agent="a browser")


def _work(door, person: Person, count: int = 1) -> list[str]:
    """Pictures of the person's, and an upload. Returns the assets' ids."""
    job = door.desk.submit(person, count=count)
    door.desk.deliver(door.desk.claim())
    rows = door.desk.asset_rows(job["id"])
    for row in rows:
        door.storage.put_bytes(row.storage_key, PNG.magic + row.id.encode())
    key = f"uploads/{person.id}/one.png"
    door.storage.put_bytes(key, PNG.magic)
    with door.database.as_system() as session:
        session.add(
            Upload(id=f"up-{person.id}", user_id=person.id, storage_key=key, width=1, height=1, bytes=8, created_at=1e9)
        )
    return [row.id for row in rows]


def _read(path: Path) -> dict[str, bytes]:
    with ZipFile(path) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.parametrize("page", [1, 200])
def test_an_export_holds_all_of_ones_own(door, monkeypatch: pytest.MonkeyPatch, page: int):
    monkeypatch.setattr(personal_data, "PAGE", page)
    ann, ben = door.member("ann"), door.member("ben")
    assets, others = _work(door, ann, 3), _work(door, ben)
    ProjectService(door.database).create(ann, "shelf")
    token, _ = door.parts.api_keys.create(ann, "script", ["read"], None, HERE)
    door.parts.outside.connect(ann, OutsideIdentity.of("huggingface", "hf-1", name="Ann", email=None), HERE)
    door.parts.sessions.open(ann, HERE)
    webhooks = door.desk.webhooks.service
    secret, hook = webhooks.create(ann, NewWebhook(url="http://127.0.0.1:1024/anns"))
    webhooks.test(ann, hook["id"])
    webhooks.create(ben, NewWebhook(url="http://127.0.0.1:1024/bens"))

    path = door.parts.personal_data.export(ann)
    content = _read(path)

    account = json.loads(content["account.json"])
    assert (account["email"], account["projects"][0]["name"]) == ("ann@example.org", "shelf")
    assert account["api_keys"][0]["scopes"] == ["read"]
    assert [one["url"] for one in account["webhooks"]] == ["http://127.0.0.1:1024/anns"]
    assert [one["webhook_id"] for one in json.loads(content["webhook_deliveries.json"])] == [hook["id"]]
    assert account["signs_in_with"] == [{"provider": "huggingface", "subject": "hf-1"}]
    assert account["sessions"][0]["address"] == "192.0.2.1"
    assert [job["prompt"] for job in json.loads(content["jobs.json"])] == ["a red boat"]
    assert {asset["id"] for asset in json.loads(content["assets.json"])} == set(assets)
    assert [upload["created_at"] for upload in json.loads(content["uploads.json"])] == ["2001-09-09T01:46:40.000Z"]
    media = {name for name in content if name.startswith("media/")}
    assert media == {f"media/{asset}.png" for asset in assets} | {f"media/uploads/up-{ann.id}.png"}
    assert content[f"media/{assets[1]}.png"] == PNG.magic + assets[1].encode()
    everything = b"".join(content.values()).decode("latin-1")
    assert not [
        word
        for word in (*others, ben.id, token, secret, "salt", "/bens", "argon2", "token_hash", "lease")
        if word in everything
    ]
    door.parts.personal_data.discard(path)
    assert list(door.scratch.iterdir()) == []


def test_an_empty_account_has_an_export_too(door):
    content = _read(door.parts.personal_data.export(door.member()))

    assert json.loads(content["jobs.json"]) == json.loads(content["assets.json"]) == []
    lists = ("jobs", "assets", "uploads", "usage", "webhook_deliveries")
    assert set(content) == {"account.json", *(f"{name}.json" for name in lists)}


def test_a_guest_who_has_made_nothing_gets_an_empty_export(door):
    guest = Person(id="a-guest", role="guest", display_name="Guest")
    content = _read(door.parts.personal_data.export(guest))

    account = json.loads(content["account.json"])
    assert (account["id"], account["role"], account["email"]) == ("a-guest", "guest", None)
    assert json.loads(content["jobs.json"]) == json.loads(content["assets.json"]) == []
    assert door.profile(guest) is None


def test_a_lost_file_is_named(door):
    ann = door.member()
    lost, kept = _work(door, ann, 2)
    with door.database.as_system(write=False):
        row = next(row for row in door.desk.asset_rows(_job_of(door, ann)) if row.id == lost)
    door.storage.delete([row.storage_key])

    content = _read(door.parts.personal_data.export(ann))

    assert json.loads(content["missing.json"]) == [lost]
    assert f"media/{kept}.png" in content


def _job_of(door, person: Person) -> str:
    return door.desk.jobs.list(person)["items"][0]["id"]


def test_a_failed_export_leaves_nothing(door, monkeypatch: pytest.MonkeyPatch):
    ann = door.member()
    _work(door, ann)

    def fail(key: str) -> None:
        raise StorageFailed("The media storage did not answer.")

    monkeypatch.setattr(door.storage, "stream", fail)
    with pytest.raises(StorageFailed):
        door.parts.personal_data.export(ann)
    with pytest.raises(NotFound):
        door.parts.personal_data.export(Person(id="nobody", role="member", display_name="Nobody"))

    assert list(door.scratch.iterdir()) == []


def test_a_full_disk_is_told_in_words(door, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(personal_data.ZipFile, "writestr", full)
    with pytest.raises(StorageFull):
        door.parts.personal_data.export(door.member())

    assert list(door.scratch.iterdir()) == []
