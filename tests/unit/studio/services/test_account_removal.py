from __future__ import annotations

import io
import threading
from pathlib import Path

import pytest
from sqlalchemy import func, select

from studio.database.schema import ApiKey, Asset, Job, OneTimeLink, Project, SignInSession, Upload, UserProfile
from studio.errors import Forbidden, InvalidInput, NotFound, SignInRefused, StorageFailed
from studio.media.storage import PNG, hover_key, thumbnail_key
from studio.people import Origin, Person
from studio.services.account_removal import AccountRemoval
from studio.services.projects import ProjectService
from studio.web.client_uploads import IncomingFile

HERE = Origin(address="192.0.2.1", agent="a browser")
GOOD = "correct horse"
OWNED = (Job, Asset, Upload, Project, SignInSession, ApiKey)
WEBP = b"RIFF\0\0\0\0WEBP"


@pytest.fixture
def settled(door):
    """Two members with one of everything: ann and ben."""
    people = [door.member(name) for name in ("ann", "ben")]
    for person in people:
        _settle(door, person)
    return people


def _settle(door, person: Person) -> None:
    job = door.desk.submit(person)
    door.desk.deliver(door.desk.claim())
    for row in door.desk.asset_rows(job["id"]):
        door.storage.put_bytes(row.storage_key, PNG.magic)
        door.storage.put_bytes(thumbnail_key(row.storage_key, 256), WEBP)
        door.storage.put_bytes(hover_key(row.storage_key), WEBP)
        door.storage.put_bytes(row.storage_key.replace("0.png", "7.png"), PNG.magic)  # left by a lost attempt
    key = f"uploads/{person.id}/one.png"
    door.storage.put_bytes(key, PNG.magic)
    door.client_uploads.keep(person.id, [IncomingFile(name="a.png", size_bytes=1, content=io.BytesIO(b"x"))])
    with door.database.as_system() as session:
        session.add(Upload(user_id=person.id, storage_key=key, width=1, height=1, bytes=8, created_at=0.0))
    ProjectService(door.database).create(person, "shelf")
    door.parts.sessions.open(person, HERE)
    door.parts.api_keys.create(person, "script", ["read"], None, HERE)


def _owned(door, person: Person) -> set[int]:
    with door.database.as_system(write=False) as session:
        counts = [select(func.count()).select_from(kind).where(kind.user_id == person.id) for kind in OWNED]
        return {session.scalar(count) or 0 for count in counts}


def _files(door, person: Person) -> list[Path]:
    return [path for path in (door.scratch.parent / "media").rglob("*") if path.is_file() and person.id in str(path)]


def _waiting_uploads(door) -> list[Path]:
    return list((door.scratch.parent / "gradio").rglob("a.png"))


def test_a_person_leaves_with_everything(door, settled):
    ann, ben = settled
    waiting = door.desk.submit(ann)
    assert len(_files(door, ann)) == len(_files(door, ben)) == 5
    assert len(_waiting_uploads(door)) == 2
    door.accounts.delete(ann, ann.id, HERE, GOOD)

    assert door.profile(ann) is None
    assert _owned(door, ann) == {0}
    assert _files(door, ann) == []
    assert _owned(door, ben) == {1}
    assert len(_files(door, ben)) == 5
    assert len(_waiting_uploads(door)) == 1
    assert waiting["id"] in door.desk.hurried
    assert ("account_deleted", "ann@example.org", ann.id) in door.audited()
    with pytest.raises(SignInRefused):
        door.accounts.sign_in("ann@example.org", GOOD, HERE)
    assert door.member("ann").id != ann.id


def test_leaving_needs_ones_password(door, settled):
    ann, _ = settled
    for password in (None, "", "guess word"):
        with pytest.raises(InvalidInput):
            door.accounts.delete(ann, ann.id, HERE, password)

    assert _owned(door, ann) == {1}
    assert door.accounts.sign_in("ann@example.org", GOOD, HERE) == ann


