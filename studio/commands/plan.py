"""`python app.py plan`: what a card of any size keeps in memory, what gives way on it, and how each job runs there."""

from __future__ import annotations

import asyncio
import functools
import logging
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pipelines.contract import ModelMissing, OutOfMemory
from pipelines.footprint import RANK
from pipelines.plans import in_words
from queue_backend.ledger import GivingWay, Holding, Ledger, Need
from studio.catalog import REWRITING_LANE, Catalog
from studio.devices import CPU_SHARE, CUDA_SHARE, GB, memory_limit_bytes
from studio.models import build_catalog_of, checkpoint_of
from studio.orders import JobConfig
from studio.planning import Planned, Planner, largest_config, usual_config
from studio.services.memory_notes import MemoryNotes
from studio.settings import Settings

CPU = "cpu"
GIB = 2**30
WIDTH = 118
REWRITING = "rewriting a prompt"
LARGEST_FILM = "largest film"
NAMES = {"sdxl": "SDXL", "wan": "WAN", REWRITING_LANE: "Qwen"}
QUANTIZED = {None: "", "8bit": ", in 8 bits", "4bit": ", in 4 bits"}


@dataclass(frozen=True, kw_only=True)
class _Job:
    """A job to be walked through: its runs, one after the other, each planned when its turn comes."""

    name: str
    order: str
    legs: tuple[Callable[[], Planned], ...]


@dataclass(frozen=True, kw_only=True)
class Walked:
    """One kind of job after all the others have run: how it is planned, the most that the device then holds in bytes,
    and what gave way for it, in order. Without a plan, `problem` says why."""

    name: str
    order: str
    planned: Planned | None = None
    held_bytes: int = 0
    gave_way: tuple[str, ...] = ()
    problem: str = ""


def main(vram: str, settings: Settings) -> None:
    """Print the plan for a card of `vram` GB, or for this computer's memory for "cpu". Exits with a sentence for
    anything else. No card is needed: the published shapes of the models tell."""
    logging.getLogger("queue_backend.ledger").setLevel(logging.ERROR)
    try:
        planner, catalog = planner_for(vram, settings)
    except (ValueError, ModelMissing) as error:
        sys.exit(str(error))
    print("\n".join(report(vram, planner, asyncio.run(walk(planner, catalog)))))


def planner_for(vram: str, settings: Settings) -> tuple[Planner, Catalog]:
    """The planner of a card of `vram` GB, or "cpu", and its catalog: of the published models unless others are set; on
    a CPU of the demo models where STUDIO_MODELS=demo. Raises ValueError or ModelMissing."""
    if vram != CPU or settings.models != "demo":
        settings = settings.model_copy(update={"models": "full"})
        settings.__dict__.pop("uses_demo_models", None)  # what the original may have worked out already
    catalog = build_catalog_of(settings)
    planner = Planner(
        {lane: checkpoint_of(settings, lane) for lane in catalog.lanes},
        catalog,
        {CPU if vram == CPU else "cuda:0": _budget_bytes(vram, settings)},
        MemoryNotes(None),
        dtype=settings.dtype,
        quantization=settings.qwen_quantization,
        can_quantize=True,
        cache_dir=settings.models_path,
    )
    return planner, catalog


def _budget_bytes(vram: str, settings: Settings) -> int:
    if settings.device_budget_gb:
        return round(settings.device_budget_gb * GB)
    if vram == CPU:
        return round(memory_limit_bytes() * CPU_SHARE)
    try:
        gib = float(vram)
    except ValueError:
        gib = 0.0
    if not 0 < gib < float("inf"):
        raise ValueError(f"--vram is a number of GB such as 48, 24, 16 or 12, or cpu; not {vram!r}.")
    return round(gib * GIB * CUDA_SHARE)


class _Walk:
    """Runs on a ledger alone: nothing computes, and whoever is to give way does."""

    def __init__(self, planner: Planner) -> None:
        self._device = planner.device_of(0)
        self._held: dict[str, Holding] = {}
        self._gone: list[str] = []
        self._ledger = Ledger(planner.budgets, self._give_way)

    async def _give_way(self, going: GivingWay) -> Holding | None:
        names = ["process"] if going.whole else [_part_in_words(part) for part in going.parts]
        self._gone.extend(f"{NAMES[going.holder]} {name}" for name in names)
        held = self._held.pop(going.holder)
        if going.whole:
            return None
        left = {name: size for name, size in held.parts.items() if name not in going.parts}
        self._held[going.holder] = Holding(parts=left, context_bytes=held.context_bytes)
        return self._held[going.holder]

    async def run(self, job: _Job) -> Walked:
        self._gone.clear()
        for leg in job.legs:
            try:
                planned = leg()
            except OutOfMemory as error:
                return Walked(name=job.name, order=job.order, problem=str(error))
            held_bytes = await self._run(planned)
        gave_way = tuple(self._gone)
        return Walked(name=job.name, order=job.order, planned=planned, held_bytes=held_bytes, gave_way=gave_way)

    async def _run(self, planned: Planned) -> int:
        need = Need(
            device=self._device,
            holder=planned.lane,
            parts=planned.parts,
            working_bytes=planned.working_bytes,
            context_bytes=planned.context_bytes,
        )
        await self._ledger.reserve(need)
        status = self._ledger.status()[0]
        stayed = self._held.get(planned.lane) if planned.plan.residency == "resident" else None
        parts = {**(stayed.parts if stayed else {}), **{part.name: part.bytes for part in planned.parts}}
        self._held[planned.lane] = Holding(parts=parts, context_bytes=planned.context_bytes)
        self._ledger.settle(planned.lane, self._held[planned.lane])
        return status.held_bytes + status.working_bytes


