"""What PostgreSQL alone needs: its connections, the roles that the studio acts in, and row-level security.

Nobody works as the user who connects: every transaction first takes one of three roles that own nothing and may not log
in. A person's role sees the rows of the person whose id the transaction carries, the workers' role the jobs and what
they deliver, the system's role everything. Row-level security says so in the database itself, and is forced on the
owner of the tables too, so that a filter forgotten in the code shows nobody anything.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, func, make_url, select, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ProgrammingError, SQLAlchemyError

APP_ROLE = "studio_app"
WORKER_ROLE = "studio_worker"
SYSTEM_ROLE = "studio_system"
ROLES = (APP_ROLE, WORKER_ROLE, SYSTEM_ROLE)
PERSON_SETTING = "app.user_id"
"""The setting that holds the id of the transaction's person; empty or absent, no row is anybody's."""
CONNECT_TIMEOUT_S = 10
_MIGRATION_LOCK = 0x0E1D2
"""Key of the advisory lock under which one process at a time brings the tables up to date."""
_SET_RIGHT_SINCE = (16,)
"""From PostgreSQL 16 on, being a member of a role and being allowed to take it are two things."""


class RolesMissing(SQLAlchemyError):
    """The studio's roles do not exist, or the connecting user may not take them; the message says what to run."""


def with_driver(url: str) -> URL:
    """`url` with the driver that the studio brings, where it names PostgreSQL and no driver."""
    parsed = make_url(url)
    return parsed.set(drivername="postgresql+psycopg") if parsed.drivername in ("postgres", "postgresql") else parsed


def engine_options(url: URL) -> dict[str, Any]:
    """What `create_engine` is told besides the URL and the size of the pool."""
    # Connection poolers hand each transaction another connection, which does not know what was prepared on the last.
    arguments: dict[str, Any] = {"prepare_threshold": None}
    defaults = {"connect_timeout": CONNECT_TIMEOUT_S, "application_name": "ourvidz-studio"}
    arguments |= {name: value for name, value in defaults.items() if name not in url.query}
    # A writer that waited for another goes on with what that one wrote, as the claims and the change counter need it.
    return {"connect_args": arguments, "isolation_level": "READ COMMITTED", "pool_pre_ping": True}


READER_OPTIONS: dict[str, Any] = {"postgresql_readonly": True, "isolation_level": "REPEATABLE READ"}
"""Execution options of connections for reading: they see one moment of the database, as SQLite's readers do."""


def act_as(connection: Connection, role: str, person_id: str | None) -> None:
    """Take `role`, for `person_id` where it is a person's, until the transaction of `connection` ends."""
    # The third argument makes both end with the transaction: the next one on this connection inherits neither.
    connection.execute(
        select(func.set_config("role", role, True), func.set_config(PERSON_SETTING, person_id or "", True))
    )


def prepare_migration(connection: Connection) -> None:
    """Wait for other processes that migrate, and see to the roles. Raises RolesMissing."""
    connection.execute(select(func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
    try:
        with connection.begin_nested():
            for role in ROLES:
                _ensure_role(connection, role)
    except ProgrammingError as error:
        user = connection.scalar(select(func.quote_ident(func.current_user())))
        created = " ".join(f"CREATE ROLE {role} NOLOGIN;" for role in ROLES)
        reason = str(error.orig).partition("\n")[0]
        raise RolesMissing(
            f"the studio needs roles that {user} may not make or take ({reason}). "
            f"Let an administrator of the server run, leaving out what exists: {created} "
            f"GRANT {', '.join(ROLES)} TO {user};"
        ) from error
    too_mighty = connection.scalars(
        text("SELECT rolname FROM pg_roles WHERE rolname = ANY(:roles) AND (rolsuper OR rolbypassrls)"),
        {"roles": list(ROLES)},
    ).all()
    if too_mighty:
        raise RolesMissing(
            f"{', '.join(too_mighty)} would see past row-level security. Let an administrator of the server run: "
            + " ".join(f"ALTER ROLE {role} NOSUPERUSER NOBYPASSRLS;" for role in too_mighty)
        )


def _ensure_role(connection: Connection, role: str) -> None:
    # Roles belong to the whole server: a studio in another of its databases may make them in this very moment.
    if connection.scalar(text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": role}) is None:
        connection.execute(
            text(
                f"DO $$ BEGIN CREATE ROLE {role} NOLOGIN; "
                "EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
            )
        )
    may = "SET" if (connection.dialect.server_version_info or ()) >= _SET_RIGHT_SINCE else "MEMBER"
    if not connection.scalar(select(func.pg_has_role(func.current_user(), role, may))):
        connection.execute(text(f"GRANT {role} TO CURRENT_USER"))


def secure_table(connection: Connection, table: str, owner: str = "user_id") -> None:
    """Force row-level security on `table`, whose column `owner` holds the id of the person a row belongs to: that
    person and the system reach it, nobody else. For migrations that make a table of people's rows.

    What may be done with the rows is granted apart. Nothing happens on another database than PostgreSQL.
    """
    if connection.dialect.name != "postgresql":
        return
    mine = f"{owner} = (SELECT nullif(current_setting('{PERSON_SETTING}', true), ''))"
    for statement in (
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
        f"CREATE POLICY own_rows ON {table} TO {APP_ROLE} USING ({mine}) WITH CHECK ({mine})",
        f"CREATE POLICY every_row ON {table} TO {SYSTEM_ROLE} USING (true) WITH CHECK (true)",
    ):
        connection.execute(text(statement))


def grant(connection: Connection, table: str, role: str, rights: str) -> None:
    """Give `role` the `rights`, as in "SELECT, UPDATE (name)", on `table`. For migrations; on PostgreSQL only."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"GRANT {rights} ON {table} TO {role}"))
