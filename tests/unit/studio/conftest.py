"""A studio's core on a real database, SQLite and PostgreSQL in turn: the services that need no worker, two people."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import event

from studio.catalog import Catalog
from studio.database.engine import Database
from studio.services.policy import ContentPolicy
from tests.unit.studio.desk import Desk, small_types


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A freshly migrated SQLite file, to be copied."""
    path = tmp_path_factory.mktemp("migrated") / "studio.db"
    database = Database(f"sqlite:///{path}")
    database.migrate()
    database.close()
    return path


@pytest.fixture
def database(database_url: str, migrated_file: Path, tmp_path: Path) -> Iterator[Database]:
    """An empty studio's database."""
    if database_url.startswith("sqlite"):
        shutil.copy(migrated_file, tmp_path / "studio.db")
    database = Database(database_url)
    yield database
    database.close()


@pytest.fixture
def sqlite_database(migrated_file: Path, tmp_path: Path) -> Iterator[Database]:
    """An empty studio's SQLite file."""
    path = tmp_path / "studio.db"
    shutil.copy(migrated_file, path)
    database = Database(f"sqlite:///{path}")
    yield database
    database.close()


@pytest.fixture
def count_statements(database: Database) -> Callable[[], AbstractContextManager[list[str]]]:
    """A context manager that lists the statements sent to the database meanwhile."""

    @contextmanager
    def count() -> Iterator[list[str]]:
        sent: list[str] = []

        def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
            if not statement.startswith(("BEGIN", "SELECT set_config")):
                sent.append(statement)

        event.listen(database.engine, "before_cursor_execute", note)
        yield sent
        event.remove(database.engine, "before_cursor_execute", note)

    return count


@pytest.fixture(scope="session")
def small_catalog() -> Catalog:
    """The SDXL job types with pictures of 64 pixels."""
    return small_types()


@pytest.fixture(scope="session")
def desk_class() -> type[Desk]:
    return Desk


@pytest.fixture
def desk(database: Database, small_catalog: Catalog) -> Desk:
    return Desk(database, small_catalog, ContentPolicy(("forbiddenword",)))
