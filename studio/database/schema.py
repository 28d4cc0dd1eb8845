"""The tables. Times are seconds since 1970 UTC by the database's clock; ids are UUIDv7 strings."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
    false,
    true,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from uuid6 import uuid7

STATUSES = ("pending", "processing", "completed", "failed", "cancelled")
ENDED = ("completed", "failed", "cancelled")


def new_id() -> str:
    """A new UUIDv7 as text: ids made later sort later."""
    return str(uuid7())


class Base(DeclarativeBase):
    """All tables of the studio."""

    type_annotation_map = {dict[str, Any]: JSON, list[str]: JSON}  # noqa: RUF012


class OwnedRow:
    """Mixed into every table whose rows belong to one person; `isolation.py` filters all of these."""

    user_id: Mapped[str] = mapped_column(ForeignKey("user_profiles.id", ondelete="CASCADE"))


class UserProfile(Base):
    """A person. In local mode there is one. `role` is "member", "admin" or "guest"; who has no `password_hash` signs in
    from outside, or not at all; who is not `active` is let in nowhere."""

    __tablename__ = "user_profiles"
    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    email: Mapped[str | None] = mapped_column(unique=True)
    display_name: Mapped[str]
    role: Mapped[str]
    created_at: Mapped[float]
    password_hash: Mapped[str | None]
    password_changed_at: Mapped[float | None]
    active: Mapped[bool] = mapped_column(default=True, server_default=true())


class SignInSession(OwnedRow, Base):
    """One sign-in that is not over: the token that the browser holds is worth nothing without this row."""

    __tablename__ = "sign_in_sessions"
    __table_args__ = (Index("sign_in_sessions_owner", "user_id", "id"),)
    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    created_at: Mapped[float]
    last_seen_at: Mapped[float]
    expires_at: Mapped[float]
    revoked_at: Mapped[float | None]
    address: Mapped[str]
    agent: Mapped[str]


class ApiKey(OwnedRow, Base):
    """A key for programs. The key itself was shown once; `prefix` is its beginning, to tell it from others."""

    __tablename__ = "api_keys"
    __table_args__ = (Index("api_keys_owner", "user_id", "id"),)
    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str]
    prefix: Mapped[str]
    token_hash: Mapped[str] = mapped_column(unique=True)
    scopes: Mapped[list[str]]
    created_at: Mapped[float]
    expires_at: Mapped[float | None]
    revoked_at: Mapped[float | None]
    last_used_at: Mapped[float | None]
    last_used_from: Mapped[str | None]


class ExternalIdentity(OwnedRow, Base):
    """Who a person is to a provider that signs them in; `subject` is the provider's unchanging id."""

    __tablename__ = "external_identities"
    __table_args__ = (Index("external_identities_owner", "user_id"),)
    provider: Mapped[str] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(primary_key=True)


class OneTimeLink(Base):
    """A link to follow once: the first admin's ("setup"), an invitation ("invite"), a new password ("reset"), the way
    back from a provider that signs somebody in ("outside").

    `user_id` is whose account it is about, where there is one already.
    """

    __tablename__ = "one_time_links"
    __table_args__ = (Index("one_time_links_user", "user_id"),)
    token_hash: Mapped[str] = mapped_column(primary_key=True)
    purpose: Mapped[str]
    user_id: Mapped[str | None] = mapped_column(ForeignKey("user_profiles.id", ondelete="CASCADE"))
    email: Mapped[str | None]
    role: Mapped[str]
    created_by: Mapped[str | None]
    created_at: Mapped[float]
    expires_at: Mapped[float]
    used_at: Mapped[float | None]


class FailedSignIn(Base):
    """How often signing in has failed of late, by account or by address; `key` says of which."""

    __tablename__ = "failed_sign_ins"
    key: Mapped[str] = mapped_column(primary_key=True)
    failures: Mapped[int]
    first_at: Mapped[float]
    locked_until: Mapped[float | None]


class AuditEvent(Base):
    """Something worth knowing later: who did what to whom, when and from where. Outlives the people it names."""

    __tablename__ = "audit_events"
    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    at: Mapped[float]
    actor_id: Mapped[str | None]
    actor: Mapped[str]
    action: Mapped[str]
    target: Mapped[str | None]
    address: Mapped[str]
    agent: Mapped[str]
    details: Mapped[dict[str, Any]] = mapped_column(default=dict)


class Project(OwnedRow, Base):
    """A named shelf of one person's jobs and assets."""

    __tablename__ = "projects"
    __table_args__ = (UniqueConstraint("user_id", "name"),)
    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str]
    created_at: Mapped[float]


class JobFormat(Base):
    """What files may be stored: the media type and the largest size in bytes."""

    __tablename__ = "job_formats"
    name: Mapped[str] = mapped_column(primary_key=True)
    mime_type: Mapped[str]
    max_bytes: Mapped[int]


class JobQuality(Base):
    """The qualities that a job type can have."""

    __tablename__ = "job_qualities"
    name: Mapped[str] = mapped_column(primary_key=True)
    label: Mapped[str]


class Lane(Base):
    """The virtual clock of a lane's fair queue: the largest turn that was claimed so far."""

    __tablename__ = "lanes"
    name: Mapped[str] = mapped_column(primary_key=True)
    clock: Mapped[float] = mapped_column(default=0.0)


