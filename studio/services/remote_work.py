"""The studio's side of workers on other machines: they claim, report and deliver over HTTPS, and hold no key of the
database or the storage. What they bring goes the same way as local work: `Delivery.store`, then `JobLeases.deliver`.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from pipelines.contract import Artifact, GenerationResult, Progress, RewriteResult
from queue_backend.errors import RunFailed
from studio.catalog import Catalog, JobType
from studio.database.schema import new_id
from studio.errors import Conflict, InvalidInput, StudioError
from studio.orders import leg_span
from studio.services.claims import Claim, LeaseLost
from studio.services.failures import public_failure
from studio.services.legs import finished_leg, kind_of, request_facts
from studio.services.worker_events import (
    CancelledEvent,
    ClaimEvent,
    CompletedEvent,
    DeliveredFile,
    EndEvent,
    FailedEvent,
    ProgressEvent,
    RewrittenEvent,
)

if TYPE_CHECKING:
    from studio.services.announcing import Announcer
    from studio.services.delivery import Delivery
    from studio.services.enhancing import PromptRewriting
    from studio.services.remote_leases import RemoteLeases
    from studio.services.uploads import UploadService
    from studio.services.worker_reports import WorkerReports

log = logging.getLogger(__name__)

PIECE_BYTES = 1024 * 1024
SUFFIXES = {"image/png": "png", "video/mp4": "mp4"}
Files = Mapping[int, BinaryIO]
Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class RemoteClaim:
    """A claim for a worker elsewhere. `request` has the fields of a GenerationRequest or RewriteRequest but its files;
    `references` says which files of the person's it begins with: "image" or "video", and "mask"."""

    claim: Claim
    lease_s: float
    request: Json
    references: tuple[str, ...]


