"""What a leg of a job asks of its worker, and what is made of the answer: the same for workers here and elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from pipelines.contract import RewriteResult
from studio.catalog import Catalog, JobType
from studio.errors import InvalidInput
from studio.media.storage import MAX_ENCODED_FILM_BYTES
from studio.orders import cost_s
from studio.services.claims import Claim, FinishedLeg

if TYPE_CHECKING:
    from studio.services.announcing import Announcer
    from studio.services.delivery import Delivery
    from studio.services.enhancing import PromptRewriting
    from studio.services.uploads import UploadService


class Workbench(TypedDict):
    """What running jobs takes, whether here (`Execution`) or elsewhere (`RemoteWork`)."""

    delivery: Delivery
    references: UploadService
    catalog: Catalog
    rewriting: PromptRewriting
    scratch_root: Path
    announcer: Announcer


def kind_of(claim: Claim, catalog: Catalog) -> JobType:
    """The job type of `claim`. Raises InvalidInput where this studio does not have it."""
    kind = catalog.types.get(claim.type)
    if kind is None:
        raise InvalidInput(f"This studio does not make {claim.type} any more.")
    return kind


def request_facts(claim: Claim, kind: JobType) -> dict[str, Any]:
    """The fields of a GenerationRequest that follow from the job alone: all but its files, folder and plan."""
    config = claim.config
    return {
        "job_id": claim.job_id,
        "quality": kind.quality,
        "prompt": claim.enhanced_prompt or claim.prompt,
        "negative_prompt": claim.negative_prompt,
        "width": config.width,
        "height": config.height,
        "steps": config.steps,
        "guidance": config.guidance,
        "seeds": config.seeds,
        "scheduler": config.scheduler,
        "strength": config.strength,
        "frames": config.frames or 1,
        "fps": config.fps,
        "max_bytes": MAX_ENCODED_FILM_BYTES,
    }


def finished_leg(
    claim: Claim, result: RewriteResult, timings: Mapping[str, float], catalog: Catalog, rewriting: PromptRewriting
) -> FinishedLeg:
    """What the rewriting of the prompt hands on to the next lane. Raises InvalidInput where there is none."""
    kind = kind_of(claim, catalog)
    next_lane = kind.lane_after(claim.lane)
    if next_lane is None:
        raise InvalidInput(f"No prompt is rewritten in the lane {claim.lane}.")
    enhanced, note = rewriting.settle(result, claim.prompt, claim.negative_prompt)
    return FinishedLeg(
        enhanced_prompt=enhanced,
        receipt={**result.receipt, "note": note},
        timings=timings,
        next_lane=next_lane,
        next_cost_s=cost_s(kind, claim.config, catalog.rules(kind), next_lane),
    )
