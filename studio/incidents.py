"""What a client may hear of an error that has come all the way out: its code and sentence, and never a traceback."""

from __future__ import annotations

import logging
from uuid import uuid4

from pydantic import ValidationError

from studio.errors import InvalidInput, StudioError

LOG = logging.getLogger(__name__)


def told(error: Exception, where: str) -> StudioError:
    """`error` as a client may hear it. Of what nobody foresaw at `where` the log keeps the traceback, under the name
    that the client gets."""
    if isinstance(error, StudioError):
        return error
    if isinstance(error, ValidationError):
        return invalid_arguments(error)
    return unforeseen(error, where)


def invalid_arguments(error: ValidationError) -> InvalidInput:
    """The first thing that is wrong with the arguments of a call."""
    first = error.errors(include_url=False, include_context=False)[0]
    argument = ".".join(str(part) for part in first["loc"])
    return InvalidInput(f"{argument}: {first['msg']}.", field=argument or None)


def unforeseen(error: BaseException, where: str) -> StudioError:
    """Log `error` as an incident at `where`; the result names the incident and nothing else."""
    incident = uuid4().hex[:12]
    LOG.error("incident %s: %s", incident, where, exc_info=error)
    return StudioError(f"Something went wrong in the studio. The log has it as incident {incident}.")
