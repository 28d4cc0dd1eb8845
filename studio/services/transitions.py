"""What each change of a job writes to its row, and to the GPU ledger where it ends an attempt. The callers hold the row
and take the change number."""

from __future__ import annotations

from pipelines.contract import Progress, Stage
from studio.database.schema import Job
from studio.services.gpu_ledger import note_attempt

ENHANCING_S = f"{Stage.ENHANCING.value}_s"


def write_progress(job: Job, progress: Progress) -> None:
    """Note how far a running job is. The fraction never falls; a preview stays until a newer one comes."""
    job.stage = progress.stage.value
    job.fraction = min(1.0, max(job.fraction, progress.fraction))
    job.step, job.steps = progress.step, progress.steps
    if progress.preview is not None:
        job.preview = progress.preview
        job.preview_number += 1


def put_back(job: Job, now: float, outcome: str, *, wait_s: float = 0.0) -> None:
    """Pending again, with nothing left of the attempt, which ended as `outcome`. The turn stays, so the job is served
    as soon as it is due, in `wait_s` seconds."""
    _end_attempt(job, now, outcome)
    _clear_progress(job)
    job.status, job.not_before = "pending", now + wait_s


def change_lane(job: Job, lane: str, turn: float, now: float) -> None:
    """Waiting in another lane for its next leg, which begins with no attempt spent. The progress made stays."""
    _end_attempt(job, now, "completed")
    job.status, job.stage, job.not_before = "pending", Stage.QUEUED.value, now
    job.lane, job.turn, job.attempt = lane, turn, 0
    job.step = job.steps = 0


def end(job: Job, status: str, now: float) -> None:
    """Ended as `status`. A completed job keeps its lease token: it tells a repeated delivery from a late one."""
    _end_attempt(job, now, status)
    job.status, job.finished_at = status, now


def fail(job: Job, code: str, message: str, now: float) -> None:
    """Failed for good, with its public code and sentence."""
    end(job, "failed", now)
    job.error_code, job.error_message = code, message


def start_over(job: Job, turn: float, now: float) -> None:
    """As if just ordered: a new place in the queue, no attempt spent, nothing left of the last run."""
    put_back(job, now, job.status)
    job.turn = turn
    job.attempt = job.worker_losses = 0
    job.finished_at = None
    job.lease_token = None
    job.cancel_requested = False
    job.error_code = job.error_message = None


def _clear_progress(job: Job) -> None:
    job.stage = Stage.QUEUED.value
    job.fraction, job.step, job.steps = 0.0, 0, 0
    job.started_at = None
    # A prompt that was rewritten stays so, and it took its time.
    job.timings = {name: seconds for name, seconds in job.timings.items() if name == ENHANCING_S}


def _end_attempt(job: Job, now: float, outcome: str) -> None:
    if job.status == "processing":
        note_attempt(job, now, outcome)
    job.lease_owner = job.lease_expires_at = None
    job.preview = None
