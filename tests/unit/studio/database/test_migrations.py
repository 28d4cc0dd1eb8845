from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, create_engine, inspect, select

from studio.database.engine import Database
from studio.database.schema import Base, ChangeCounter, JobFormat, JobQuality, Lane
from tests.postgres import PostgresServer


@pytest.fixture
def declared_engine(database: Database, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Engine]:
    """An empty database of the same kind, to make the tables in as the schema declares them."""
    if database.engine.dialect.name == "sqlite":
        engine = create_engine(f"sqlite:///{tmp_path}/made.db")
        yield engine
        engine.dispose()
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    with server.database("template1") as url:
        engine = create_engine(url)
        yield engine
        engine.dispose()


def test_the_migrated_tables_are_those_of_the_schema(database: Database):
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []


def test_constraints_that_the_comparison_does_not_see_are_there_too(database: Database, declared_engine: Engine):
    Base.metadata.create_all(declared_engine)
    for table in Base.metadata.tables:
        for kind in ("get_check_constraints", "get_foreign_keys", "get_unique_constraints", "get_pk_constraint"):
            migrated, declared = (
                getattr(inspect(engine), kind)(table) for engine in (database.engine, declared_engine)
            )
            assert _in_any_order(migrated) == _in_any_order(declared), f"{kind} of {table}"


def test_the_lists_are_filled(database: Database):
    with database.as_system(write=False) as session:
        limits = {row.name: (row.mime_type, row.max_bytes) for row in session.scalars(select(JobFormat))}
        assert limits == {"png": ("image/png", 20 * 2**20), "mp4": ("video/mp4", 100 * 2**20)}
        assert set(session.scalars(select(JobQuality.name))) == {"fast", "high"}
        assert set(session.scalars(select(Lane.name))) == {"sdxl", "wan", "qwen"}
        assert session.scalars(select(ChangeCounter.last)).all() == [0]


def _in_any_order(found: Any) -> list[str]:
    return sorted(repr(one) for one in (found if isinstance(found, list) else [found]))


def test_a_first_start_waits_while_another_process_makes_the_file(tmp_path: Path):
    other = sqlite3.connect(tmp_path / "studio.db", isolation_level=None, check_same_thread=False)
    other.execute("create table begun (id)")
    other.execute("begin immediate")
    ended = threading.Timer(0.3, other.execute, ["commit"])
    ended.start()
    database = Database(f"sqlite:///{tmp_path}/studio.db")
    database.migrate()
    database.close()
    ended.join()
    other.close()


def test_two_processes_may_start_at_once(tmp_path: Path):
    start = "import sys; from studio.database.engine import Database; Database(sys.argv[1]).migrate()"
    command = [sys.executable, "-c", start, f"sqlite:///{tmp_path}/studio.db"]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]

    assert [process.communicate()[1] for process in processes] == ["", ""]
    assert [process.returncode for process in processes] == [0, 0]
