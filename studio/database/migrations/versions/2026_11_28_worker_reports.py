"""Reports of workers on other machines.

Why: a signed report that somebody heard and sends again must be refused, and a worker that did not get its answer must
be able to ask for it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_11_28_worker_reports"
down_revision = "2026_11_28_limits"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # On PostgreSQL it is the system's alone, as every table without grants of its own.
    op.create_table(
        "worker_reports",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("event", sa.String(), nullable=False),
        sa.Column("lease_token", sa.String(), nullable=True),
        sa.Column("answer", sa.JSON(), nullable=True),
        sa.Column("received_at", sa.Double(), nullable=False),
    )
    op.create_index("worker_reports_lease", "worker_reports", ["lease_token"])
    op.create_index("worker_reports_age", "worker_reports", ["received_at"])
