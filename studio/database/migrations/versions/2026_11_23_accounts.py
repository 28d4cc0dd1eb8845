"""Accounts: passwords, sign-in sessions, API keys, one-time links, lockout and the audit.

Why: people who share a studio sign in, and only a row that can be struck out makes signing out real. The two indexes
on media let an account go without looking at everybody's rows.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_11_23_accounts"
down_revision = "2026_11_23_memory_measurements"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("user_profiles", sa.Column("password_hash", sa.String(), nullable=True))
    op.add_column("user_profiles", sa.Column("password_changed_at", sa.Double(), nullable=True))
    op.add_column("user_profiles", sa.Column("active", sa.Boolean(), server_default=sa.true(), nullable=False))
    _make_ways_in()
    _make_links_and_notes()
    op.create_index("assets_parent", "assets", ["parent_id"])
    op.create_index("uploads_owner", "uploads", ["user_id"])


def _owner(*, nullable: bool = False) -> sa.Column[str]:
    return sa.Column("user_id", sa.String(), sa.ForeignKey("user_profiles.id", ondelete="CASCADE"), nullable=nullable)


def _make_ways_in() -> None:
    op.create_table(
        "sign_in_sessions",
        sa.Column("id", sa.String(), primary_key=True),
        _owner(),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("last_seen_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.Column("revoked_at", sa.Double(), nullable=True),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("agent", sa.String(), nullable=False),
    )
    op.create_index("sign_in_sessions_owner", "sign_in_sessions", ["user_id", "id"])
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(), primary_key=True),
        _owner(),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("prefix", sa.String(), nullable=False),
        sa.Column("token_hash", sa.String(), nullable=False, unique=True),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=True),
        sa.Column("revoked_at", sa.Double(), nullable=True),
        sa.Column("last_used_at", sa.Double(), nullable=True),
        sa.Column("last_used_from", sa.String(), nullable=True),
    )
    op.create_index("api_keys_owner", "api_keys", ["user_id", "id"])
    op.create_table(
        "external_identities",
        sa.Column("provider", sa.String(), primary_key=True),
        sa.Column("subject", sa.String(), primary_key=True),
        _owner(),
    )
    op.create_index("external_identities_owner", "external_identities", ["user_id"])


def _make_links_and_notes() -> None:
    op.create_table(
        "one_time_links",
        sa.Column("token_hash", sa.String(), primary_key=True),
        sa.Column("purpose", sa.String(), nullable=False),
        _owner(nullable=True),
        sa.Column("email", sa.String(), nullable=True),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.Column("used_at", sa.Double(), nullable=True),
    )
    op.create_index("one_time_links_user", "one_time_links", ["user_id"])
    op.create_table(
        "failed_sign_ins",
        sa.Column("key", sa.String(), primary_key=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("first_at", sa.Double(), nullable=False),
        sa.Column("locked_until", sa.Double(), nullable=True),
    )
    op.create_table(
        "audit_events",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("actor_id", sa.String(), nullable=True),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("target", sa.String(), nullable=True),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("agent", sa.String(), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
    )
