"""A planner for studios whose workers hold no models: every run needs nothing, under as many plans as a test wants."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from pipelines.contract import OutOfMemory, Plan
from queue_backend.ledger import Part
from studio.catalog import JobType
from studio.orders import JobConfig

LADDER = (Plan(), Plan(rung=1, sub_batch=1), Plan(rung=2, sub_batch=1, tiled=True))


@dataclass(frozen=True, kw_only=True)
class Weightless:
    """As studio.planning.Planned."""

    plan: Plan = LADDER[0]
    parts: tuple[Part, ...] = ()
    working_bytes: int = 0
    advice: str = "Ask for less."
    peak_bytes: int = 0


class WeightlessPlanner:
    """As studio.planning.Planner. `learned` holds what it was told: working and context bytes. `asked` is set once a
    plan is wanted, which is given when it `may_answer`."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.learned: list[tuple[Plan, int, int]] = []

    def for_job(self, kind: JobType, config: JobConfig, *, after: Plan | None = None) -> Weightless:
        self.asked.set()
        self.may_answer.wait(60)
        rung = 0 if after is None else after.rung + 1
        if rung >= len(LADDER):
            raise OutOfMemory("Ask for less.")
        return Weightless(plan=LADDER[rung])

    def for_rewriting(self) -> Weightless:
        return Weightless()

    def learn(self, planned: Weightless, working_bytes: int, *, context_bytes: int) -> None:
        self.learned.append((planned.plan, working_bytes, context_bytes))
