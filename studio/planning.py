"""What each job needs of its device before it runs: its plan, what stays, what it works in; and learning from runs."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.acceleration import DtypeSwitch, dtype_of
from pipelines.checkpoints import Checkpoint
from pipelines.contract import Footprint, OutOfMemory, Plan
from pipelines.footprint import CONTEXT_BYTES, RANK, Work, footprint
from pipelines.plans import choose, in_words, ladder
from pipelines.shapes import Precision, Shapes, shapes_of
from queue_backend.ledger import Part
from studio.catalog import REWRITING_LANE, Catalog, JobType
from studio.devices import device_budgets, device_kind
from studio.models import checkpoint_of
from studio.orders import JobConfig
from studio.settings import Settings

if TYPE_CHECKING:
    from studio.services.memory_notes import MemoryNotes

__all__ = ["ADVICE", "Planned", "Planner", "device_budgets", "largest_config", "planner_of", "usual_config"]

QUANTIZATIONS = (None, "8bit", "4bit")
"""From the best to the smallest."""
LEAST_RATIO = 0.5
"""A run may turn out to need less than was reckoned; less than this share is not believed of the next."""
ADVICE = {
    "sdxl": "Ask for fewer or smaller pictures, or run on a device with more memory.",
    "wan": "Ask for a smaller or shorter film, or run on a device with more memory.",
    REWRITING_LANE: "Set STUDIO_QWEN_QUANTIZATION=4bit or STUDIO_QWEN_MODEL to a smaller model.",
}


@dataclass(frozen=True, kw_only=True)
class Planned:
    """How one run is to live with the memory of its device, in bytes: `parts` stay when it has ended, `working_bytes`
    come on top while it runs, `context_bytes` is its process besides. `reckoned_bytes` are the working bytes before
    anything was learned, which is kept under `key`; `advice` is for its person where the device is too small."""

    lane: str
    plan: Plan
    parts: tuple[Part, ...]
    working_bytes: int
    context_bytes: int
    reckoned_bytes: int
    key: str
    advice: str

    @property
    def peak_bytes(self) -> int:
        """The most that its process is expected to occupy."""
        return sum(part.bytes for part in self.parts) + self.working_bytes + self.context_bytes


class Planner:
    """Plans runs on one kind of device of `budget_bytes` each. `checkpoints` are by lane; `notes` is what was learned.

    `quantization` is the setting for Qwen; None leaves the choice to `qwen_quantization`, where `can_quantize`.
    """

    def __init__(
        self,
        checkpoints: Mapping[str, Checkpoint],
        catalog: Catalog,
        budgets: Mapping[str, int],
        notes: MemoryNotes,
        *,
        dtype: DtypeSwitch = "auto",
        quantization: str | None = None,
        can_quantize: bool = False,
        cache_dir: Path | None = None,
    ) -> None:
        self.checkpoints = checkpoints
        self._catalog = catalog
        self._notes = notes
        self.budgets = budgets
        self.device_kind = device_kind(next(iter(budgets)))
        # Any worker of a lane may take a job, so what is planned must fit the smallest card.
        self.budget_bytes = min(budgets.values())
        self._precision = Precision(device_kind=self.device_kind, dtype=dtype)
        self._cache_dir = cache_dir
        self._shapes = {lane: self._shapes_of(lane, None) for lane in checkpoints}
        self.qwen_quantization = quantization or (self._best_quantization() if can_quantize else None)
        self._shapes[REWRITING_LANE] = self._shapes_of(REWRITING_LANE, self.qwen_quantization)

    def device_of(self, index: int) -> str:
        """The device of the worker `index` of any lane: the cards in turn."""
        return list(self.budgets)[index % len(self.budgets)]

    def for_job(self, kind: JobType, config: JobConfig, *, after: Plan | None = None) -> Planned:
        """The plan of a job's last leg. `after` is a plan that ran out of memory: a smaller one is chosen.

        Raises OutOfMemory with advice where the device is too small, or no smaller plan is left.
        """
        return self._planned(self._work(kind, config), after)

    def for_rewriting(self) -> Planned:
        """The same for the rewriting of a prompt."""
        return self._planned(Work(role=REWRITING_LANE), None)

    def dtype(self, lane: str) -> str:
        """The precision that the lane's model computes in, by name."""
        return dtype_of(lane, self.device_kind, self._precision.dtype)

    def context_bytes(self, lane: str) -> int:
        """What a worker process of `lane` is expected to occupy besides weights."""
        return round(CONTEXT_BYTES[self.device_kind, lane] * self._notes.ratio(self._context_key(lane)))

    def weights(self, lane: str) -> Mapping[str, int]:
        """The bytes of the lane's model on the device, by part."""
        return self._shapes[lane].parts

    def learn(self, planned: Planned, measured_working_bytes: int, *, context_bytes: int | None = None) -> None:
        """Remember what a run took. A larger figure holds at once, a smaller one little by little. Writes nothing to
        the database: `MemoryNotes.save` does."""
        ratio = measured_working_bytes / planned.reckoned_bytes
        # Under the other residencies a prompt that was in the cache spares the peak, and says nothing of the next.
        least = LEAST_RATIO if planned.plan.residency == "resident" else 1.0
        self._notes.note(planned.key, max(ratio, least))
        if context_bytes is not None:
            self._notes.note(
                self._context_key(planned.lane), context_bytes / CONTEXT_BYTES[self.device_kind, planned.lane]
            )

    def _work(self, kind: JobType, config: JobConfig) -> Work:
        distilled = self.checkpoints[kind.engine].few_step is not None
        return Work(
            role=kind.engine,
            width=config.width,
            height=config.height,
            frames=config.frames or 1,
            count=config.count,
            guided=config.guidance > 1,
            film=config.frames is not None,
            few_step=distilled and kind.quality == "fast",
        )

    def _planned(self, work: Work, after: Plan | None) -> Planned:
        lane = work.role
        try:
            plan = self._choose(work, after)
        except OutOfMemory as error:
            raise OutOfMemory(f"{error} {ADVICE[lane]}") from error
        reckoned, learned = self._reckoned(work, plan), self._learned(work, plan)
        context_bytes = self.context_bytes(lane)
        room_bytes = self.budget_bytes - context_bytes - sum(reckoned.parts.values())
        parts = tuple(Part(name=name, bytes=size, rank=RANK[lane, name]) for name, size in reckoned.parts.items())
        return Planned(
            lane=lane,
            plan=plan,
            parts=parts,
            working_bytes=max(0, min(learned.working_bytes, room_bytes)),
            context_bytes=context_bytes,
            reckoned_bytes=reckoned.working_bytes,
            key=self._key(work, plan),
            advice=f"The device has too little memory for this ({in_words(plan)}). {ADVICE[lane]}",
        )

    def _choose(self, work: Work, after: Plan | None) -> Plan:
        plans = ladder(work.role, work)
        if after is not None:
            spent_bytes = self._reckoned(work, after).total_bytes
            plans = tuple(
                plan
                for plan in plans
                if plan.rung > after.rung and self._reckoned(work, plan).total_bytes < spent_bytes
            )
        # What is reckoned never changes, and so neither does an order's plan, unless a run has shown that it is too
        # large: what was learned makes plans smaller, never larger, and no job impossible.
        room_bytes = self.budget_bytes - CONTEXT_BYTES[self.device_kind, work.role]
        reckoned = choose(plans, lambda plan: self._reckoned(work, plan), room_bytes)
        room_bytes = self.budget_bytes - self.context_bytes(work.role)
        try:
            return choose(plans, lambda plan: self._learned(work, plan), room_bytes, reckoned.rung)
        except OutOfMemory:
            return plans[-1]

    def _reckoned(self, work: Work, plan: Plan) -> Footprint:
        return footprint(self._shapes[work.role], work, plan)

    def _learned(self, work: Work, plan: Plan) -> Footprint:
        reckoned = self._reckoned(work, plan)
        working_bytes = round(reckoned.working_bytes * self._notes.ratio(self._key(work, plan)))
        return Footprint(parts=reckoned.parts, working_bytes=working_bytes)

    def _key(self, work: Work, plan: Plan) -> str:
        made = "text" if work.role == REWRITING_LANE else "film" if work.film else "picture"
        return f"{self.checkpoints[work.role].fingerprint}:{self.device_kind}:{made}:{plan.rung}"

    def _context_key(self, lane: str) -> str:
        return f"{self.checkpoints[lane].fingerprint}:{self.device_kind}:context"

    def _shapes_of(self, lane: str, quantization: str | None) -> Shapes:
        precision = Precision(
            device_kind=self._precision.device_kind, dtype=self._precision.dtype, quantization=quantization
        )
        return shapes_of(self.checkpoints[lane], precision, cache_dir=self._cache_dir)

    def _best_quantization(self) -> str | None:
        """The best precision of Qwen with which all models stay resident beside the largest usual peak; the smallest
        where none does, since it is what comes and goes most often."""
        if self.device_kind == "cpu":
            return None
        others = [lane for lane in self.checkpoints if lane != REWRITING_LANE]
        resident_bytes = sum(sum(self._shapes[lane].parts.values()) for lane in others)
        context_bytes = sum(self.context_bytes(lane) for lane in self.checkpoints)
        room_bytes = self.budget_bytes - resident_bytes - context_bytes - self._largest_usual_peak_bytes()
        for quantization in QUANTIZATIONS:
            if sum(self._shapes_of(REWRITING_LANE, quantization).parts.values()) <= room_bytes:
                return quantization
        return QUANTIZATIONS[-1]

    def _largest_usual_peak_bytes(self) -> int:
        """Of the jobs of every type: pictures as their presets have them, films at the largest size that is offered."""
        peaks = []
        for kind in self._catalog.types.values():
            config_of = largest_config if kind.frames is not None else usual_config
            config = config_of(kind, self._catalog)
            peaks.append(self._reckoned(self._work(kind, config), Plan()).working_bytes)
        return max(peaks)


