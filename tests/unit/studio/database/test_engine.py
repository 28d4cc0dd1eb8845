from __future__ import annotations

import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import select, text

from studio.database.engine import Database, db_now, next_revision
from studio.database.schema import Job, Lane, UserProfile
from studio.people import Person


def test_building_a_database_touches_nothing(tmp_path: Path):
    Database(f"sqlite:///{tmp_path}/deep/studio.db")

    assert list(tmp_path.iterdir()) == []


def test_migrate_makes_the_folder_and_may_be_repeated(tmp_path: Path):
    database = Database(f"sqlite:///{tmp_path}/50% deep/er/studio.db")
    database.migrate()
    database.migrate()

    with database.as_system(write=False) as session:
        assert session.scalars(select(Job)).all() == []
    database.close()


def test_the_database_clock_gives_the_present_with_fractions(database: Database):
    with database.as_system(write=False) as session:
        readings = [session.execute(select(db_now())).scalar_one() for _ in range(3)]

    assert all(abs(reading - time.time()) < 60 for reading in readings)
    assert any(reading != int(reading) for reading in readings)


def test_connections_are_set_up_for_several_processes(sqlite_database: Database):
    with sqlite_database.as_system(write=False) as session:
        connection = session.connection()
        values = [connection.execute(text(f"PRAGMA {name}")).scalar() for name in ("journal_mode", "foreign_keys")]

    assert values == ["wal", 1]


def test_closing_waits_for_the_transactions_of_other_threads(database: Database):
    inside, may_end = threading.Event(), threading.Event()
    connections: list[Any] = []

    def look() -> None:
        with database.as_system(write=False) as session:
            connections.append(session.connection().connection.driver_connection)
            inside.set()
            may_end.wait(20)

    looking = threading.Thread(target=look)
    looking.start()
    assert inside.wait(20)
    ending = threading.Timer(0.2, may_end.set)
    ending.start()
    database.close()
    looking.join()
    ending.join()

    with pytest.raises((sqlite3.ProgrammingError, psycopg.OperationalError), match="closed"):
        connections[0].execute("SELECT 1")


def test_every_thread_that_calls_a_service_can_hold_a_session_and_open_another(database: Database):
    # AnyIO keeps 40 threads, asyncio 32 at most, Gradio 8 for short calls. The figures of the queue are read inside
    # the session that reads the jobs: with fewer connections than threads, all could wait for each other.
    threads = 80
    all_hold_one = threading.Barrier(threads, timeout=60)
    done: list[int] = []

    def look() -> None:
        with database.as_system(write=False) as outer:
            outer.scalars(select(Lane)).all()
            all_hold_one.wait()
            with database.as_system(write=False) as inner:
                done.append(len(inner.scalars(select(Lane)).all()))

    looking = [threading.Thread(target=look) for _ in range(threads)]
    for thread in looking:
        thread.start()
    for thread in looking:
        thread.join()
    assert len(done) == threads


def test_a_transaction_commits_on_success_and_rolls_back_on_an_error(database: Database):
    with database.as_system() as session:
        session.add(Lane(name="kept", clock=1.0))
    with pytest.raises(RuntimeError, match="stop"):
        _add_and_stop(database)

    with database.as_system(write=False) as session:
        assert session.get(Lane, "kept") is not None
        assert session.get(Lane, "lost") is None


def _add_and_stop(database: Database) -> None:
    with database.as_system() as session:
        session.add(Lane(name="lost", clock=1.0))
        session.flush()
        assert next_revision(session) == 1
        raise RuntimeError("stop")


def test_rows_stay_readable_after_the_transaction(database: Database):
    with database.as_system() as session:
        lane = Lane(name="x", clock=2.0)
        session.add(lane)

    assert lane.clock == 2.0


def test_reading_waits_for_no_writer(database: Database):
    with database.as_system() as writing:
        writing.add(Lane(name="new", clock=0.0))
        writing.flush()
        with database.as_system(write=False) as reading:
            assert reading.get(Lane, "new") is None


def test_change_numbers_are_unique_and_rise_across_threads(database: Database):
    taken: list[int] = []

    def take() -> None:
        for _ in range(20):
            with database.as_system() as session:
                taken.append(next_revision(session))

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(taken) == list(range(1, 81))


def test_an_uncommitted_change_number_is_given_again(database: Database):
    with pytest.raises(RuntimeError):
        _add_and_stop(database)

    with database.as_system() as session:
        assert next_revision(session) == 1


def test_a_person_sees_its_own_profile_alone(database: Database):
    with database.as_system() as session:
        session.add_all(UserProfile(id=name, display_name=name, role="member", created_at=0.0) for name in "ab")

    with database.as_person(Person(id="a", role="member", display_name="a"), write=False) as session:
        assert [profile.id for profile in session.scalars(select(UserProfile))] == ["a"]
