"""One attempt at a job, as those who make it hold it. Plain data, so that it can travel to another machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from studio.database.schema import Job
from studio.orders import JobConfig


class LeaseLost(Exception):
    """The job is no longer this claim's: another took over, or it has ended. Nothing was written."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One attempt at one job. `lease_token` is new with every claim; `attempt` counts from 1."""

    job_id: str
    lease_token: str
    attempt: int
    type: str
    lane: str
    prompt: str
    negative_prompt: str
    enhanced_prompt: str | None
    config: JobConfig
    user_id: str
    project_id: str | None


@dataclass(frozen=True, kw_only=True)
class FinishedLeg:
    """What the rewriting of a prompt hands on. `enhanced_prompt` is None where the prompt is used as written; `timings`
    are seconds by stage; `next_cost_s` is the cost of the next leg."""

    enhanced_prompt: str | None
    receipt: Mapping[str, Any]
    timings: Mapping[str, float]
    next_lane: str
    next_cost_s: float


def claim_of(job: Job) -> Claim:
    """The claim of the attempt that holds `job`. Raises ValidationError for what another version wrote differently."""
    return Claim(
        job_id=job.id,
        lease_token=job.lease_token or "",
        attempt=job.attempt,
        type=job.type,
        lane=job.lane,
        prompt=job.prompt,
        negative_prompt=job.negative_prompt,
        enhanced_prompt=job.enhanced_prompt,
        config=JobConfig.model_validate(job.config),
        user_id=job.user_id,
        project_id=job.project_id,
    )
