"""Orders that are sent twice, and streams that are cut: nothing is made twice, missed or repeated."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.small_studio import ServedStudio
from tests.postgres import DATABASES, database_of_kind

AT_ONCE = 50
JOBS = 12
CUTS = 25
ENDED = {"completed", "failed", "cancelled"}


@pytest.fixture(scope="module", params=DATABASES)
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("resuming")
    with (
        database_of_kind(request.param, folder, request) as database_url,
        ServedStudio(folder, database_url=database_url).serving() as served,
    ):
        yield served.url


def test_fifty_orders_with_one_key_at_once_are_one_job(url: str) -> None:
    begin = threading.Barrier(AT_ONCE)

    def order(_: int) -> httpx.Response:
        with httpx.Client(base_url=url, timeout=120) as client:
            begin.wait(120)
            body = {"prompt": "a red boat", "count": 1}
            return client.post("/api/queue-job", json=body, headers={"Idempotency-Key": "fifty"})

    with ThreadPoolExecutor(AT_ONCE) as threads:
        answers = list(threads.map(order, range(AT_ONCE)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    jobs = httpx.get(f"{url}/api/jobs?limit=200", timeout=60).json()["items"]
    assert len(jobs) == 1


class Reader:
    """Reads the event stream piece by piece, and resumes each time where it was cut."""

    def __init__(self, url: str, *, by_header: bool) -> None:
        self.url = url
        self.by_header = by_header
        self.last = 0
        self.told: list[tuple[int, dict[str, Any]]] = []

    def read(self, at_most: int) -> None:
        """Read up to `at_most` events, or until all jobs have ended, then cut the connection."""
        known = str(self.last)
        asked = {"headers": {"Last-Event-ID": known}} if self.by_header else {"params": {"after": known}}
        with httpx.stream("GET", f"{self.url}/api/events", timeout=120, **asked) as answer:
            assert answer.status_code == 200
            for revision, job in events(answer.iter_lines()):
                self.told.append((revision, job))
                self.last = revision
                at_most -= 1
                if at_most == 0 or self.all_ended():
                    return

    def states(self) -> dict[str, dict[str, Any]]:
        """The last that was told of each job."""
        return {job["id"]: job for _, job in self.told}

    def all_ended(self) -> bool:
        states = self.states()
        return len(states) == JOBS and all(job["status"] in ENDED for job in states.values())


def events(lines: Iterator[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """(id, job) of each event of a stream."""
    event: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(": ")
            event[name] = value
        elif "data" in event:
            yield int(event["id"]), json.loads(event["data"])
            event = {}


@pytest.mark.parametrize("by_header", [True, False], ids=["Last-Event-ID", "after"])
@pytest.mark.parametrize("database", DATABASES)
def test_a_stream_that_is_cut_again_and_again(
    request: pytest.FixtureRequest, tmp_path: Path, database: str, by_header: bool
) -> None:
    """Also over a restart of the studio: a number told before it holds after it."""
    chance = random.Random(by_header)
    with database_of_kind(database, tmp_path, request) as database_url:
        folders = [tmp_path / name for name in ("first", "second")]
        for folder in folders:
            folder.mkdir()
        with ServedStudio(folders[0], database_url=database_url).serving() as served:
            reader = Reader(served.url, by_header=by_header)
            for number in range(JOBS):
                prompt = "an impossible boat" if number % 4 == 3 else "a red boat"
                body = {"prompt": prompt, "count": 1, "steps": 20}
                httpx.post(f"{served.url}/api/queue-job", json=body, timeout=60).raise_for_status()
                reader.read(chance.randint(1, 3))
            for _ in range(CUTS):
                if not reader.all_ended():
                    reader.read(chance.randint(1, 4))
        with ServedStudio(folders[1], database_url=database_url).serving() as served:
            reader.url = served.url
            while not reader.all_ended():
                reader.read(chance.randint(1, 5))
            kept = httpx.get(f"{served.url}/api/jobs?limit=200", timeout=60).json()["items"]

    # Nothing is repeated: each event has a number of its own, greater than any before, over all cuts and the restart.
    revisions = [revision for revision, _ in reader.told]
    assert revisions == sorted(set(revisions))
    # Nothing is missed: the last that was told of each job is how it stands.
    assert {job["id"]: job["status"] for job in kept} == {
        job_id: job["status"] for job_id, job in reader.states().items()
    }
