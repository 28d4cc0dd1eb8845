"""A day's mixed jobs on cards of 48, 24 and 16 GB, and random ones with deaths and cancels, in virtual time."""

from __future__ import annotations

import asyncio
import functools
import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.checkpoints import Checkpoint, Kind
from pipelines.footprint import RANK, Work, footprint
from pipelines.plans import choose, ladder
from pipelines.shapes import Precision, Shapes, shapes_of
from queue_backend.ledger import Need, Part
from tests.unit.queue_backend.ledger_world import World, disturb, in_virtual_time

DEVICE = "cuda:0"
GB = 10**9
CONTEXT_GB = 0.5
USABLE = 0.94
CARDS_GB = {48: 51.5 * USABLE, 24: 25.8 * USABLE, 16: 17.2 * USABLE}
"""What nvidia-smi says of such cards (49140, 24564 and 16376 MiB), less what is left to others."""
JOBS_A_DAY = 400
DAY_S = 24 * 3600.0
SEQUENCES = 1000


@functools.cache
def shapes(role: str, quantization: str | None) -> Shapes:
    hub_ids = {
        "sdxl": "stabilityai/stable-diffusion-xl-base-1.0",
        "wan": "Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
        "qwen": "Qwen/Qwen2.5-7B-Instruct",
    }
    checkpoint = Checkpoint(role=role, name=hub_ids[role], kind=Kind.HUB, location=hub_ids[role], fingerprint="")
    # Not one that this machine happens to have: the published figures.
    return shapes_of(checkpoint, Precision(device_kind="cuda", quantization=quantization), cache_dir=Path("nowhere"))


def need(card: int, work: Work) -> Need:
    """What the most generous plan that fits the card alone asks for."""
    of_role = shapes(work.role, ("8bit" if card > 24 else "4bit") if work.role == "qwen" else None)
    alone_bytes = int((CARDS_GB[card] - CONTEXT_GB) * GB)
    plan = choose(ladder(work.role, work), lambda plan: footprint(of_role, work, plan), alone_bytes)
    occupied = footprint(of_role, work, plan)
    return Need(
        device=DEVICE,
        holder=f"{work.role}-0",
        parts=tuple(Part(name=name, bytes=count, rank=RANK[work.role, name]) for name, count in occupied.parts.items()),
        working_bytes=occupied.working_bytes,
        context_bytes=int(CONTEXT_GB * GB),
    )


@functools.cache
def kinds_of_jobs(card: int) -> dict[str, tuple[Need, float]]:
    """What each kind of run needs on the card, and about how many seconds it takes."""
    pictures = Work(role="sdxl", width=1024, height=1024, count=6)
    film = Work(role="wan", width=832, height=480, frames=81, film=True)
    return {
        "sdxl_fast": (need(card, replace(pictures, guided=False)), 4.0),
        "sdxl_high": (need(card, pictures), 20.0),
        "image": (need(card, Work(role="wan", width=832, height=480)), 3.0),
        "film_fast": (need(card, replace(film, guided=False)), 15.0),
        "film_high": (need(card, film), 70.0),
        "rewriting": (need(card, Work(role="qwen")), 4.0),
    }


def world_of(card: int, seed: int, *, failing: float = 0.0) -> World:
    return World({DEVICE: int(CARDS_GB[card] * GB)}, random.Random(seed), failing=failing)


async def run_jobs(world: World, card: int, count: int, within_s: float) -> None:
    """Jobs of random kinds at random times; the card has to see them all through."""

    async def later(at_s: float, kind: str) -> None:
        await asyncio.sleep(at_s)
        await world.run(*kinds[kind])

    kinds = kinds_of_jobs(card)
    async with asyncio.TaskGroup() as jobs:
        for _ in range(count):
            jobs.create_task(later(world.chance.uniform(0, within_s), world.chance.choice(sorted(kinds))))