async def walk(planner: Planner, catalog: Catalog) -> list[Walked]:
    """Run each type's usual job and the largest film, one after the other and twice: the second time each finds in
    memory what the others left. Returns the second round."""
    steps = _Walk(planner)
    jobs = [*_jobs(planner, catalog)]
    for job in jobs:
        await steps.run(job)
    return [await steps.run(job) for job in jobs]


def _jobs(planner: Planner, catalog: Catalog) -> Iterator[_Job]:
    yield _Job(name=REWRITING, order="one", legs=(planner.for_rewriting,))
    for kind in catalog.types.values():
        config = usual_config(kind, catalog)
        make = functools.partial(planner.for_job, kind, config)
        legs = (make,) if len(kind.lanes) == 1 else (planner.for_rewriting, make)
        yield _Job(name=kind.name, order=_order(config), legs=legs)
    films = [kind for kind in catalog.types.values() if kind.frames is not None]
    if films:
        config = largest_config(films[0], catalog)
        make = functools.partial(planner.for_job, films[0], config)
        yield _Job(name=LARGEST_FILM, order=_order(config), legs=(make,))


def report(vram: str, planner: Planner, walked: Sequence[Walked]) -> list[str]:
    """The lines to print."""
    return [
        *_device(vram, planner),
        "",
        *_models(planner),
        "",
        *_verdict(planner, walked),
        "",
        *_table(walked),
    ]


def _device(vram: str, planner: Planner) -> Iterator[str]:
    budget = _gb(planner.budget_bytes)
    if vram == CPU:
        yield f"This computer's memory, {_gb(memory_limit_bytes())}: the studio plans with {budget} of it."
    else:
        yield f"A card of {vram} GB, which are {_gb(float(vram) * GIB)} of 10^9 bytes: the studio plans with {budget}."


def _models(planner: Planner) -> Iterator[str]:
    for lane, checkpoint in planner.checkpoints.items():
        parts = planner.weights(lane)
        quantized = QUANTIZED[planner.qwen_quantization] if lane == REWRITING_LANE else ""
        name = f"{checkpoint.name}, {planner.dtype(lane)}{quantized}"
        each = ", ".join(f"{_part_in_words(part)} {_gb(size)}" for part, size in parts.items())
        yield f"{NAMES[lane]:<5} {name:<50} {_gb(sum(parts.values())):>8}   {each if len(parts) > 1 else ''}".rstrip()
    if planner.qwen_quantization and planner.device_kind == "cuda":
        yield f"{'':<5} (in fewer bits by the package bitsandbytes, without it whole)"
    contexts = [planner.context_bytes(lane) for lane in planner.checkpoints]
    yield f"{'':<5} {'their processes, besides':<50} {_gb(sum(contexts)):>8}"


def _verdict(planner: Planner, walked: Sequence[Walked]) -> Iterator[str]:
    resident_bytes = sum(
        sum(planner.weights(lane).values()) + planner.context_bytes(lane) for lane in planner.checkpoints
    )
    left_bytes = planner.budget_bytes - resident_bytes
    if not any(one.gave_way or one.problem for one in walked):
        yield (
            f"All models stay resident together: {_gb(resident_bytes)}, and {_gb(left_bytes)} are left to work in. "
            "Nothing is unloaded\nbetween jobs of different families."
        )
        return
    yield f"All models together are {_gb(resident_bytes)}: some give way when others work, and come back when needed."
    order = sorted((RANK[lane, part], lane, part) for lane in planner.checkpoints for part in planner.weights(lane))
    names = [f"{NAMES[lane]} {_part_in_words(part)}" for _, lane, part in order]
    yield from textwrap.wrap(f"In this order, until there is room: {', '.join(names)}; then idle processes.", WIDTH)


def _table(walked: Sequence[Walked]) -> Iterator[str]:
    yield "process: the most that the job's worker occupies; device: with what the others left in memory before it."
    yield ""
    yield f"{'job':<21} {'order':<19} {'process':>7} {'device':>7} rung  plan"
    for one in walked:
        if one.planned is None:
            yield f"{one.name:<21} {one.order:<19} {'-':>7} {'-':>7}    -  cannot run: {one.problem}"
            continue
        peaks, plan = f"{_gb(one.planned.peak_bytes):>7} {_gb(one.held_bytes):>7}", one.planned.plan
        yield f"{one.name:<21} {one.order:<19} {peaks} {plan.rung:>4}  {in_words(plan)}"
        if one.gave_way:
            indent = " " * 23
            yield from textwrap.wrap(
                f"gives way: {', '.join(one.gave_way)}", WIDTH, initial_indent=indent, subsequent_indent=indent
            )


def _order(config: JobConfig) -> str:
    size = f"{config.width}x{config.height}"
    return f"{size}, {config.frames} frames" if config.frames else f"{config.count} of {size}"


def _part_in_words(part: str) -> str:
    return part.replace("_", " ").replace("unet", "UNet").replace("vae", "VAE")


def _gb(count: float) -> str:
    return f"{count / GB:.1f} GB" if count >= GB / 10 else f"{count / GB * 1000:.0f} MB"
