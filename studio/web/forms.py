"""The forms of the studio's own pages: read with a bound, and the addresses that they lead back to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, ParamSpec, TypeVar
from urllib.parse import parse_qs

from anyio import CapacityLimiter, to_thread
from fastapi import Depends, Request

from studio.errors import InvalidInput, UnsupportedMedia
from studio.web.security import too_large

MAX_FORM_BYTES = 16 * 1024
MAX_FIELDS = 20
FORM_TYPE = "application/x-www-form-urlencoded"
ParametersP = ParamSpec("ParametersP")
ResultT = TypeVar("ResultT")


class Form:
    """The fields of a form that was sent."""

    def __init__(self, fields: dict[str, list[str]]) -> None:
        self._fields = fields

    def text(self, name: str) -> str:
        """The field `name`; empty where it is absent."""
        return self._fields.get(name, [""])[0]

    def all(self, name: str) -> list[str]:
        """Every value of the field `name`, such as the boxes that were ticked."""
        return self._fields.get(name, [])


async def read_form(request: Request) -> Form:
    """The form in the body of `request`. Raises TooLarge, UnsupportedMedia or InvalidInput."""
    sent = request.headers.get("content-type", "").split(";")[0].strip().lower()
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_FORM_BYTES:
            raise too_large(MAX_FORM_BYTES)
    if body and sent != FORM_TYPE:
        raise UnsupportedMedia(f"Send this as {FORM_TYPE}.")
    try:
        fields = parse_qs(body.decode("ascii"), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
    except ValueError:
        raise InvalidInput("The form cannot be read.") from None
    if any("\0" in value for values in fields.values() for value in values):
        raise InvalidInput("The form contains a NUL character.")
    return Form(fields)


FormOf = Annotated[Form, Depends(read_form)]


async def slowly(
    limiter: CapacityLimiter,
    call: Callable[ParametersP, ResultT],
    *args: ParametersP.args,
    **kwargs: ParametersP.kwargs,
) -> ResultT:
    """Call what hashes a password, on one of the few threads of `limiter`."""
    return await to_thread.run_sync(lambda: call(*args, **kwargs), limiter=limiter)


def own_path(wanted: str) -> str:
    """`wanted` if it is an address on this studio, else the studio itself: nobody is led elsewhere after signing in."""
    inside = wanted.startswith("/") and not wanted.startswith(("//", "/\\"))
    return wanted if inside and wanted.isprintable() and "\\" not in wanted else "/"
