"""One shape for every error that leaves the REST API: {"error": {"code", "message", "field"?}}."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from studio.errors import RateLimited, StudioError
from studio.incidents import unforeseen

LOG = logging.getLogger(__name__)

CODES = {
    400: "invalid_input",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    413: "invalid_input",
    415: "invalid_input",
    416: "invalid_input",
    422: "invalid_input",
    429: RateLimited.code,
    503: "unavailable",
}
SENTENCES = {404: "There is nothing at this address.", 405: "This address does not answer that method."}
DEFAULT_RETRY_AFTER_S = 5


def error_response(error: StudioError) -> JSONResponse:
    """The answer for `error`. "Retry-After" goes with every 429 and with what says when to come back."""
    headers = {}
    if error.status == HTTPStatus.TOO_MANY_REQUESTS or error.retry_after_s is not None:
        headers["Retry-After"] = str(math.ceil(error.retry_after_s or DEFAULT_RETRY_AFTER_S))
    return JSONResponse({"error": error.as_json()}, status_code=error.status, headers=headers)


def plain_error(
    status: int, message: str, *, field: str | None = None, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """An error that no StudioError stands for, such as a wrong method."""
    body = {"code": CODES.get(status, "internal"), "message": message}
    if field is not None:
        body["field"] = field
    return JSONResponse({"error": body}, status_code=status, headers=dict(headers or {}))


def add_error_handlers(app: FastAPI) -> None:
    """Translate every error of the routes of `app`; unexpected ones are left to `LastResort`."""
    app.add_exception_handler(StudioError, _studio_error)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _http_error)


async def _studio_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, StudioError)
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        LOG.warning("%s %s: %s: %s", request.method, request.url.path, error.code, error.message, exc_info=error)
    return error_response(error)


async def _http_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return plain_error(error.status_code, SENTENCES.get(error.status_code, str(error.detail)), headers=error.headers)


async def _invalid_request(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return plain_error(400, f"The body is not valid JSON: {first['ctx']['error']}.")
    field = _field_name(first["loc"])
    return plain_error(422, _sentence(first, field), field=field)


def _field_name(location: Sequence[Any]) -> str | None:
    """The client's name of what is wrong: "steps", "tags.2"; None for the body as a whole."""
    return ".".join(str(part) for part in location[1:]) or None


def _sentence(problem: Mapping[str, Any], field: str | None) -> str:
    """One sentence for one of pydantic's problems."""
    if problem["type"] == "extra_forbidden":
        return f"There is no field {str(field)[:60]!r} here."
    if problem["type"] == "missing":
        return f"{field} is needed." if field else "A JSON body is needed."
    message = str(problem["msg"]).removeprefix("Value error, ").rstrip(".")
    return f"{field}: {message}." if field else f"The request: {message}."


class LastResort:
    """Turns what nobody foresaw into a 500 that names an incident; the traceback goes to the log under that name."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, watched)
        # The outermost edge: whatever went wrong must reach the log with a name, and the client without its traceback.
        except Exception as error:
            if started:
                raise  # The server logs it and cuts the connection: half an answer must not look like a whole one.
            public = unforeseen(error, f"{scope['method']} {scope['path']}")
            await error_response(public)(scope, receive, send)
