"""What several kinds of tests share."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.live import StudioServer
from tests.postgres import DATABASES, PostgresServer, database_of_kind, running_postgres


def pytest_configure() -> None:
    """Say that there is no current event loop, so that pytest-asyncio does not make one that nobody ever closes."""
    asyncio.set_event_loop(None)


@pytest.fixture
def make_studio(tmp_path: Path) -> Iterator[Callable[..., StudioServer]]:
    """Start studios of one's own: for tests that kill them. All are stopped in the end."""
    started: list[StudioServer] = []

    def make(**environment: str) -> StudioServer:
        server = StudioServer(tmp_path / f"studio{len(started)}", **environment)
        started.append(server)
        return server.start()

    yield make
    for server in started:
        server.stop(signal.SIGKILL)


@pytest.fixture(scope="session")
def studio_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StudioServer]:
    """One running studio with the demo models, shared by the tests that leave it as they found it."""
    server = StudioServer(tmp_path_factory.mktemp("studio") / "data").start()
    yield server
    server.stop(signal.SIGKILL)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One PostgreSQL server for all tests that ask for one."""
    with running_postgres() as server:
        yield server


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty studio's database, on either kind of database; `Database.migrate` may still be due."""
    with database_of_kind(request.param, tmp_path, request) as url:
        yield url
