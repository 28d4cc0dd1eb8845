"""What the routes of limits and usage read and answer, as OpenAPI describes it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from studio.services.allowances import MOST
from studio.web.models import Answer

Limit = Annotated[int, Field(ge=0, le=MOST, strict=True)] | Literal["unlimited"] | None


class LimitChange(BaseModel):
    """Limits to set: a number, "unlimited", or null for what holds without a word of an admin's. What is left out
    stays."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    orders_per_minute: Limit = None
    pending_jobs: Limit = None
    running_jobs: Limit = None
    storage_mb: Limit = None
    gpu_minutes: Limit = None


class LimitsNow(Answer):
    """What somebody may use; null is no limit."""

    orders_per_minute: int | None = Field(description="orders, rewritings and uploads, each by itself")
    pending_jobs: int | None
    running_jobs: int | None = Field(description="of all lanes together")
    storage_mb: int | None = Field(description="in 2^20 bytes, the trash included")
    gpu_minutes: int | None = Field(description="in a calendar month, UTC")


class AllowanceAnswer(Answer):
    """The limits of a role or of one person."""

    subject: str = Field(description="member, guest, admin or a person's id")
    role: str
    user_id: str | None
    name: str
    granted: dict[str, int | None] = Field(description="what an admin set; null is no limit")
    allowed: LimitsNow = Field(description="what holds")


class GpuTime(Answer):
    gpu_s: float = Field(description="seconds for which a worker was busy")
    cost: float | None = Field(description="what they cost; null without a price in the settings")
    currency: str


class TypeUsage(GpuTime):
    job_type: str
    runs: int = Field(description="ended attempts")


class UsedNow(Answer):
    pending_jobs: int
    running_jobs: int
    storage_mb: float
    gpu_minutes: float = Field(description="in the present month")


class UsageAnswer(GpuTime):
    """One's own month, and what one uses and may use now."""

    month: str
    by_type: list[TypeUsage]
    used: UsedNow
    limits: LimitsNow
    resets_at: str = Field(description="when the GPU minutes begin anew")


class PersonUsage(GpuTime):
    user_id: str
    email: str | None
    display_name: str
    role: str
    runs: int
    storage_bytes: int


class EverybodysUsage(Answer):
    month: str
    items: list[PersonUsage]
