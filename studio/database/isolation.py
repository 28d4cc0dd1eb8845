"""The one place that knows how people's rows are kept apart.

A session that belongs to a person sees and changes that person's rows alone: the filter is added to every ORM
statement, so a service cannot forget it. Another person's id and an unknown id therefore look the same. On PostgreSQL
every transaction moreover takes a role that the database's own row-level security holds to the same rows.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Table, TextClause, event
from sqlalchemy.orm import ORMExecuteState, Session, SessionTransaction, with_loader_criteria
from sqlalchemy.orm.unitofwork import UOWTransaction
from sqlalchemy.sql import visitors

from studio.database.postgres import act_as
from studio.database.schema import Base, OwnedRow, UserProfile

PERSON_ID = "person_id"
"""Key of `Session.info` that holds the id of the session's person; absent in a system session."""
READ_ONLY = "read_only"
"""Key of `Session.info`: the session was opened for reading."""
ROLE = "role"
"""Key of `Session.info`: the role that the session's transactions take on PostgreSQL."""


class IsolationBroken(RuntimeError):
    """A programming error: a statement or row that a person's session must not carry. Nothing was written."""


def isolate(sessions: type[Session]) -> None:
    """Hold every session of the class `sessions` to its person and to its mode (reading or writing)."""
    event.listen(sessions, "after_begin", _take_role)
    event.listen(sessions, "do_orm_execute", _filter_statement)
    event.listen(sessions, "before_flush", _check_rows)


def _take_role(session: Session, transaction: SessionTransaction, connection: Connection) -> None:
    if connection.dialect.name == "postgresql" and not transaction.nested:
        act_as(connection, session.info[ROLE], session.info.get(PERSON_ID))


def _filter_statement(state: ORMExecuteState) -> None:
    if state.session.info.get(READ_ONLY) and not state.is_select:
        raise IsolationBroken("This session was opened for reading; open it for writing to change rows.")
    person_id = state.session.info.get(PERSON_ID)
    if person_id is None or state.is_column_load:
        return
    if state.is_insert or not state.is_orm_statement:
        _refuse_raw(state.statement)
        return
    state.statement = state.statement.options(
        with_loader_criteria(OwnedRow, lambda row: row.user_id == person_id, include_aliases=True),
        with_loader_criteria(UserProfile, UserProfile.id == person_id, include_aliases=True),
    )


def _refuse_raw(statement: Any) -> None:
    """Statements the filter cannot reach may not name a table of people's rows."""
    for part in visitors.iterate(statement):
        if isinstance(part, TextClause) or (isinstance(part, Table) and part in _people_tables()):
            raise IsolationBroken("A person's session runs ORM statements only, and adds rows as objects.")


def _people_tables() -> set[Any]:
    owned = {mapper.local_table for mapper in Base.registry.mappers if issubclass(mapper.class_, OwnedRow)}
    return owned | {UserProfile.__table__}


def _check_rows(session: Session, _context: UOWTransaction, _instances: object) -> None:
    if session.info.get(READ_ONLY) and (session.new or session.dirty or session.deleted):
        raise IsolationBroken("This session was opened for reading; open it for writing to change rows.")
    person_id = session.info.get(PERSON_ID)
    if person_id is None:
        return
    for row in (*session.new, *session.dirty):
        if isinstance(row, OwnedRow) and row.user_id != person_id:
            raise IsolationBroken("A person's session writes that person's rows only.")
