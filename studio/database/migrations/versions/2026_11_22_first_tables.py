"""The first tables: people, projects, jobs, assets, uploads, and what the queue keeps count with.

Why: a new studio starts here. Seeds the file formats with their size limits, the qualities, the lanes and the counter.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_first_tables"
down_revision = None
branch_labels = None
depends_on = None

MB = 1024 * 1024


def upgrade() -> None:
    _make_people()
    _make_lists()
    _make_jobs()
    _make_media()
    _seed()


def _owner() -> sa.Column[str]:
    return sa.Column("user_id", sa.String(), sa.ForeignKey("user_profiles.id", ondelete="CASCADE"), nullable=False)


def _project() -> sa.Column[str]:
    return sa.Column("project_id", sa.String(), sa.ForeignKey("projects.id", ondelete="SET NULL"), nullable=True)


def _make_people() -> None:
    op.create_table(
        "user_profiles",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("email", sa.String(), nullable=True, unique=True),
        sa.Column("display_name", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
    )
    op.create_table(
        "projects",
        sa.Column("id", sa.String(), primary_key=True),
        _owner(),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.UniqueConstraint("user_id", "name"),
    )


def _make_lists() -> None:
    op.create_table(
        "job_formats",
        sa.Column("name", sa.String(), primary_key=True),
        sa.Column("mime_type", sa.String(), nullable=False),
        sa.Column("max_bytes", sa.Integer(), nullable=False),
    )
    op.create_table(
        "job_qualities",
        sa.Column("name", sa.String(), primary_key=True),
        sa.Column("label", sa.String(), nullable=False),
    )
    op.create_table(
        "lanes",
        sa.Column("name", sa.String(), primary_key=True),
        sa.Column("clock", sa.Double(), nullable=False),
    )
    op.create_table(
        "change_counter",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("last", sa.Integer(), nullable=False),
    )


def _make_jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(), primary_key=True),
        _owner(),
        _project(),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("lane", sa.String(), nullable=False),
        sa.Column("quality", sa.String(), sa.ForeignKey("job_qualities.name"), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("stage", sa.String(), nullable=False),
        sa.Column("prompt", sa.Text(), nullable=False),
        sa.Column("negative_prompt", sa.Text(), nullable=False),
        sa.Column("enhanced_prompt", sa.Text(), nullable=True),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.Column("receipt", sa.JSON(), nullable=True),
        sa.Column("timings", sa.JSON(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("worker_losses", sa.Integer(), nullable=False),
        sa.Column("turn", sa.Double(), nullable=False),
        sa.Column("cost_s", sa.Double(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=True),
        sa.Column("finished_at", sa.Double(), nullable=True),
        sa.Column("not_before", sa.Double(), nullable=True),
        sa.Column("lease_token", sa.String(), nullable=True),
        sa.Column("lease_owner", sa.String(), nullable=True),
        sa.Column("lease_expires_at", sa.Double(), nullable=True),
        sa.Column("cancel_requested", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("fraction", sa.Double(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("steps", sa.Integer(), nullable=False),
        sa.Column("preview", sa.LargeBinary(), nullable=True),
        sa.Column("preview_number", sa.Integer(), nullable=False),
        sa.Column("error_code", sa.String(), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("idempotency_key", sa.String(255), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.UniqueConstraint("user_id", "idempotency_key"),
        sa.CheckConstraint("status in ('pending','processing','completed','failed','cancelled')", name="job_status"),
    )
    op.create_index("jobs_claim", "jobs", ["lane", "status", "turn"])
    op.create_index("jobs_owner", "jobs", ["user_id", "id"])
    op.create_index("jobs_owner_turn", "jobs", ["lane", "user_id", "turn"])
    op.create_index("jobs_revision", "jobs", ["revision"])
    op.create_index("jobs_lease", "jobs", ["status", "lease_expires_at"])
    op.create_index("jobs_ended", "jobs", ["type", "status", "finished_at"])


def _make_media() -> None:
    op.create_table(
        "assets",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("job_id", sa.String(), sa.ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
        _owner(),
        _project(),
        sa.Column("parent_id", sa.String(), sa.ForeignKey("assets.id", ondelete="SET NULL"), nullable=True),
        sa.Column("index", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("format", sa.String(), sa.ForeignKey("job_formats.name"), nullable=False),
        sa.Column("mime_type", sa.String(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("frames", sa.Integer(), nullable=True),
        sa.Column("fps", sa.Double(), nullable=True),
        sa.Column("bytes", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("seed", sa.Integer(), nullable=False),
        sa.Column("storage_key", sa.String(), nullable=False),
        sa.Column("job_type", sa.String(), nullable=False),
        sa.Column("prompt", sa.Text(), nullable=False),
        sa.Column("negative_prompt", sa.Text(), nullable=False),
        sa.Column("enhanced_prompt", sa.Text(), nullable=True),
        sa.Column("favourite", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("rating", sa.Integer(), nullable=True),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("trashed_at", sa.Double(), nullable=True),
        sa.UniqueConstraint("job_id", "index"),
    )
    op.create_index("assets_owner", "assets", ["user_id", "trashed_at", "id"])
    op.create_table(
        "uploads",
        sa.Column("id", sa.String(), primary_key=True),
        _owner(),
        sa.Column("storage_key", sa.String(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
    )


def _seed() -> None:
    formats = sa.table(
        "job_formats",
        sa.column("name", sa.String),
        sa.column("mime_type", sa.String),
        sa.column("max_bytes", sa.Integer),
    )
    op.bulk_insert(
        formats,
        [
            {"name": "png", "mime_type": "image/png", "max_bytes": 20 * MB},
            {"name": "mp4", "mime_type": "video/mp4", "max_bytes": 100 * MB},
        ],
    )
    qualities = sa.table("job_qualities", sa.column("name", sa.String), sa.column("label", sa.String))
    op.bulk_insert(qualities, [{"name": "fast", "label": "Fast"}, {"name": "high", "label": "High quality"}])
    lanes = sa.table("lanes", sa.column("name", sa.String), sa.column("clock", sa.Double))
    op.bulk_insert(lanes, [{"name": name, "clock": 0.0} for name in ("sdxl", "wan", "qwen")])
    counter = sa.table("change_counter", sa.column("id", sa.Integer), sa.column("last", sa.Integer))
    op.bulk_insert(counter, [{"id": 1, "last": 0}])
