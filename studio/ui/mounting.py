"""Puts the Gradio screens onto the studio's web app, with Gradio's own doors shut and the studio's before them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import gradio as gr
from fastapi import FastAPI, Request
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from studio.people import Person
from studio.ui.layout import mount_options

MAX_UPLOAD = "20mb"
"""As much as `POST /api/uploads` takes."""
MAX_WAITING_EVENTS = 10_000
"""Tickets and calls that may wait in Gradio's queue; a ticket refused here is issued again by the sweep."""

STATUS_INTERVAL_S = 30
"""How often Gradio tells waiting events their rank. Its default tells all of them at every start: draining 1,500
tickets took 28 s with it and 5 s with this."""
PRIVATE = ("studio.db", "studio.db-wal", "studio.db-shm", "media", "logs", "scratch", "models")
"""What lies in the data folder and is never served from there, whatever path is asked for."""


PERSON_KEY = "user"
"""Where the doors leave the person of a request, in its scope."""
THE_STUDIO = Person(id="studio", role="studio", display_name="The studio itself", scopes=frozenset())


def mount(
    app: FastAPI,
    blocks: gr.Blocks,
    *,
    public_url: str | None,
    data_dir: Path,
    doors: Callable[[ASGIApp], ASGIApp] | None = None,
) -> ASGIApp:
    """Mount `blocks` at the root of `app`. Routes of `app` registered before win over Gradio's.

    Of the data folder Gradio may serve its own uploads alone. `public_url` is the address behind a proxy, if known.
    `doors` makes, from Gradio's app, the one that the network reaches instead; it must say who asks in every scope, and
    Gradio answers nobody without that. Returns the way in for the studio itself, past the doors, for its tickets.
    """
    # Not `api_open`: what is meant for the queue could be called past it, as often as one likes.
    blocks.queue(max_size=MAX_WAITING_EVENTS, status_update_rate=STATUS_INTERVAL_S, api_open=False)
    gr.mount_gradio_app(
        app,
        blocks,
        path="/",
        root_path=public_url,
        auth_dependency=None if doors is None else person_id,
        allowed_paths=[],
        blocked_paths=[str(data_dir / name) for name in PRIVATE],
        max_file_size=MAX_UPLOAD,
        show_error=True,
        ssr_mode=False,
        enable_monitoring=False,
        mcp_server=False,
        pwa=False,
        **mount_options(),
    )
    place = app.router.routes[-1]
    assert isinstance(place, Mount), "Gradio mounts its app last"
    gradio_app = place.app
    if doors is not None:
        place.app = doors(gradio_app)
    return _as_the_studio(gradio_app)


def person_id(request: Request) -> str | None:
    """Gradio's `auth_dependency`: the id of the person whom the doors found; None for a way in beside the doors."""
    person = request.scope.get(PERSON_KEY)
    return person.id if isinstance(person, Person) else None


def _as_the_studio(app: ASGIApp) -> ASGIApp:
    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, PERSON_KEY: THE_STUDIO}, receive, send)

    return call
