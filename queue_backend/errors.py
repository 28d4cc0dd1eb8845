"""How a run can end badly, as its caller sees it.

RunError            code, message, transient
├── RunFailed       the worker is well and says why the run failed
└── WorkerLost      the worker process died, hung or was stopped under the run
"""

from __future__ import annotations


class RunError(Exception):
    """A run ended without a result. `code` is public; `transient` says that another try may succeed."""

    def __init__(self, message: str, *, code: str, transient: bool) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.transient = transient


class RunFailed(RunError):
    """The run itself failed, or was cancelled (code "cancelled"). `traceback` is for the log alone."""

    def __init__(self, message: str, *, code: str, transient: bool = False, traceback: str = "") -> None:
        super().__init__(message, code=code, transient=transient)
        self.traceback = traceback


class WorkerLost(RunError):
    """The process under the run is gone. `exit_code` is negative for a signal, None where no process had started.

    `log_tail` holds the last lines that the process wrote; it is for the log and for administrators.
    """

    def __init__(self, sentence: str, *, exit_code: int | None = None, log_tail: str = "") -> None:
        super().__init__(sentence, code="worker_lost", transient=True)
        self.exit_code = exit_code
        self.log_tail = log_tail
