"""Runs on workers under a memory plan: chosen before, made smaller once after running out of memory, learned from."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import SQLAlchemyError

from pipelines.contract import GenerationRequest, GenerationResult, OutOfMemory, RewriteRequest, RewriteResult
from queue_backend.errors import RunFailed
from queue_backend.mailbox import OnProgress
from queue_backend.messages import Memory
from queue_backend.orchestrator import Orchestrator
from queue_backend.sharing import Demand
from studio.catalog import REWRITING_LANE, JobType
from studio.orders import JobConfig

if TYPE_CHECKING:
    from studio.planning import Planned, Planner
    from studio.services.memory_notes import MemoryNotes

log = logging.getLogger(__name__)

TRIED_SMALLER = "It was tried twice, the second time with a plan that needs less."


IsUnwanted = Callable[[], bool]


def _wanted() -> bool:
    return False


@dataclass(frozen=True, kw_only=True)
class _Work:
    """One run as its caller asked for it."""

    lane: str
    run_id: str
    on_progress: OnProgress
    is_unwanted: IsUnwanted


class PlannedRuns:
    """Plans each run, has it run, and tells the planner what it took."""

    def __init__(self, orchestrator: Orchestrator, planner: Planner, notes: MemoryNotes) -> None:
        self.orchestrator = orchestrator
        self._planner = planner
        self._notes = notes

    async def cancel(self, run_id: str) -> None:
        """Ask a run to stop; as the orchestrator's."""
        await self.orchestrator.cancel(run_id)

    async def rewrite(
        self, run_id: str, request: RewriteRequest, *, on_progress: OnProgress, is_unwanted: IsUnwanted = _wanted
    ) -> RewriteResult:
        """Rewrite a prompt. Raises RunError. `is_unwanted` is asked before the run begins: the orchestrator does not
        remember a cancel of a run that it has not seen."""
        planned = self._planner.for_rewriting()
        work = _Work(lane=REWRITING_LANE, run_id=run_id, on_progress=on_progress, is_unwanted=is_unwanted)
        result: RewriteResult = await self._run(work, request, planned)
        return result

    async def generate(
        self,
        run_id: str,
        request: GenerationRequest,
        kind: JobType,
        config: JobConfig,
        *,
        on_progress: OnProgress,
        is_unwanted: IsUnwanted = _wanted,
    ) -> GenerationResult:
        """Run `request` under the first plan that fits the device, and if that runs out of memory all the same, once
        more under the next smaller one; the result's receipt says so. `is_unwanted` as for `rewrite`. Raises RunError.
        """
        work = _Work(lane=kind.lanes[-1], run_id=run_id, on_progress=on_progress, is_unwanted=is_unwanted)
        planned = await self._plan(kind, config)
        try:
            return await self._generate(work, request, planned)
        except RunFailed as failed:
            if failed.code != "out_of_memory":
                raise
            try:
                smaller = await self._plan(kind, config, planned)
            except RunFailed:
                raise failed from None
            log.warning("Job %s ran out of memory under %s; it tries %s.", request.job_id, planned.plan, smaller.plan)
        try:
            result = await self._generate(work, request, smaller)
        except RunFailed as failed:
            if failed.code != "out_of_memory":
                raise
            sentence = f"{failed.message} {TRIED_SMALLER}"
            raise RunFailed(sentence, code=failed.code, traceback=failed.traceback) from failed
        return replace(result, receipt={**result.receipt, "out_of_memory_under": asdict(planned.plan)})

    async def _plan(self, kind: JobType, config: JobConfig, after: Planned | None = None) -> Planned:
        try:
            return await asyncio.to_thread(
                self._planner.for_job, kind, config, after=None if after is None else after.plan
            )
        except OutOfMemory as none_fits:
            raise RunFailed(str(none_fits), code=none_fits.code) from none_fits

    async def _generate(self, work: _Work, request: GenerationRequest, planned: Planned) -> GenerationResult:
        result: GenerationResult = await self._run(work, replace(request, plan=planned.plan), planned)
        return result

    async def _run(self, work: _Work, request: object, planned: Planned) -> Any:
        measured: list[Memory] = []
        demand = Demand(parts=planned.parts, working_bytes=planned.working_bytes, advice=planned.advice)
        if work.is_unwanted():
            raise RunFailed("The run was cancelled before it began.", code="cancelled")
        result = await self.orchestrator.run(
            work.lane, work.run_id, request, work.on_progress, demand=demand, on_memory=measured.append
        )
        if not measured:
            return result
        memory = measured[0]
        self._planner.learn(planned, memory.working_bytes, context_bytes=memory.context_bytes)
        try:
            await asyncio.to_thread(self._notes.save)
        except SQLAlchemyError:
            log.exception("What run %s took of memory could not be written; the next run tries again.", work.run_id)
        used = {
            "planned_bytes": planned.peak_bytes,
            "peak_bytes": memory.peak_bytes,
            "context_bytes": memory.context_bytes,
            "working_bytes": memory.working_bytes,
        }
        return replace(result, receipt={**result.receipt, "memory": used})