class ChangeCounter(Base):
    """One row: the number of the last change of any job. Taken inside each writing transaction, so that changes become
    visible in the order of their numbers and a follower who has seen number n has missed none below it."""

    __tablename__ = "change_counter"
    id: Mapped[int] = mapped_column(primary_key=True)
    last: Mapped[int] = mapped_column(default=0)


class Job(OwnedRow, Base):
    """One order and what became of it. `cost_s` is its run time as first expected, `turn` its place in the fair queue.

    While `processing`, `lease_token` names the claim that may write to the row; `lease_owner` the studio process that
    holds it. `revision` is the number of the row's last change.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        CheckConstraint("status in ('pending','processing','completed','failed','cancelled')", name="job_status"),
        UniqueConstraint("user_id", "idempotency_key"),
        Index("jobs_claim", "lane", "status", "turn"),
        Index("jobs_owner", "user_id", "id"),
        Index("jobs_owner_turn", "lane", "user_id", "turn"),
        Index("jobs_revision", "revision"),
        Index("jobs_lease", "status", "lease_expires_at"),
        Index("jobs_ended", "type", "status", "finished_at"),
    )
    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    project_id: Mapped[str | None] = mapped_column(ForeignKey("projects.id", ondelete="SET NULL"))
    type: Mapped[str]
    lane: Mapped[str]
    quality: Mapped[str] = mapped_column(ForeignKey("job_qualities.name"))
    status: Mapped[str] = mapped_column(default="pending")
    stage: Mapped[str] = mapped_column(default="queued")
    prompt: Mapped[str] = mapped_column(Text)
    negative_prompt: Mapped[str] = mapped_column(Text, default="")
    enhanced_prompt: Mapped[str | None] = mapped_column(Text)
    config: Mapped[dict[str, Any]]
    receipt: Mapped[dict[str, Any] | None]
    timings: Mapped[dict[str, Any]] = mapped_column(default=dict)
    attempt: Mapped[int] = mapped_column(default=0)
    worker_losses: Mapped[int] = mapped_column(default=0)
    turn: Mapped[float]
    cost_s: Mapped[float]
    created_at: Mapped[float]
    started_at: Mapped[float | None]
    finished_at: Mapped[float | None]
    not_before: Mapped[float | None]
    lease_token: Mapped[str | None]
    lease_owner: Mapped[str | None]
    lease_expires_at: Mapped[float | None]
    cancel_requested: Mapped[bool] = mapped_column(default=False, server_default=false())
    fraction: Mapped[float] = mapped_column(default=0.0)
    step: Mapped[int] = mapped_column(default=0)
    steps: Mapped[int] = mapped_column(default=0)
    preview: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    preview_number: Mapped[int] = mapped_column(default=0)
    error_code: Mapped[str | None]
    error_message: Mapped[str | None] = mapped_column(Text)
    idempotency_key: Mapped[str | None] = mapped_column(String(255))
    revision: Mapped[int]


class Asset(OwnedRow, Base):
    """One finished picture or film. (job_id, index) is unique: a job's assets exist exactly once."""

    __tablename__ = "assets"
    __table_args__ = (
        UniqueConstraint("job_id", "index"),
        Index("assets_owner", "user_id", "trashed_at", "id"),
        Index("assets_parent", "parent_id"),
    )
    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    project_id: Mapped[str | None] = mapped_column(ForeignKey("projects.id", ondelete="SET NULL"))
    parent_id: Mapped[str | None] = mapped_column(ForeignKey("assets.id", ondelete="SET NULL"))
    index: Mapped[int]
    kind: Mapped[str]
    format: Mapped[str] = mapped_column(ForeignKey("job_formats.name"))
    mime_type: Mapped[str]
    width: Mapped[int]
    height: Mapped[int]
    frames: Mapped[int | None]
    fps: Mapped[float | None]
    bytes: Mapped[int]
    sha256: Mapped[str]
    seed: Mapped[int] = mapped_column(BigInteger().with_variant(Integer(), "sqlite"))
    storage_key: Mapped[str]
    job_type: Mapped[str]
    prompt: Mapped[str] = mapped_column(Text)
    negative_prompt: Mapped[str] = mapped_column(Text)
    enhanced_prompt: Mapped[str | None] = mapped_column(Text)
    favourite: Mapped[bool] = mapped_column(default=False, server_default=false())
    rating: Mapped[int | None]
    tags: Mapped[list[str]] = mapped_column(default=list)
    created_at: Mapped[float]
    trashed_at: Mapped[float | None]


class Upload(OwnedRow, Base):
    """A reference picture or mask that a person brought, checked and kept as PNG."""

    __tablename__ = "uploads"
    __table_args__ = (Index("uploads_owner", "user_id"),)
    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    storage_key: Mapped[str]
    width: Mapped[int]
    height: Mapped[int]
    bytes: Mapped[int]
    created_at: Mapped[float]


class MemoryMeasurement(Base):
    """How much memory runs took, as a ratio to what was reckoned; `key` says of which model, device and plan."""

    __tablename__ = "memory_measurements"
    key: Mapped[str] = mapped_column(primary_key=True)
    ratio: Mapped[float]
    samples: Mapped[int]
    updated_at: Mapped[float]