@pytest.mark.parametrize("card", CARDS_GB)
@pytest.mark.parametrize("busy", [1, 20], ids=["calm", "rush"])
def test_a_days_jobs_are_all_done(card: int, busy: int):
    world = world_of(card, seed=busy)
    in_virtual_time(run_jobs(world, card, JOBS_A_DAY, DAY_S / busy))
    assert world.ended == {"finished": JOBS_A_DAY, "killed": 0, "cancelled": 0, "refused": 0}
    if card == 48:
        assert world.given_way == []
    else:
        assert ("model",) in {giving.parts for giving in world.given_way}
    if card == 24:
        assert not any(giving.whole or "vae" in giving.parts for giving in world.given_way)


def test_one_after_the_other_48_gb_keep_every_family():
    world = world_of(48, seed=0)

    async def in_turn() -> None:
        for _ in range(3):
            for each, duration_s in kinds_of_jobs(48).values():
                await world.run(each, duration_s)

    in_virtual_time(in_turn())
    assert world.given_way == []
    assert {holder.holder: set(holder.parts) for holder in world.ledger.status()[0].holders} == {
        "sdxl-0": {"text_encoders", "unet", "vae"},
        "wan-0": {"text_encoder", "transformer", "vae"},
        "qwen-0": {"model"},
    }


def test_on_16_gb_a_thousand_random_sequences_stay_within_the_budget_and_end():
    """Each with jobs at random, workers that die, people who cancel, and now and then a part that does not give way."""

    async def sequence(world: World) -> None:
        kinds = kinds_of_jobs(16)
        tasks = []
        for _ in range(world.chance.randint(5, 25)):
            tasks.append(asyncio.create_task(world.run(*world.chance.choice([*kinds.values()]))))
            await asyncio.sleep(world.chance.expovariate(1 / 10))
        await disturb(world, tasks, lambda: world.chance.expovariate(1 / 15))
        await asyncio.gather(*tasks, return_exceptions=True)
        world.check()
        for task in tasks:
            assert task.cancelled() or task.exception() is None
        for holder in sorted(world.workers):
            world.kill(holder)
        world.check_all_free()

    ended: dict[str, int] = {}
    for seed in range(SEQUENCES):
        world = world_of(16, seed, failing=0.05)
        in_virtual_time(sequence(world))
        ended = {how: count + ended.get(how, 0) for how, count in world.ended.items()}
    assert ended["finished"] > ended["killed"] > SEQUENCES / 10
    assert ended["cancelled"] > SEQUENCES / 10


sizes = st.integers(0, 60)
needs = st.builds(
    Need,
    device=st.sampled_from(["cuda:0", "cuda:1"]),
    holder=st.sampled_from(["a", "b", "c"]),
    parts=st.lists(
        st.builds(Part, name=st.sampled_from(["encoder", "core", "vae"]), bytes=sizes, rank=st.integers(0, 5)),
        max_size=3,
        unique_by=lambda part: part.name,
    ).map(tuple),
    working_bytes=sizes,
    context_bytes=st.integers(1, 10),
).map(lambda made: replace(made, holder=f"{made.holder} on {made.device}"))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    runs=st.lists(st.tuples(needs, st.floats(0, 30), st.floats(0, 10)), max_size=15),
    seed=st.integers(0, 2**16),
    failing=st.sampled_from([0.0, 0.3]),
    troubled=st.booleans(),
)
def test_whatever_is_asked_for_nothing_is_exceeded_stuck_overtaken_or_left_behind(
    runs: list[tuple[Need, float, float]], seed: int, failing: float, troubled: bool
):
    world = World({"cuda:0": 120, "cuda:1": 90}, random.Random(seed), failing=failing)

    async def all_of_them() -> None:
        tasks = []
        for each, duration_s, pause_s in runs:
            tasks.append(asyncio.create_task(world.run(each, duration_s)))
            await asyncio.sleep(pause_s)
        if troubled:
            await disturb(world, tasks, lambda: world.chance.expovariate(1 / 5))
        await asyncio.gather(*tasks, return_exceptions=True)
        world.check()
        for task in tasks:
            assert task.cancelled() or task.exception() is None
        for holder in sorted(world.workers):
            world.kill(holder)
        world.check_all_free()

    in_virtual_time(all_of_them())
    if not troubled and not failing:
        too_large = sum(each.total_bytes > world.budgets[each.device] for each, _, _ in runs)
        assert world.ended == {"finished": len(runs) - too_large, "killed": 0, "cancelled": 0, "refused": too_large}
