from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import delete, exists, func, insert, select, text, update
from sqlalchemy.orm import Session, aliased

from studio.database.engine import Database
from studio.database.isolation import IsolationBroken
from studio.database.schema import Job, Project, UserProfile
from studio.people import Person

ANN = Person(id="ann", role="member", display_name="Ann")
BEN = Person(id="ben", role="admin", display_name="Ben")


@pytest.fixture
def two_shelves(database: Database) -> Database:
    with database.as_system() as session:
        for person in (ANN, BEN):
            session.add(UserProfile(id=person.id, display_name=person.display_name, role=person.role, created_at=0.0))
            session.flush()
            session.add(Project(id=f"of-{person.id}", user_id=person.id, name="shelf", created_at=0.0))
    return database


def _get(session: Session) -> list[Any]:
    return [row for row in (session.get(Project, "of-ann"), session.get(Project, "of-ben")) if row is not None]


READS: dict[str, Callable[[Session], list[Any]]] = {
    "get": _get,
    "select": lambda session: list(session.scalars(select(Project))),
    "by id": lambda session: list(session.scalars(select(Project).where(Project.id == "of-ben"))) or ["own"],
    "column": lambda session: list(session.scalars(select(Project.name))),
    "count": lambda session: ["own"] * session.execute(select(func.count()).select_from(Project)).scalar_one(),
    "count of a column": lambda session: ["own"] * session.execute(select(func.count(Project.id))).scalar_one(),
    "alias": lambda session: list(session.scalars(select(aliased(Project)))),
    "subquery": lambda session: list(session.execute(select(select(Project.id).subquery()))),
    "in": lambda session: list(session.scalars(select(UserProfile).where(UserProfile.id.in_(select(Project.user_id))))),
    "join": lambda session: list(
        session.execute(select(UserProfile.id).join(Project, Project.user_id == UserProfile.id))
    ),
    "union": lambda session: list(session.execute(select(Project.id).union(select(Project.id)))),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_reading_gives_ones_own_rows_only(two_shelves: Database, read: Callable[[Session], list[Any]]):
    with two_shelves.as_person(BEN) as session:
        own = read(session)

    assert len(own) == 1


def test_changing_and_deleting_reach_ones_own_rows_only(two_shelves: Database):
    with two_shelves.as_person(ANN) as session:
        assert session.execute(update(Project).values(name="mine")).rowcount == 1
    with two_shelves.as_person(BEN) as session:
        assert session.execute(delete(Project)).rowcount == 1

    with two_shelves.as_system(write=False) as session:
        assert [(row.id, row.name) for row in session.scalars(select(Project))] == [("of-ann", "mine")]


@pytest.mark.parametrize(
    "statement",
    [
        text("select * from projects"),
        select(Project.__table__),
        insert(Project).values(user_id="ben", name="x", created_at=0.0),
        update(Project.__table__).values(name="x"),
        select(exists().where(Project.id == "of-ben")),
    ],
    ids=["text", "core select", "insert", "core update", "bare exists"],
)
def test_statements_past_the_filter_are_refused(two_shelves: Database, statement: Any):
    with pytest.raises(IsolationBroken), two_shelves.as_person(ANN) as session:
        session.execute(statement)


def test_another_persons_row_cannot_be_added_or_taken_over(two_shelves: Database):
    with pytest.raises(IsolationBroken), two_shelves.as_person(ANN) as session:
        session.add(Project(user_id="ben", name="x", created_at=0.0))
    with pytest.raises(IsolationBroken), two_shelves.as_person(ANN) as session:
        session.get_one(Project, "of-ann").user_id = "ben"


def test_a_session_for_reading_writes_nothing(two_shelves: Database):
    with pytest.raises(IsolationBroken), two_shelves.as_person(ANN, write=False) as session:
        session.get_one(Project, "of-ann").name = "new"
    with pytest.raises(IsolationBroken), two_shelves.as_person(ANN, write=False) as session:
        session.execute(update(Project).values(name="new"))
    with pytest.raises(IsolationBroken), two_shelves.as_system(write=False) as session:
        session.add(UserProfile(display_name="x", role="member", created_at=0.0))


def test_the_system_sees_everybody(two_shelves: Database):
    with two_shelves.as_system(write=False) as session:
        assert len(session.scalars(select(Project)).all()) == 2
        assert session.scalars(select(Job)).all() == []