class RemoteWork:
    """What may be done in the name of a worker, once its signature was found true. Methods block."""

    def __init__(
        self,
        *,
        leases: RemoteLeases,
        delivery: Delivery,
        references: UploadService,
        catalog: Catalog,
        rewriting: PromptRewriting,
        announcer: Announcer,
        scratch_root: Path,
        reports: WorkerReports,
    ) -> None:
        self._leases = leases
        self._delivery = delivery
        self._references = references
        self._catalog = catalog
        self._rewriting = rewriting
        self._announcer = announcer
        self._scratch_root = scratch_root
        self.reports = reports

    def claim(self, event: ClaimEvent) -> RemoteClaim | None:
        """The next job of the lane, if one waits. Raises InvalidInput for a lane that there is not."""
        if event.lane not in self._catalog.lanes:
            raise InvalidInput(f"There is no such lane. The lanes are: {', '.join(self._catalog.lanes)}.", field="lane")
        while (claim := self._leases.claim(event.lane)) is not None:
            log.info("Job %s (%s), attempt %d, begins at %r.", claim.job_id, claim.type, claim.attempt, event.worker)
            self._announcer.poke()
            try:
                return self._described(claim)
            except StudioError as error:  # such as a reference that was deleted since the order
                self._record_failure(claim, error)
        return None

    def progress(self, event: ProgressEvent) -> bool:
        """Keep the lease and write the progress down. True asks to stop. Raises Conflict for a lost lease."""
        with self._lost_is_conflict(event.job_id):
            claim = self._leases.held(event.job_id, event.lease_token)
            kind = kind_of(claim, self._catalog)
            span = leg_span(kind, claim.config, self._catalog.rules(kind), claim.lane)
            progress = Progress(
                stage=event.stage,
                fraction=span.within(event.fraction),
                step=event.step,
                steps=event.steps,
                preview=event.preview,
            )
            wish = self._leases.renew(claim, progress, event.timings)
        self._announcer.poke()
        return wish

    def end(self, report_id: str, event: EndEvent, files: Files) -> Json:
        """Record how the leg ended, with its `files` by index. Returns how the job stands then: its `status`, and the
        `error` of a delivery that could not be taken. The same end of the same lease gets the same answer.

        Raises Conflict for a lost lease, InvalidInput for files that are not the announced ones.
        """
        earlier = self.reports.answered(event.lease_token, event.event)
        if earlier is not None:
            return earlier
        with self._lost_is_conflict(event.job_id):
            claim = self._leases.held(event.job_id, event.lease_token)
            answer = self._end(claim, event, files)
        self.reports.ended(report_id, event.lease_token, answer)
        for lane in {claim.lane, *self._leases.freed_by(claim)}:
            self._announcer(lane)
        return answer

    def reference(self, job_id: str, lease_token: str, which: str) -> tuple[str, Iterator[bytes]]:
        """Media type and content of a file that the job of this lease begins with.

        Raises Conflict for a lost lease, NotFound where there is no such file any more.
        """
        with self._lost_is_conflict(job_id):
            claim = self._leases.held(job_id, lease_token)
        media_id = claim.config.mask if which == "mask" else claim.config.image
        return self._references.stream_for(claim.user_id, media_id or "")

    def _end(self, claim: Claim, event: EndEvent, files: Files) -> Json:
        match event:
            case CompletedEvent():
                return self._complete(claim, event, files)
            case RewrittenEvent():
                result = RewriteResult(
                    prompt=event.prompt, note=event.note, timings_s=event.timings, receipt=event.receipt
                )
                leg = finished_leg(claim, result, event.timings, self._catalog, self._rewriting)
                self._leases.pass_on(claim, leg)
                self._announcer(leg.next_lane)
            case FailedEvent():
                failed = RunFailed(event.message, code=event.code, transient=event.transient)
                self._record_failure(claim, failed)
            case CancelledEvent():
                if not self._leases.renew(claim, None, {}):
                    raise InvalidInput("Nobody asked for this job to stop. Hand it back instead.", field="event")
                self._leases.cancelled(claim)
            case _:
                self._leases.hand_back(claim)
        log.info("Job %s, attempt %d: %s by its worker elsewhere.", claim.job_id, claim.attempt, event.event)
        return {"status": self._leases.status(claim.job_id), "error": None}

    def _complete(self, claim: Claim, event: CompletedEvent, files: Files) -> Json:
        kind = kind_of(claim, self._catalog)
        if kind.lane_after(claim.lane) is not None:
            raise InvalidInput(f"In the lane {claim.lane} a prompt is rewritten; nothing is delivered.", field="event")
        with self._scratch(claim) as scratch:
            result = GenerationResult(
                artifacts=tuple(_artifact(file, files, scratch) for file in event.files),
                timings_s=dict(event.timings),
                receipt=event.receipt,
            )
            if self._leases.renew(claim, None, {}):
                self._leases.cancelled(claim)
                return {"status": "cancelled", "error": None}
            return self._deliver(claim, kind, result)

    def _deliver(self, claim: Claim, kind: JobType, result: GenerationResult) -> Json:
        try:
            assets = self._delivery.store(claim, result, kind)
        except StudioError as error:
            self._record_failure(claim, error)
            return {"status": self._leases.status(claim.job_id), "error": error.as_json()}
        self._leases.deliver(claim, assets, result.timings_s, result.receipt)
        log.info("Job %s is completed with %d assets by a worker elsewhere.", claim.job_id, len(assets))
        return {"status": "completed", "error": None}

    def _record_failure(self, claim: Claim, error: Exception) -> None:
        log.error("Job %s, attempt %d, elsewhere: %s", claim.job_id, claim.attempt, error)
        failure = public_failure(error)
        self._leases.fail(claim, failure.code, failure.message, transient=failure.transient)

    def _described(self, claim: Claim) -> RemoteClaim:
        kind = kind_of(claim, self._catalog)
        if kind.lane_after(claim.lane) is not None:
            asked = self._rewriting.request(claim.job_id, claim.prompt, kind.kind)
            request = {name: getattr(asked, name) for name in ("job_id", "prompt", "kind", "language", "seed")}
            return RemoteClaim(claim=claim, lease_s=self._leases.lease_s, request=request, references=())
        references = []
        if claim.config.image is not None:
            mime_type = self._references.mime_type(claim.user_id, claim.config.image)
            references.append("video" if mime_type == "video/mp4" else "image")
        if claim.config.mask is not None:
            references.append("mask")
        return RemoteClaim(
            claim=claim, lease_s=self._leases.lease_s, request=request_facts(claim, kind), references=tuple(references)
        )

    @contextmanager
    def _scratch(self, claim: Claim) -> Iterator[Path]:
        folder = self._scratch_root / f"{claim.lease_token}.{new_id()}"  # the same delivery may come twice at once
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @staticmethod
    @contextmanager
    def _lost_is_conflict(job_id: str) -> Iterator[None]:
        try:
            yield
        except LeaseLost as lost:
            log.warning("A worker elsewhere reported on job %.64r without its lease: %s", job_id, lost)
            raise Conflict("The lease of this job has expired or was lost. Drop the work and claim anew.") from lost


def _artifact(file: DeliveredFile, files: Files, scratch: Path) -> Artifact:
    """Lay a delivered file out and hold it to what was signed. Raises InvalidInput."""
    content = files.get(file.index)
    name = f"file{file.index}"
    if content is None:
        raise InvalidInput(f"The form has no part {name}, which the report announces.", field=name)
    path = scratch / f"{file.index}.{SUFFIXES[file.mime_type]}"
    digest, size = hashlib.sha256(), 0
    with path.open("wb") as kept:
        while piece := content.read(PIECE_BYTES):
            digest.update(piece)
            size += len(piece)
            kept.write(piece)
    if (size, digest.hexdigest()) != (file.bytes, file.sha256):
        raise InvalidInput(f"The part {name} is not the file that the report announces. Send it again.", field=name)
    return Artifact(
        path=path,
        index=file.index,
        mime_type=file.mime_type,
        width=file.width,
        height=file.height,
        seed=file.seed,
        frames=file.frames,
        fps=file.fps,
    )
