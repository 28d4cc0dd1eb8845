"""The ladders of plans: how a run lives with less and less memory, and which rung a device allows. Torch-free."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pipelines.contract import Footprint, OutOfMemory, Plan
from pipelines.footprint import Work

SUB_BATCHES = (3, 2, 1)
"""How many pictures are denoised at once where all are too many."""


def ladder(role: str, work: Work) -> tuple[Plan, ...]:
    """Return the plans for `work` of `role` from the most generous to the most frugal; each keeps the savings before.

    SDXL: decoding works in the most memory, so tiles come first; then fewer pictures at once, text encoders that give
    way before denoising, and everything off the device but what computes. WAN: its text encoder is most of its bytes,
    so that goes before the VAE works tile by tile. Qwen has one plan. A plan's `rung` means the same for all work of a
    role; rungs that would change nothing for this `work` are left out.
    """
    if role == "sdxl":
        return _sdxl(work.count)
    if role == "wan":
        return (
            Plan(),
            Plan(rung=1, residency="encode_first"),
            Plan(rung=2, residency="encode_first", tiled=True),
            Plan(rung=3, residency="offload", tiled=True),
        )
    return (Plan(),)


def _sdxl(count: int) -> tuple[Plan, ...]:
    fewest = min(SUB_BATCHES) if count > min(SUB_BATCHES) else None
    smaller = tuple(
        Plan(rung=2 + index, tiled=True, sub_batch=size) for index, size in enumerate(SUB_BATCHES) if size < count
    )
    last = 2 + len(SUB_BATCHES)
    return (
        Plan(),
        Plan(rung=1, tiled=True),
        *smaller,
        Plan(rung=last, tiled=True, sub_batch=fewest, residency="encode_first"),
        Plan(rung=last + 1, tiled=True, sub_batch=fewest, residency="offload"),
    )


def choose(
    plans: Sequence[Plan], footprint_of: Callable[[Plan], Footprint], budget_bytes: int, from_rung: int = 0
) -> Plan:
    """Return the first of `plans` at `from_rung` or beyond that fits `budget_bytes` when the run has the device alone.

    Depends on nothing that changes while the studio runs, so the same order gets the same plan on the same card. Raises
    OutOfMemory, which says what is short, where none fits.
    """
    left = [plan for plan in plans if plan.rung >= from_rung]
    for plan in left:
        if footprint_of(plan).total_bytes <= budget_bytes:
            return plan
    if not left:
        raise OutOfMemory("The device ran out of memory, and there is no plan that needs less.")
    least_bytes = min(footprint_of(plan).total_bytes for plan in left)
    raise OutOfMemory(
        f"This needs {least_bytes / 1e9:.1f} GB of memory at least; the device has {budget_bytes / 1e9:.1f} GB for it."
    )


def in_words(plan: Plan) -> str:
    """Return `plan` as a person reads it."""
    words = {
        "resident": "everything stays",
        "encode_first": "text encoder leaves early",
        "offload": "each part only at work",
    }
    tiles = ["VAE in tiles"] if plan.tiled else []
    batch = [] if plan.sub_batch is None else [f"{plan.sub_batch} at a time"]
    return ", ".join([words[plan.residency], *batch, *tiles])
