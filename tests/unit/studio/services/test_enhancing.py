"""Prompts that people wait for: nobody takes every place, and the GPU time is theirs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import select

from pipelines.contract import Progress, RewriteRequest, RewriteResult, Stage
from queue_backend.errors import RunFailed
from studio.database.limit_tables import GpuUsage
from studio.errors import RateLimited, Unavailable
from studio.services.enhancing import MAX_EACH, EnhancingService, PromptRewriting
from studio.services.gpu_ledger import Price
from studio.services.planned_runs import PlannedRuns
from studio.services.policy import ContentPolicy
from studio.services.usage import UsageService


class HeldRuns(PlannedRuns):
    """Runs that begin and end when the test says so: a worker whose time stands still."""

    def __init__(self) -> None:
        self.begin, self.end = asyncio.Event(), asyncio.Event()

    async def rewrite(self, run_id: str, request: RewriteRequest, *, on_progress: Any, **_: Any) -> RewriteResult:
        await self.begin.wait()
        await on_progress(Progress(stage=Stage.ENHANCING, fraction=0.5, text="a boat in"))
        await self.end.wait()
        if "impossible" in request.prompt:
            raise RunFailed("It cannot be written.", code="internal")
        return RewriteResult(prompt="a boat in soft light", note=None, timings_s={}, receipt={})


@pytest.fixture
def runs() -> HeldRuns:
    return HeldRuns()


@pytest.fixture
def enhancing(desk, runs) -> EnhancingService:
    usage = UsageService(desk.database, desk.allowances, Price())
    return EnhancingService(runs, PromptRewriting(ContentPolicy(), "en"), desk.limits, usage)


def ledger(desk: Any) -> list[tuple[str, str, str]]:
    with desk.database.as_system(write=False) as session:
        rows = session.scalars(select(GpuUsage).order_by(GpuUsage.id)).all()
    assert all(row.job_id is None and row.lane == "qwen" and row.seconds >= 0 for row in rows)
    return [(row.user_id, row.job_type, row.outcome) for row in rows]


async def test_one_person_waits_for_a_few_rewritings_and_leaves_places_to_others(desk, enhancing, runs):
    mine = [asyncio.create_task(enhancing.enhance(desk.alice, "a boat", "image")) for _ in range(MAX_EACH)]
    await asyncio.sleep(0)

    with pytest.raises(RateLimited, match="3 prompts of yours are being rewritten"):
        await enhancing.enhance(desk.alice, "a boat", "image")
    theirs = asyncio.create_task(enhancing.enhance(desk.bob, "a boat", "image"))
    runs.begin.set()
    runs.end.set()
    answers = await asyncio.gather(*mine, theirs)
    assert {answer["enhanced_prompt"] for answer in answers} == {"a boat in soft light"}
    assert (await enhancing.enhance(desk.alice, "a boat", "image"))["enhanced_prompt"]


async def test_a_rewriting_is_in_the_ledger_of_who_waited_for_it(desk, enhancing, runs):
    runs.begin.set()
    runs.end.set()
    await enhancing.enhance(desk.alice, "a boat", "image")
    with pytest.raises(Unavailable):
        await enhancing.enhance(desk.bob, "an impossible boat", "image")

    assert ledger(desk) == [
        (desk.alice.id, "enhance_prompt", "completed"),
        (desk.bob.id, "enhance_prompt", "failed"),
    ]


async def test_who_turns_away_pays_for_what_a_worker_did_and_not_for_the_wait(desk, enhancing, runs):
    waiting = enhancing.stream(desk.alice, "a boat", "image")
    step = asyncio.create_task(anext(waiting))
    await asyncio.sleep(0.05)
    step.cancel()
    await asyncio.wait([step])
    await waiting.aclose()
    assert ledger(desk) == []

    runs.begin.set()
    growing = enhancing.stream(desk.alice, "a boat", "image")
    assert (await anext(growing)).text == "a boat in"
    await growing.aclose()
    assert ledger(desk) == [(desk.alice.id, "enhance_prompt", "cancelled")]