def test_only_an_admin_removes_others(door, settled):
    ann, ben = settled
    with pytest.raises(Forbidden):
        door.accounts.delete(ann, ben.id, HERE, GOOD)
    door.accounts.delete(door.admin(), ben.id, HERE)

    assert door.profile(ben) is None
    assert _owned(door, ann) == {1}
    with pytest.raises(NotFound):
        door.accounts.delete(door.accounts.sign_in("root@example.org", GOOD, HERE), ben.id, HERE)


def test_links_of_an_account_go_with_it(door):
    root, other = door.admin("root"), door.admin("other")
    door.accounts.invite(other, None, "admin", HERE)
    door.accounts.reset_by_admin(root, other.id, HERE)
    door.accounts.delete(root, other.id, HERE)

    with door.database.as_system(write=False) as session:
        assert session.scalars(select(OneTimeLink)).all() == []


def test_a_running_job_stops_before_the_files_go(door, settled):
    ann, _ = settled
    door.desk.submit(ann)
    claim = door.desk.claim()
    asked = threading.Event()
    removal = AccountRemoval(
        door.database,
        door.storage,
        lambda person, job_id: (door.desk.jobs.cancel(person, job_id), asked.set()),
        door.client_uploads.forget,
    )

    def run() -> None:
        asked.wait(30)
        door.storage.put_bytes(f"{claim.type}/{ann.id}/{claim.job_id}/0.png", PNG.magic)
        door.desk.leases.cancelled(claim)

    worker = threading.Thread(target=run)
    worker.start()
    removal.remove(ann.id, lambda session: None)
    worker.join()

    assert door.profile(ann) is None
    assert _files(door, ann) == []


def test_a_job_that_does_not_stop_holds_nobody_back(door, settled):
    ann, _ = settled
    door.desk.submit(ann)
    claim = door.desk.claim()

    def store_late(session: object) -> None:
        door.storage.put_bytes(f"{claim.type}/{ann.id}/{claim.job_id}/0.png", PNG.magic)

    removal = AccountRemoval(
        door.database, door.storage, door.desk.jobs.cancel, door.client_uploads.forget, patience_s=0.0
    )
    removal.remove(ann.id, store_late)

    assert door.profile(ann) is None
    assert _files(door, ann) == []


def test_when_the_store_fails_the_account_is_shut_and_can_be_removed_again(door, settled, monkeypatch):
    ann, _ = settled
    root = door.admin()
    key, _ = door.parts.api_keys.create(ann, "second", ["read"], None, HERE)
    session = door.parts.sessions.open(ann, HERE)

    def fail(keys: object) -> None:
        raise StorageFailed("The media storage did not answer.")

    with monkeypatch.context() as broken:
        broken.setattr(door.storage, "delete", fail)
        with pytest.raises(StorageFailed):
            door.accounts.delete(ann, ann.id, HERE, GOOD)
    assert door.parts.sessions.person_of(session) is None
    assert door.parts.api_keys.person_of(key, HERE) is None
    assert door.profile(ann) is not None
    door.accounts.delete(root, ann.id, HERE)

    assert door.profile(ann) is None
    assert _files(door, ann) == []


def test_an_account_without_a_password_leaves_without_one(door, settled):
    ann, _ = settled
    door.set(ann, password_hash=None)
    door.accounts.delete(ann, ann.id, HERE)

    assert door.profile(ann) is None


def test_a_guest_can_have_everything_removed(door):
    with door.database.as_system() as session:
        session.add(UserProfile(id="a-guest", display_name="Guest", role="guest", created_at=0.0))
    guest = Person(id="a-guest", role="guest", display_name="Guest")
    waiting = door.desk.submit(guest)
    door.accounts.delete(guest, guest.id, HERE)

    assert door.profile(guest) is None
    assert waiting["id"] in door.desk.hurried
