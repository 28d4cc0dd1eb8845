"""Webhooks: whom to tell of finished jobs, and the log of every delivery.

Why: what is to be sent must outlive the process that sends it, so it is written down before, and each attempt after.
The cursor begins at the last change there is: nobody is told of jobs that ended before there were webhooks.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from studio.database.postgres import APP_ROLE, grant, secure_table

revision = "2026_11_28_webhooks"
down_revision = "2026_11_23_row_security"
branch_labels = None
depends_on = None

FOR_PEOPLE = {
    "webhooks": "SELECT, INSERT, UPDATE, DELETE",
    "job_webhooks": "SELECT, INSERT, DELETE",
    "job_webhook_secrets": "SELECT, INSERT, UPDATE, DELETE",
    "webhook_deliveries": "SELECT, INSERT, DELETE, UPDATE (status, attempts_allowed, next_attempt_at)",
}


def upgrade() -> None:
    _make_hooks()
    _make_deliveries()
    op.create_table(
        "webhook_cursor",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("position", sa.Integer(), nullable=False),
    )
    op.execute("INSERT INTO webhook_cursor (id, position) SELECT 1, last FROM change_counter")
    for table, rights in FOR_PEOPLE.items():
        secure_table(op.get_bind(), table)
        grant(op.get_bind(), table, APP_ROLE, rights)


def _owner(*, primary_key: bool = False) -> sa.Column[str]:
    owner = sa.ForeignKey("user_profiles.id", ondelete="CASCADE")
    return sa.Column("user_id", sa.String(), owner, primary_key=primary_key, nullable=False)


def _salts() -> list[sa.Column[object]]:
    return [
        sa.Column("salt", sa.String(), nullable=False),
        sa.Column("previous_salt", sa.String(), nullable=True),
        sa.Column("rotated_at", sa.Double(), nullable=True),
    ]


def _make_hooks() -> None:
    op.create_table(
        "webhooks",
        sa.Column("id", sa.String(), primary_key=True),
        _owner(),
        *_salts(),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("events", sa.JSON(), nullable=False),
        sa.Column("active", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("failing_since", sa.Double(), nullable=True),
    )
    op.create_index("webhooks_owner", "webhooks", ["user_id", "id"])
    op.create_table(
        "job_webhooks",
        sa.Column("job_id", sa.String(), sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
        _owner(),
        sa.Column("url", sa.Text(), nullable=False),
    )
    op.create_index("job_webhooks_owner", "job_webhooks", ["user_id"])
    op.create_table("job_webhook_secrets", _owner(primary_key=True), *_salts())


def _make_deliveries() -> None:
    op.create_table(
        "webhook_deliveries",
        sa.Column("id", sa.String(), primary_key=True),
        _owner(),
        sa.Column("webhook_id", sa.String(), sa.ForeignKey("webhooks.id", ondelete="CASCADE"), nullable=True),
        sa.Column("job_id", sa.String(), sa.ForeignKey("jobs.id", ondelete="CASCADE"), nullable=True),
        sa.Column("occasion", sa.String(), nullable=False, unique=True),
        sa.Column("event", sa.String(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("attempts_allowed", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", sa.Double(), nullable=True),
        sa.Column("leased_until", sa.Double(), nullable=True),
        sa.Column("last_status_code", sa.Integer(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("log", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("delivered_at", sa.Double(), nullable=True),
        sa.CheckConstraint("status in ('pending','delivered','failed')", name="webhook_delivery_status"),
    )
    op.create_index("webhook_deliveries_owner", "webhook_deliveries", ["user_id", "id"])
    op.create_index("webhook_deliveries_due", "webhook_deliveries", ["status", "next_attempt_at"])
    op.create_index("webhook_deliveries_webhook", "webhook_deliveries", ["webhook_id", "id"])
    op.create_index("webhook_deliveries_job", "webhook_deliveries", ["job_id"])
