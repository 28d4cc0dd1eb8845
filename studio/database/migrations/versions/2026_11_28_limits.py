"""Limits: what people may use, and a ledger of what they used of the GPU.

Why: people who share one GPU need to know that it is shared fairly and what it costs. Workers write the ledger in the
transaction that ends an attempt, and ask at every claim who has as many jobs running as they may; nobody can write to
their own ledger.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from studio.database.postgres import APP_ROLE, WORKER_ROLE, grant, secure_table

revision = "2026_11_28_limits"
down_revision = "2026_11_28_webhooks"
branch_labels = None
depends_on = None


def _owner(*, nullable: bool) -> sa.Column[str]:
    return sa.Column("user_id", sa.String(), sa.ForeignKey("user_profiles.id", ondelete="CASCADE"), nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "allowances",
        sa.Column("subject", sa.String(), primary_key=True),
        _owner(nullable=True),
        *(
            sa.Column(name, sa.Integer(), nullable=True)
            for name in ("orders_per_minute", "pending_jobs", "running_jobs", "storage_mb", "gpu_minutes")
        ),
    )
    op.create_index("allowances_user", "allowances", ["user_id"])
    op.create_table(
        "gpu_usage",
        sa.Column("id", sa.String(), primary_key=True),
        _owner(nullable=False),
        sa.Column("job_id", sa.String(), nullable=True),
        sa.Column("job_type", sa.String(), nullable=False),
        sa.Column("lane", sa.String(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=False),
        sa.Column("ended_at", sa.Double(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
    )
    op.create_index("gpu_usage_owner", "gpu_usage", ["user_id", "ended_at"])
    op.create_index("gpu_usage_ended", "gpu_usage", ["ended_at"])
    op.create_index("gpu_usage_job", "gpu_usage", ["job_id"])
    _secure(op.get_bind())


def _secure(connection: sa.Connection) -> None:
    secure_table(connection, "gpu_usage")
    grant(connection, "gpu_usage", APP_ROLE, "SELECT")
    grant(connection, "gpu_usage", WORKER_ROLE, "INSERT")
    grant(connection, "allowances", WORKER_ROLE, "SELECT")
    grant(connection, "user_profiles", WORKER_ROLE, "SELECT (id, role)")
    if connection.dialect.name == "postgresql":
        whose = "EXISTS (SELECT FROM jobs WHERE jobs.id = gpu_usage.job_id AND jobs.user_id = gpu_usage.user_id)"
        op.execute(f"CREATE POLICY attempts ON gpu_usage FOR INSERT TO {WORKER_ROLE} WITH CHECK ({whose})")
        op.execute(f"CREATE POLICY roles_of_people ON user_profiles FOR SELECT TO {WORKER_ROLE} USING (true)")
