"""Takes one job through: claim, request, run on a worker, store, deliver. A ticket of a lane ends here."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from pipelines.contract import GenerationRequest, Progress, Stage
from queue_backend.errors import RunFailed, WorkerLost
from queue_backend.mailbox import OnProgress
from studio.catalog import Catalog, JobType
from studio.orders import leg_span
from studio.services.announcing import Announcer
from studio.services.claims import Claim, LeaseLost
from studio.services.failures import public_failure
from studio.services.leases import JobLeases
from studio.services.legs import finished_leg, kind_of, request_facts
from studio.services.relay import Relay

if TYPE_CHECKING:
    from studio.services.delivery import Delivery
    from studio.services.enhancing import PromptRewriting
    from studio.services.planned_runs import PlannedRuns
    from studio.services.uploads import UploadService

log = logging.getLogger(__name__)

HAND_BACK_GRACE_S = 5.0
"""How long a stopped run may take to give its job back."""


class Execution:
    """Runs jobs, one leg at a time. Belongs to one event loop."""

    def __init__(
        self,
        *,
        leases: JobLeases,
        runs: PlannedRuns,
        delivery: Delivery,
        references: UploadService,
        catalog: Catalog,
        rewriting: PromptRewriting,
        scratch_root: Path,
        announcer: Announcer,
    ) -> None:
        self._leases = leases
        self._planned = runs
        self._delivery = delivery
        self._references = references
        self._catalog = catalog
        self._rewriting = rewriting
        self._scratch_root = scratch_root
        self._announcer = announcer
        self._stopping = False
        self._runs: set[asyncio.Task[bool]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._relays: dict[str, Relay] = {}

    def look_again(self, job_id: str) -> None:
        """The job was asked to stop. If it runs here, its wish is read at once. Any thread may call this."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._hurry, job_id)

    def _hurry(self, job_id: str) -> None:
        if (relay := self._relays.get(job_id)) is not None:
            relay.hurry()

    async def run_next(self, lane: str) -> bool:
        """Take the next job of `lane` to its end. False if there was none to take.

        A caller that goes away leaves the job running.
        """
        if self._stopping:
            return False
        self._loop = asyncio.get_running_loop()
        work = asyncio.create_task(self._claim_and_perform(lane), name=f"run_next {lane}")
        self._runs.add(work)
        work.add_done_callback(self._runs.discard)
        return await asyncio.shield(work)

    async def stop(self, grace_s: float) -> None:
        """Take no more jobs; let those that run finish for `grace_s` seconds, then give them back."""
        self._stopping = True
        if self._runs:
            await asyncio.wait(self._runs, timeout=grace_s)
        for run in self._runs:
            run.cancel()
        if self._runs:
            await asyncio.wait(self._runs, timeout=HAND_BACK_GRACE_S)

    async def _claim_and_perform(self, lane: str) -> bool:
        claiming = asyncio.ensure_future(asyncio.to_thread(self._leases.claim, lane))
        try:
            claim = await asyncio.shield(claiming)
        except asyncio.CancelledError:
            claim = await claiming
            if claim is not None:
                await self._write(claim, self._leases.hand_back, claim)
            raise
        if claim is None:
            return False
        log.info("Job %s (%s), attempt %d, begins.", claim.job_id, claim.type, claim.attempt)
        self._announcer.poke()
        try:
            await self._perform(claim)
        finally:
            self._announcer.poke()
        await self._offer_freed_place(claim)
        return True

    async def _offer_freed_place(self, claim: Claim) -> None:
        """A person's jobs that were passed over, since as many ran as may, have used up their tickets."""
        try:
            for lane in await asyncio.to_thread(self._leases.freed_by, claim):
                self._announcer(lane)
        except SQLAlchemyError:
            log.exception("Who may go on after job %s could not be read; the sweep looks again.", claim.job_id)

    async def _perform(self, claim: Claim) -> None:
        """Run a leg of the claimed job and record how it ended, whichever way."""
        relay = Relay(self._leases, claim, self._announcer.poke, lambda: self._planned.cancel(claim.lease_token))
        try:
            async with self._scratch(claim) as scratch, self._relaying(claim, relay):
                kind = kind_of(claim, self._catalog)
                next_lane = kind.lane_after(claim.lane)
                if next_lane is None:
                    await self._generate_and_deliver(claim, kind, scratch, relay)
                else:
                    await self._rewrite_and_pass_on(claim, kind, relay)
        except asyncio.CancelledError:
            log.info("Job %s is given back, since the studio stops.", claim.job_id)
            await self._write(claim, self._leases.hand_back, claim)
            raise
        except LeaseLost as lost:
            log.warning("%s Its result is dropped.", lost)
        # The edge of a job: whatever went wrong inside must end in its row and in the log, since nobody reads tickets.
        except Exception as error:
            await self._record_failure(claim, relay, error)

    async def _rewrite_and_pass_on(self, claim: Claim, kind: JobType, relay: Relay) -> None:
        """The first leg: its answer goes to the row, and the job to the lane of its engine."""
        request = self._rewriting.request(claim.job_id, claim.prompt, kind.kind)
        report = await self._reporting(claim, kind, relay)
        result = await self._planned.rewrite(
            claim.lease_token, request, on_progress=report, is_unwanted=relay.is_unwanted
        )
        await relay.flush(renew=True)
        if await self._has_ended(claim, relay):
            return
        timings = _timings(relay.timings, result.timings_s)
        leg = finished_leg(claim, result, timings, self._catalog, self._rewriting)
        await asyncio.to_thread(self._leases.pass_on, claim, leg)
        log.info("Job %s goes on to lane %s.", claim.job_id, leg.next_lane)
        self._announcer(leg.next_lane)

    async def _generate_and_deliver(self, claim: Claim, kind: JobType, scratch: Path, relay: Relay) -> None:
        request = await asyncio.to_thread(self._request, claim, kind, scratch)
        report = await self._reporting(claim, kind, relay)
        result = await self._planned.generate(
            claim.lease_token, request, kind, claim.config, on_progress=report, is_unwanted=relay.is_unwanted
        )
        await relay.report(Progress(stage=Stage.STORING, fraction=1.0))
        await relay.flush(renew=True)
        if await self._has_ended(claim, relay):
            return
        assets = await asyncio.to_thread(self._delivery.store, claim, result, kind)
        timings = _timings(relay.timings, result.timings_s)
        await asyncio.to_thread(self._leases.deliver, claim, assets, timings, result.receipt)
        log.info("Job %s is completed with %d assets.", claim.job_id, len(assets))

    async def _reporting(self, claim: Claim, kind: JobType, relay: Relay) -> OnProgress:
        """What takes the progress of this leg, as part of the whole job's."""
        span = leg_span(kind, claim.config, self._catalog.rules(kind), claim.lane)

        async def report(progress: Progress) -> None:
            await relay.report(replace(progress, fraction=span.within(progress.fraction)))

        # Until the pipeline says otherwise: a worker that starts first has this to be waited for as well.
        await report(Progress(stage=Stage.LOADING, fraction=0.0))
        return report

    async def _has_ended(self, claim: Claim, relay: Relay) -> bool:
        """Whether the job was asked to stop, which is then recorded. Raises LeaseLost."""
        if relay.lost:
            raise LeaseLost(f"Attempt {claim.attempt} of job {claim.job_id} lost its lease while it ran.")
        if relay.cancel_requested:
            await asyncio.to_thread(self._leases.cancelled, claim)
        return relay.cancel_requested

    def _request(self, claim: Claim, kind: JobType, scratch: Path) -> GenerationRequest:
        config = claim.config
        reference, mask = (
            None if media_id is None else self._references.path_for(claim.user_id, media_id, scratch)
            for media_id in (config.image, config.mask)
        )
        is_film = reference is not None and reference.suffix == ".mp4"
        return GenerationRequest(
            **request_facts(claim, kind),
            image=None if is_film else reference,
            mask=mask,
            video=reference if is_film else None,
            scratch=scratch,
        )

    async def _record_failure(self, claim: Claim, relay: Relay, error: Exception) -> None:
        if relay.lost:
            log.warning("Job %s had lost its lease when its run ended: %s", claim.job_id, error)
        elif isinstance(error, RunFailed) and error.code == "cancelled" and relay.cancel_requested:
            log.info("Job %s was stopped on request.", claim.job_id)
            await self._write(claim, self._leases.cancelled, claim)
        elif isinstance(error, WorkerLost) and self._stopping:
            log.info("Job %s is given back, since the studio stops.", claim.job_id)
            await self._write(claim, self._leases.hand_back, claim)
        else:
            inside = error.traceback if isinstance(error, RunFailed) else ""
            log.error("Job %s, attempt %d: %s\n%s", claim.job_id, claim.attempt, error, inside, exc_info=error)
            failure = public_failure(error)
            await self._write(
                claim, lambda: self._leases.fail(claim, failure.code, failure.message, transient=failure.transient)
            )

    async def _write(self, claim: Claim, write: Callable[..., None], *arguments: object) -> None:
        """Record the end of an attempt. What cannot be written is left to the lease, which runs out."""
        try:
            await asyncio.to_thread(write, *arguments)
        except LeaseLost as lost:
            log.warning("%s", lost)
        except SQLAlchemyError:
            log.exception("Job %s: the end of its attempt could not be written.", claim.job_id)

    @asynccontextmanager
    async def _scratch(self, claim: Claim) -> AsyncIterator[Path]:
        """A private folder for one attempt, gone afterwards."""
        folder = self._scratch_root / claim.lease_token
        await asyncio.to_thread(folder.mkdir, parents=True)
        try:
            yield folder
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    @asynccontextmanager
    async def _relaying(self, claim: Claim, relay: Relay) -> AsyncIterator[None]:
        task = asyncio.create_task(relay.run(), name=f"relay {claim.job_id}")
        self._relays[claim.job_id] = relay
        try:
            yield
        finally:
            if self._relays.get(claim.job_id) is relay:  # tried again in this very moment, the job has another
                del self._relays[claim.job_id]
            task.cancel()
            await asyncio.wait([task])


def _timings(seen_s: dict[str, float], told_s: dict[str, float]) -> dict[str, float]:
    """Seconds by "<stage>_s": as the pipeline measured them, and for the rest as seen from here. A worker's start
    belongs to loading, which the pipeline cannot know."""
    told = {name if name.endswith("_s") else f"{name}_s": seconds for name, seconds in told_s.items()}
    return {**seen_s, **told, "loading_s": max(seen_s.get("loading_s", 0.0), told.get("loading_s", 0.0))}
