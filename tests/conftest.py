"""What several kinds of tests share."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.live import StudioServer
from tests.postgres import DATABASES, PostgresServer, database_of_kind, stop_the_server, the_server
from tests.telling import TOLD


def pytest_configure() -> None:
    """Before anything is imported that looks at it.

    There is no current event loop, so that pytest-asyncio does not make one that nobody ever closes. And torch computes
    with one thread, here and in the workers of every studio: tests keep all cores busy as it is, and threads that spin
    while they wait for each other then cost several times the work itself.
    """
    asyncio.set_event_loop(None)
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_unconfigure() -> None:
    """Stop what outlives the fixtures: studios that no fixture started share the PostgreSQL server with those."""
    stop_the_server()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what passing tests recorded to be told, such as how many routes the two-person walk tried."""
    passed = terminalreporter.stats.get("passed", ())
    lines = {str(value) for report in passed for name, value in report.user_properties if name == TOLD}
    for line in sorted(lines):
        terminalreporter.write_line(line)


@pytest.fixture(scope="session", autouse=True)
def own_gradio_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Gradio keeps uploads in one folder of the machine; each test process has one of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("gradio")))
        yield


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
def postgres_server() -> PostgresServer:
    """One PostgreSQL server for all tests that ask for one."""
    return the_server()


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty studio's database, on either kind of database; `Database.migrate` may still be due."""
    with database_of_kind(request.param, tmp_path, request) as url:
        yield url
