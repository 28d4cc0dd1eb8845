"""How errors look on pages: a signed-out browser goes to the sign-in, every other becomes a page with a sentence."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any

from fastapi import Request, Response
from fastapi.responses import RedirectResponse
from fastapi.routing import APIRoute

from studio.errors import NotFound, SignInNeeded, StudioError
from studio.web.errors import error_response
from studio.web.pages.rendering import page
from studio.web.visitors import sign_in_url, wants_page

LOG = logging.getLogger(__name__)


class PageRoute(APIRoute):
    """A route whose answers are pages. Programs, which accept no HTML, get errors as JSON like everywhere."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()

        async def with_error_pages(request: Request) -> Response:
            try:
                return await answer(request)
            except StudioError as error:
                if not wants_page(request.headers):
                    raise
                return _error_page(request, error)

        return with_error_pages


def _error_page(request: Request, error: StudioError) -> Response:
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        LOG.warning("%s %s: %s: %s", request.method, request.url.path, error.code, error.message, exc_info=error)
    if isinstance(error, SignInNeeded):
        # What was sent with a form is not sent again: after signing in one begins at the page.
        begun = sign_in_url(request.scope) if request.method == "GET" else "/login"
        return RedirectResponse(begun, HTTPStatus.SEE_OTHER, {"Cache-Control": "no-store"})
    heading = "There is nothing here" if isinstance(error, NotFound) else "That did not work"
    answer = page(
        request,
        "message.html",
        status=error.status,
        heading=heading,
        text=error.message,
        href="/",
        label="To the studio",
    )
    if "Retry-After" in (headers := error_response(error).headers):
        answer.headers["Retry-After"] = headers["Retry-After"]
    return answer


def see(path: str, *, cookie: str | None = None) -> Response:
    """Send the browser on to `path` after a form, with a Set-Cookie line where there is one."""
    answer = RedirectResponse(path, HTTPStatus.SEE_OTHER, {"Cache-Control": "no-store"})
    if cookie is not None:
        answer.headers.append("Set-Cookie", cookie)
    return answer
