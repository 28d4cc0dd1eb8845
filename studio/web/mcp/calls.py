"""One call of a tool: in whose name it is made, and how its errors reach the assistant."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import (
    ResourceError,
    ResourceNotFoundError,
    ToolError,
    UnexpectedResourceError,
    UnexpectedToolError,
)
from mcp.types import CallToolResult, InputRequiredResult
from pydantic import AnyUrl, ValidationError
from starlette.requests import Request

from studio.errors import InvalidInput, NotFound, StudioError
from studio.incidents import invalid_arguments, unforeseen
from studio.people import Person, require_scope
from studio.web.links import studio_url

PERSON_KEY = "user"
"""Where the door leaves the person of a request: where Starlette keeps a request's user."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """Who calls, by which request, and the address under which they know the studio."""

    person: Person
    request: Request
    studio: str


def call_of(context: Context, scope: str) -> Call:
    """The call of `context`. Raises Forbidden where the key that it came with is not good for `scope`."""
    request = context.request_context.request
    assert isinstance(request, Request)
    person: Person = request.scope[PERSON_KEY]
    require_scope(person, scope)
    return Call(person=person, request=request, studio=studio_url(request))


class StudioTools(MCPServer):
    """The SDK's server, with the studio's errors: "code: sentence", and an incident for what nobody foresaw."""

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context | None = None
    ) -> CallToolResult | InputRequiredResult:
        known = {tool.name: tool.input_schema["properties"] for tool in await self.list_tools()}
        _check_arguments(name, arguments, known.get(name, arguments))
        try:
            return await super().call_tool(name, arguments, context)
        except ToolError as error:
            raise ToolError(_sentence(_told(error, f"tool {name}"))) from error

    async def read_resource(
        self, uri: AnyUrl | str, context: Context | None = None
    ) -> Iterable[ReadResourceContents] | InputRequiredResult:
        try:
            return await super().read_resource(uri, context)
        except ResourceError as error:
            public = _told(error, f"resource {str(uri)[:100]}")
            kind = ResourceNotFoundError if isinstance(public, NotFound) else ResourceError
            raise kind(_sentence(public)) from error


def _check_arguments(tool: str, arguments: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    """Raise ToolError for an argument that the SDK would pass over, so that none is lost without a word for being
    misspelt, and for one that PostgreSQL could not even compare."""
    for name, value in arguments.items():
        if name not in known:
            raise ToolError(f"{InvalidInput.code}: {tool} has no argument {name[:60]!r}.")
        if isinstance(value, str) and "\0" in value:
            raise ToolError(f"{InvalidInput.code}: {name} contains a NUL character.")


def _sentence(error: StudioError) -> str:
    wait = "" if error.retry_after_s is None else f" Wait {math.ceil(error.retry_after_s)} seconds."
    return f"{error.code}: {error.message}{wait}"


def _told(error: ToolError | ResourceError, where: str) -> StudioError:
    """What the SDK's error is about, as the assistant may hear it."""
    cause: BaseException | None = error
    while isinstance(cause, UnexpectedToolError | UnexpectedResourceError):
        cause = cause.__cause__
    if isinstance(cause, StudioError):
        return cause
    if cause is error:  # The SDK's own: a name that there is not, or arguments that do not fit.
        wrong = error.__cause__
        return invalid_arguments(wrong) if isinstance(wrong, ValidationError) else NotFound(f"{error}.")
    return unforeseen(cause or error, where)
