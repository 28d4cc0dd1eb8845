"""/mcp on the network: who comes in, in whose name they act, and the protocol behind it.

Every request stands for itself: there are no sessions that could outlive a key or be used by another person's, and any
number of processes behind a proxy could answer. A call that reports progress answers as an event stream, kept open by
a comment every 15 seconds.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from anyio import to_thread
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from studio.errors import SignInNeeded, StudioError
from studio.services.container import Services
from studio.web.dependencies import WebParts
from studio.web.errors import error_response
from studio.web.identity import bearer_of
from studio.web.mcp.calls import PERSON_KEY
from studio.web.mcp.server import studio_server

PATH = "/mcp"
KEY_NEEDED = "Send an API key: Authorization: Bearer ovz_…. Make one on your account's page."


class McpDoor:
    """ASGI app that answers assistants. `needs_key` keeps out whoever brings only a cookie, which a browser would send
    along for any page; in local mode there are no keys, and whoever reaches the machine is its one person."""

    def __init__(self, services: Services, parts: WebParts, version: str) -> None:
        self._person_for = services.person_for
        self._needs_key = parts.accounts is not None
        self._server = studio_server(services, parts, version)
        self._manager: StreamableHTTPSessionManager | None = None

    def routes(self) -> list[Route]:
        """Both spellings of the address, since a client's POST does not survive every redirect."""
        return [Route(path, self, methods=["POST"], include_in_schema=False) for path in (PATH, f"{PATH}/")]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Answer for as long as this is open. A manager of the SDK runs once, so each start has one of its own."""
        # The studio's own guards have looked at host, origin and size of a request before it comes here.
        security = TransportSecuritySettings(enable_dns_rebinding_protection=False)
        self._server.streamable_http_app(stateless_http=True, transport_security=security)
        self._manager = self._server.session_manager
        async with self._manager.run():
            yield
        self._manager = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self._manager is not None, "The studio does not run."
        connection = HTTPConnection(scope)
        try:
            if self._needs_key and bearer_of(connection) is None:
                raise SignInNeeded(KEY_NEEDED)
            person = await to_thread.run_sync(self._person_for, connection)
        except StudioError as error:
            await _refusal(error)(scope, receive, send)
            return
        await self._manager.handle_request({**scope, PERSON_KEY: person}, receive, send)


def _refusal(error: StudioError) -> Response:
    answer = error_response(error)
    if error.status == HTTPStatus.UNAUTHORIZED:
        answer.headers["WWW-Authenticate"] = 'Bearer realm="OurVidz Studio"'
    return answer
