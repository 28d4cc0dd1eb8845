"""The database: connections, transactions, the clock and the change counter."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Double, Engine, create_engine, event, func, select, update
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.pool import QueuePool
from sqlalchemy.sql.functions import FunctionElement

# Whoever opens a database knows all its tables.
from studio.database import limit_tables, postgres, webhook_tables, worker_tables  # noqa: F401
from studio.database.isolation import PERSON_ID, READ_ONLY, ROLE, isolate
from studio.database.schema import ChangeCounter
from studio.people import Person, require_scope

SQLITE_BUSY_TIMEOUT_MS = 15_000
"""How long a writer waits for the one before it. Writers here take milliseconds; a loaded machine may pause them."""
WAL_RETRY_S = 0.01
POOL_SIZE = 20
MAX_OVERFLOW = 70
"""Together more connections than the threads that call services (AnyIO keeps 40, asyncio 32, Gradio 8 for short calls):
a thread that holds one may need another, and must not wait for threads that do the same."""
CLOSE_PATIENCE_S = 5.0
CLOSE_POLL_S = 0.01
COUNTER_ROW = 1


class DatabaseClock(FunctionElement[float]):
    """Seconds since 1970 UTC by the database's own clock, so that leases do not depend on any machine's."""

    type = Double()
    name = "db_now"
    inherit_cache = True


@compiles(DatabaseClock)
def _standard_clock(element: DatabaseClock, compiler: Any, **kw: Any) -> str:
    return "extract(epoch from clock_timestamp())"


@compiles(DatabaseClock, "sqlite")
def _sqlite_clock(element: DatabaseClock, compiler: Any, **kw: Any) -> str:
    # unixepoch('subsec') needs SQLite 3.42; 2440587.5 is the Julian day of 1970-01-01T00:00Z.
    return "((julianday('now') - 2440587.5) * 86400.0)"


def db_now() -> DatabaseClock:
    """The SQL expression of the present moment: seconds since 1970 UTC, to the millisecond or better."""
    return DatabaseClock()


def next_revision(session: Session) -> int:
    """The next change number. Its row stays locked until the commit: take it after the rows it is for."""
    counter = update(ChangeCounter).where(ChangeCounter.id == COUNTER_ROW).values(last=ChangeCounter.last + 1)
    revision: int = session.execute(counter.returning(ChangeCounter.last)).scalar_one()
    return revision


def take_turns(session: Session, lock: int) -> None:
    """Wait until no other transaction holds `lock`, and hold it until this one ends. What follows sees all that those
    before it wrote. SQLite lets one writer work at a time anyway."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(select(func.pg_advisory_xact_lock(lock)))


class _StudioSession(Session):
    """A session that `isolation.py` watches over."""


isolate(_StudioSession)


class Database:
    """One database, by its SQLAlchemy URL. Building one opens nothing; connections open when first used."""

    def __init__(self, url: str) -> None:
        self._url = postgres.with_driver(url)
        self._on_postgresql = self._url.get_backend_name() == "postgresql"
        options = postgres.engine_options(self._url) if self._on_postgresql else {}
        self._writers = create_engine(self._url, pool_size=POOL_SIZE, max_overflow=MAX_OVERFLOW, **options)
        if self._writers.dialect.name == "sqlite":
            event.listen(self._writers, "connect", _set_up_sqlite)
            event.listen(self._writers, "begin", _begin_sqlite)
        reading = postgres.READER_OPTIONS if self._on_postgresql else {}
        self._readers = self._writers.execution_options(read_only=True, **reading)

    @property
    def engine(self) -> Engine:
        """The engine, for tests that count statements and for tools."""
        return self._writers

    @contextmanager
    def as_person(self, person: Person, *, write: bool = True) -> Iterator[Session]:
        """One transaction that sees and writes `person`'s rows only; commits on success, rolls back on an error.

        `write=False` opens it for reading, which waits for nobody. Rows stay usable after the end. Raises Forbidden
        where `person` came with a key that may not change anything: whatever door it came through ends here.
        """
        if write:
            require_scope(person, "generate")
        with self._session(write, {PERSON_ID: person.id, ROLE: postgres.APP_ROLE}) as session:
            yield session

    @contextmanager
    def as_worker(self, *, write: bool = True) -> Iterator[Session]:
        """One transaction of those who run jobs. On PostgreSQL it can read jobs, report on them and deliver their
        assets, and nothing else; on SQLite it is the system's."""
        with self._session(write, {ROLE: postgres.WORKER_ROLE}) as session:
            yield session

    @contextmanager
    def as_system(self, *, write: bool = True) -> Iterator[Session]:
        """One transaction that sees everybody's rows: for cleaning up, the feed and the queue's figures."""
        with self._session(write, {ROLE: postgres.SYSTEM_ROLE}) as session:
            yield session

    @contextmanager
    def _session(self, write: bool, info: dict[str, Any]) -> Iterator[Session]:
        engine = self._writers if write else self._readers
        session = _StudioSession(engine, expire_on_commit=False, info={**info, READ_ONLY: not write})
        with session, session.begin():
            yield session

    def migrate(self) -> None:
        """Bring the tables up to date. Makes the folder of a SQLite file and the roles on PostgreSQL. Safe to call from
        two processes at once. Raises RolesMissing, or what the database says."""
        if self._url.drivername.startswith("sqlite") and self._url.database:
            Path(self._url.database).parent.mkdir(parents=True, exist_ok=True)
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
        try:
            with self._writers.begin() as connection:
                if self._on_postgresql:
                    postgres.prepare_migration(connection)
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
        except BaseException:
            self.close()  # what could not be brought up to date is not used
            raise

    def close(self) -> None:
        """Close every connection. Waits for threads that are in a transaction, for `CLOSE_PATIENCE_S` at most: a task
        that was cancelled leaves its thread behind, and a connection that comes back later nobody closes."""
        end = time.monotonic() + CLOSE_PATIENCE_S
        pool = self._writers.pool
        while isinstance(pool, QueuePool) and pool.checkedout() and time.monotonic() < end:
            time.sleep(CLOSE_POLL_S)
        self._writers.dispose()


def _set_up_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    # The driver must not open transactions by itself: `_begin_sqlite` says which kind.
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout={SQLITE_BUSY_TIMEOUT_MS}")
    _write_ahead(connection)
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA synchronous=NORMAL")


def _write_ahead(connection: sqlite3.Connection) -> None:
    # The change of mode asks for the whole file and, unlike all else, does not wait out the busy timeout where another
    # process writes the first tables in this moment. The mode is kept in the file, so it is changed once in its life.
    end = time.monotonic() + SQLITE_BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > end:
                raise
            time.sleep(WAL_RETRY_S)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes later fails at once when another wrote in between; writers lock at
    # the start instead and wait their turn. Readers lock nothing and see one moment of the database.
    reading = connection.get_execution_options().get("read_only", False)
    connection.exec_driver_sql("BEGIN DEFERRED" if reading else "BEGIN IMMEDIATE")
