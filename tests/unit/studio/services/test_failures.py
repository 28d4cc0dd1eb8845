from __future__ import annotations

import errno

import pytest
from sqlalchemy.exc import OperationalError

from queue_backend.errors import RunFailed, WorkerLost
from studio.errors import NotFound, PolicyRefused, StorageFailed, StorageFull, TooLarge, UnfitFile
from studio.services.failures import INTERNAL_SENTENCE, JOB_ERROR_CODES, public_failure


@pytest.mark.parametrize(
    ("error", "code", "message", "transient"),
    [
        (RunFailed("Too little memory.", code="out_of_memory"), "out_of_memory", "Too little memory.", False),
        (RunFailed("The disk hiccuped.", code="internal", transient=True), "internal", "The disk hiccuped.", True),
        (RunFailed("Odd.", code="something_new"), "internal", "Odd.", False),
        (WorkerLost("The worker was killed."), "worker_lost", "The worker was killed.", True),
        (StorageFull("The disk is full."), "storage_full", "The disk is full.", False),
        (StorageFailed("No answer."), "storage_error", "No answer.", True),
        (UnfitFile("The wrong file."), "storage_error", "The wrong file.", False),
        (TooLarge("Too large."), "invalid_input", "Too large.", False),
        (NotFound("The picture is gone."), "invalid_input", "The picture is gone.", False),
        (PolicyRefused("No."), "policy_refused", "No.", False),
        (OSError(errno.ENOSPC, "No space left on device"), "storage_full", None, False),
        (OperationalError("select", {}, Exception("locked")), "internal", INTERNAL_SENTENCE, True),
        (KeyError("secret detail"), "internal", INTERNAL_SENTENCE, False),
        (PermissionError(errno.EACCES, "denied", "/secret"), "internal", INTERNAL_SENTENCE, False),
    ],
)
def test_a_failure_in_public_words(error, code, message, transient):
    failure = public_failure(error)

    assert (failure.code, failure.transient) == (code, transient)
    assert failure.code in JOB_ERROR_CODES
    assert message is None or failure.message == message
    assert failure.message.endswith(".")
