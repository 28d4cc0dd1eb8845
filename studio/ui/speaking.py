"""Errors turned into what the screens say. The one edge where the screens translate a failure."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import anyio.to_thread
import gradio as gr

from studio.errors import StudioError

if TYPE_CHECKING:
    from studio.people import Person
    from studio.services.container import Services

log = logging.getLogger(__name__)

UNEXPECTED = (
    "Something went wrong on our side. Nothing you typed was lost; try again, and if it stays, send us the code."
)
Answer = TypeVar("Answer")


def notice_of(error: Exception) -> dict[str, Any]:
    """What a person is told about `error`: {"message", "code", "field"?}. An unexpected one goes to the log in full."""
    if isinstance(error, StudioError):
        return dict(error.as_json())
    log.error("a screen's handler failed", exc_info=error)
    return {"message": UNEXPECTED, "code": "internal"}


async def off_loop(call: Callable[..., Answer], *arguments: Any) -> Answer:
    """Run a service's blocking `call` on a thread, so that the event loop stays free."""
    return await anyio.to_thread.run_sync(lambda: call(*arguments))


def person_of(services: Services, request: gr.Request) -> Person:
    """Who clicked. Raises SignInNeeded."""
    beneath = request.request  # Gradio's own wrapper turns the cookies into an object that is no mapping
    return services.person_for(request if beneath is None else beneath)


def tell_page(event: str) -> str:
    """The `js` of a Gradio event: raises `event` in the document and passes on what it was given."""
    return f'(...values) => {{ document.dispatchEvent(new Event("{event}")); return values; }}'
