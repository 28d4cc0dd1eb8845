"""PostgreSQL keeps people's rows apart by itself, and takes every seed.

Why: on PostgreSQL the code's filter is one wall, the database's own the second. Three roles that own nothing get what
they need and no more; a table made later is the system's alone until its migration grants it to somebody. Seeds go up
to 2^32-1, which PostgreSQL's INTEGER does not hold and SQLite's does.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from studio.database.postgres import APP_ROLE, ROLES, SYSTEM_ROLE, WORKER_ROLE, grant, secure_table

revision = "2026_11_23_row_security"
down_revision = "2026_11_23_accounts"
branch_labels = None
depends_on = None

ALL = "SELECT, INSERT, UPDATE, DELETE"
OWNED = ("projects", "jobs", "assets", "uploads", "sign_in_sessions", "api_keys", "external_identities")
FOR_PEOPLE = {
    "projects": ALL,
    "jobs": ALL,
    "assets": "SELECT, UPDATE, DELETE",
    "uploads": ALL,
    "sign_in_sessions": ALL,
    "api_keys": ALL,
    "external_identities": "SELECT, DELETE",
    # Nobody makes themselves an admin.
    "user_profiles": "SELECT, UPDATE (display_name)",
    "job_formats": "SELECT",
    "job_qualities": "SELECT",
    "lanes": "SELECT, INSERT, UPDATE",
    "change_counter": "SELECT, UPDATE",
}
JOB_STATUS = (
    "status, stage, lane, turn, cost_s, enhanced_prompt, receipt, timings, attempt, worker_losses, started_at, "
    "finished_at, not_before, lease_token, lease_owner, lease_expires_at, fraction, step, steps, preview, "
    "preview_number, error_code, error_message, revision"
)
FOR_WORKERS = {
    "jobs": f"SELECT, UPDATE ({JOB_STATUS})",
    "assets": "SELECT (id, user_id), INSERT",
    "lanes": "SELECT, INSERT, UPDATE",
    "change_counter": "SELECT, UPDATE",
}


def upgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name != "postgresql":
        return
    op.alter_column("assets", "seed", type_=sa.BigInteger())
    schema = connection.scalar(sa.text("SELECT quote_ident(current_schema())"))
    op.execute(f"GRANT USAGE ON SCHEMA {schema} TO {', '.join(ROLES)}")
    tables = sa.inspect(connection).get_table_names()
    for table in set(tables) - {"alembic_version"}:
        grant(connection, table, SYSTEM_ROLE, ALL)
    op.execute(f"ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT {ALL} ON TABLES TO {SYSTEM_ROLE}")
    for table in OWNED:
        secure_table(connection, table)
    secure_table(connection, "user_profiles", owner="id")
    for table, rights in FOR_PEOPLE.items():
        grant(connection, table, APP_ROLE, rights)
    _let_workers_in(connection)


def _let_workers_in(connection: sa.Connection) -> None:
    for table, rights in FOR_WORKERS.items():
        grant(connection, table, WORKER_ROLE, rights)
    delivers = "EXISTS (SELECT FROM jobs WHERE jobs.id = assets.job_id AND jobs.user_id = assets.user_id)"
    op.execute(f"CREATE POLICY every_job ON jobs TO {WORKER_ROLE} USING (true) WITH CHECK (true)")
    op.execute(f"CREATE POLICY beginnings ON assets FOR SELECT TO {WORKER_ROLE} USING (true)")
    op.execute(f"CREATE POLICY deliveries ON assets FOR INSERT TO {WORKER_ROLE} WITH CHECK ({delivers})")
