"""What a person is told when a run fails: a public code, a sentence, and whether another attempt may help."""

from __future__ import annotations

import errno
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from queue_backend.errors import RunError
from studio.errors import StorageFailed, StudioError, UnfitFile

JOB_ERROR_CODES = frozenset(
    {
        "invalid_input",
        "policy_refused",
        "rate_limited",
        "quota_exceeded",
        "out_of_memory",
        "worker_lost",
        "poisoned",
        "model_missing",
        "storage_full",
        "storage_error",
        "timeout",
        "internal",
    }
)
"""Every code that a job's `error` can have: part of the public contract."""
INTERNAL_SENTENCE = "Something went wrong inside the studio. The log has the details, under the job's id."
FULL_SENTENCE = "The studio's disk is full. Make room and try the job again."


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A failed attempt in public words."""

    code: str
    message: str
    transient: bool


def public_failure(error: Exception) -> Failure:
    """What `error` means to the job's person. An unknown error keeps its words to the log."""
    match error:
        case RunError():
            code = error.code if error.code in JOB_ERROR_CODES else "internal"
            return Failure(code=code, message=error.message, transient=error.transient)
        case StudioError() if error.code in JOB_ERROR_CODES:
            # A store may answer next time; a worker that delivered the wrong file would deliver it again.
            may_pass = isinstance(error, StorageFailed) and not isinstance(error, UnfitFile)
            return Failure(code=error.code, message=error.message, transient=may_pass)
        case StudioError():
            # Such as a reference picture that was deleted since the order: the order cannot be done any more.
            return Failure(code="invalid_input", message=error.message, transient=False)
        case OSError(errno=errno.ENOSPC):
            return Failure(code="storage_full", message=FULL_SENTENCE, transient=False)
        case SQLAlchemyError():
            return Failure(code="internal", message=INTERNAL_SENTENCE, transient=True)
        case _:
            return Failure(code="internal", message=INTERNAL_SENTENCE, transient=False)