def usual_config(kind: JobType, catalog: Catalog) -> JobConfig:
    """What a job of `kind` runs with where its order is silent."""
    rules = catalog.rules(kind)
    return JobConfig(
        width=rules.width,
        height=rules.height,
        steps=kind.defaults.steps,
        guidance=kind.defaults.guidance,
        seed=0,
        count=kind.default_count,
        scheduler=kind.defaults.scheduler,
        frames=kind.frames.native if kind.frames else None,
        fps=kind.frames.fps if kind.frames else None,
    )


def largest_config(kind: JobType, catalog: Catalog) -> JobConfig:
    """The same at the largest size that is offered, in the native shape."""
    rules = catalog.rules(kind)
    size = {"width": rules.largest, "height": rules.snap(rules.max_area / rules.largest)}
    return usual_config(kind, catalog).model_copy(update=size)


def planner_of(settings: Settings, catalog: Catalog, notes: MemoryNotes) -> Planner:
    """The planner of the settings' checkpoints on the devices of this machine. Raises ModelMissing."""
    return Planner(
        {lane: checkpoint_of(settings, lane) for lane in catalog.lanes},
        catalog,
        device_budgets(settings),
        notes,
        dtype=settings.dtype,
        quantization=settings.qwen_quantization,
        can_quantize=importlib.util.find_spec("bitsandbytes") is not None,
        cache_dir=settings.models_path,
    )
