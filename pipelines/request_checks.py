"""What every request for pictures or films must satisfy, whatever makes them. Torch-free."""

from __future__ import annotations

import math

from pipelines.checkpoints import Checkpoint
from pipelines.contract import GenerationRequest, InvalidRequest
from pipelines.recipes import QUALITIES

MAX_PICTURES = 6


def check_request(checkpoint: Checkpoint, request: GenerationRequest) -> None:
    """Raise InvalidRequest for what `checkpoint` cannot make, in a sentence that says what to change."""
    multiple = checkpoint.size_multiple_px
    if not 1 <= len(request.seeds) <= MAX_PICTURES:
        raise InvalidRequest(f"Ask for 1 to {MAX_PICTURES} pictures, not {len(request.seeds)}.")
    if min(request.width, request.height) < multiple or request.width % multiple or request.height % multiple:
        raise InvalidRequest(f"Width and height must be multiples of {multiple} pixels for {checkpoint.name}.")
    if request.steps < 1:
        raise InvalidRequest("At least one step is needed.")
    if request.quality not in QUALITIES:
        raise InvalidRequest(f"There is no quality {request.quality!r}. Choose one of {', '.join(QUALITIES)}.")
    if request.mask is not None and request.image is None:
        raise InvalidRequest("A mask needs the picture it belongs to.")
    if request.strength is not None and not 0 < request.strength <= 1:
        raise InvalidRequest("The strength must be above 0 and at most 1.")


def steps_at(steps: int, strength: float | None) -> int:
    """Return how many steps to plan. Few steps at low strength would leave nothing to do: at least one is to run."""
    return steps if strength is None else max(steps, math.ceil(1 / strength))
