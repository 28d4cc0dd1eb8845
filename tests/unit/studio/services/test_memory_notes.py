from __future__ import annotations

import time

import pytest
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from studio.database.engine import Database
from studio.database.schema import MemoryMeasurement
from studio.services.memory_notes import MemoryNotes


def test_what_was_never_measured_is_as_reckoned() -> None:
    assert MemoryNotes(None).ratio("model:cpu:film:0") == 1.0


def test_larger_measurements_count_at_once_and_smaller_ones_little_by_little() -> None:
    notes = MemoryNotes(None)
    for measured, expected in ((0.8, 0.8), (1.3, 1.3), (0.8, 1.2), (0.8, 1.12)):
        notes.note("key", measured)
        assert notes.ratio("key") == pytest.approx(expected)
    assert notes.ratio("another") == 1.0


def test_notes_outlive_the_studio(database: Database) -> None:
    notes = MemoryNotes(database)
    notes.load()
    notes.note("a", 1.5)
    notes.note("b", 0.7)
    notes.save()
    notes.note("a", 1.75)
    notes.save()

    later = MemoryNotes(database)
    later.load()
    assert (later.ratio("a"), later.ratio("b")) == (1.75, 0.7)
    with database.as_system(write=False) as session:
        rows = {row.key: row for row in session.scalars(select(MemoryMeasurement))}
    assert {key: row.samples for key, row in rows.items()} == {"a": 2, "b": 1}
    assert abs(rows["a"].updated_at - time.time()) < 60


def test_what_was_not_noted_since_is_not_written_again(database: Database) -> None:
    notes = MemoryNotes(database)
    notes.note("a", 1.5)
    notes.save()
    with database.as_system() as session:
        session.delete(session.get_one(MemoryMeasurement, "a"))
    notes.save()
    with database.as_system(write=False) as session:
        assert session.get(MemoryMeasurement, "a") is None


def test_notes_that_could_not_be_written_are_written_the_next_time(database: Database) -> None:
    notes = MemoryNotes(database)
    notes.note("a", 1.5)
    with database.engine.begin() as connection:
        connection.exec_driver_sql("alter table memory_measurements rename to away")
    with pytest.raises(DBAPIError):
        notes.save()
    with database.engine.begin() as connection:
        connection.exec_driver_sql("alter table away rename to memory_measurements")
    notes.save()
    later = MemoryNotes(database)
    later.load()
    assert later.ratio("a") == 1.5
