"""The front door of a studio: everything that knows people, with hashes that cost little."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy import select, update

from studio.database.engine import Database
from studio.database.schema import UserProfile
from studio.media.storage import MediaStorage
from studio.people import Origin, Person
from studio.services.feed import JobFeed
from studio.services.passwords import Passwords
from studio.services.people_parts import PeopleParts, build_people
from studio.web.client_uploads import ClientUploads

HERE = Origin(address="192.0.2.1", agent="a browser")
GOOD = "correct horse"


def light_passwords() -> Passwords:
    """argon2id as it would be if hashing were cheap."""
    return Passwords(Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1))


class FrontDoor:
    """The services of people over the core of a studio, and what tests do with them."""

    def __init__(self, desk: Any, folder: Path, signup: str = "open") -> None:
        self.desk = desk
        self.database: Database = desk.database
        self.storage = MediaStorage((folder / "media").as_uri())
        self.scratch = folder / "scratch"
        self.scratch.mkdir(exist_ok=True)
        self.client_uploads = ClientUploads(folder / "gradio")
        self.parts: PeopleParts = build_people(
            self.database,
            self.storage,
            cancel=desk.jobs.cancel,
            forget_uploads=self.client_uploads.forget,
            secret="a secret of the studio",
            signup=signup,
            scratch_root=self.scratch,
            passwords=light_passwords(),
        )
        self.accounts = self.parts.accounts

    def member(self, name: str = "ann") -> Person:
        return self.accounts.sign_up(f"{name}@example.org", GOOD, name.title(), HERE)

    def admin(self, name: str = "root") -> Person:
        """An admin, made past the rules."""
        person = self.member(name)
        self.set(person, role="admin")
        return self.accounts.sign_in(f"{name}@example.org", GOOD, HERE)

    def set(self, person: Person, **columns: Any) -> None:
        with self.database.as_system() as session:
            session.execute(update(UserProfile).where(UserProfile.id == person.id).values(**columns))

    def profile(self, person: Person) -> UserProfile | None:
        with self.database.as_system(write=False) as session:
            return session.scalars(select(UserProfile).where(UserProfile.id == person.id)).one_or_none()

    def audited(self, admin: Person | None = None) -> list[tuple[str, str, str | None]]:
        """What the audit holds, oldest first: action, actor, target."""
        reader = admin or Person(id="reader", role="admin", display_name="Reader")
        events = self.parts.audit.list(reader, limit=200)["items"]
        return [(event["action"], event["actor"], event["target"]) for event in reversed(events)]


@pytest.fixture
def door(desk: Any, tmp_path: Path) -> FrontDoor:
    """A studio that is open for sign-up."""
    return FrontDoor(desk, tmp_path)


@pytest.fixture
def door_with(desk: Any, tmp_path: Path) -> Callable[[str], FrontDoor]:
    """A studio whose sign-up is as given."""
    return lambda signup: FrontDoor(desk, tmp_path, signup)


@pytest.fixture
async def feed(desk: Any) -> AsyncIterator[JobFeed]:
    """A running feed that hears of every order."""
    feed = JobFeed(desk.database, desk.views)
    desk.jobs._announce = lambda lane: feed.poke()
    task = asyncio.create_task(feed.run())
    yield feed
    task.cancel()
    await asyncio.wait([task])
