"""What runs were measured to take of their devices' memory.

Why: a run reserves its memory before it begins. Reckoned figures are good for a first run; the measured ones correct
them, and are worth keeping over a restart.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_11_23_memory_measurements"
down_revision = "2026_11_22_first_tables"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "memory_measurements",
        sa.Column("key", sa.String(), primary_key=True),
        sa.Column("ratio", sa.Double(), nullable=False),
        sa.Column("samples", sa.Integer(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
    )
