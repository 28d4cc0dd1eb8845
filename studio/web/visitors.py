"""What happens at the door before a route is asked: guests get their token, signed-out browsers are shown the way."""

from __future__ import annotations

import logging
from urllib.parse import quote

from anyio import to_thread
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from studio.errors import Forbidden, SignInNeeded, StudioError
from studio.web.cookies import Cookie
from studio.web.errors import error_response
from studio.web.identity import SAFE_METHODS, Identity

LOG = logging.getLogger(__name__)

MAX_LOGGED_CHARS = 100
OWN_SITES = frozenset({"same-origin", "none"})
"""Values of Sec-Fetch-Site with which a browser says that no foreign page is behind a request."""
GUEST_PATHS = ("/", "/config")
GUEST_PREFIXES = ("/api/", "/media/", "/gradio_api/")
"""Where guests begin: the page, and what clients call. Scripts, pictures and health checks make no guest."""


class Visitors:
    """Guests get their cookie with their first request, which already acts in their name; a browser that is signed out
    is sent from the page to the sign-in; and what changes something with a cookie must not come from a foreign page.

    DoorGuard compares Origin where there is one. A browser that sends none still says what kind of site asks.
    """

    def __init__(self, app: ASGIApp, identity: Identity) -> None:
        self.app = app
        self.identity = identity

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if self._is_foreign(scope, headers):
            LOG.warning("Refused a request of another site's page for %r.", scope["path"][:MAX_LOGGED_CHARS])
            refusal = Forbidden("Another site's page may not change anything in the studio.")
            await error_response(refusal)(scope, receive, send)
        elif self._needs_guest(scope, headers):
            await self._welcome(scope, receive, send)
        elif await self._must_sign_in(scope, headers):
            await RedirectResponse(sign_in_url(scope), 303, {"Cache-Control": "no-store"})(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _is_foreign(self, scope: Scope, headers: Headers) -> bool:
        if scope["method"] in SAFE_METHODS or "origin" in headers or "cookie" not in headers:
            return False
        return headers.get("sec-fetch-site", "same-origin").lower() not in OWN_SITES

    def _needs_guest(self, scope: Scope, headers: Headers) -> bool:
        if self.identity.mode != "guest" or "authorization" in headers or scope["method"] == "OPTIONS":
            return False
        path = scope["path"]
        starts_here = path in GUEST_PATHS or path.startswith(GUEST_PREFIXES)
        return starts_here and self.identity.guest_of(HTTPConnection(scope)) is None

    async def _welcome(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer in the name of a new guest, who keeps the token."""
        cookies, guests = self.identity.cookies, self.identity.guests
        token = guests.new_token()
        carried = f"{cookies.name(scope, Cookie.GUEST)}={token}".encode()
        line = cookies.line(scope, Cookie.GUEST, token, guests.lifetime_s)
        # The new token goes last: where a spoiled one of the same name comes along, the last one counts.
        scope = {**scope, "headers": [*scope["headers"], (b"cookie", carried)]}

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                answered = MutableHeaders(raw=list(message.get("headers", ())))
                answered.append("Set-Cookie", line)
                message = {**message, "headers": answered.raw}
            await send(message)

        await self.app(scope, receive, answer)

    async def _must_sign_in(self, scope: Scope, headers: Headers) -> bool:
        """Whether this is a browser that opens the page and nobody is signed in."""
        if scope["path"] != "/" or scope["method"] not in ("GET", "HEAD") or not wants_page(headers):
            return False
        try:
            await to_thread.run_sync(self.identity, HTTPConnection(scope))
        except SignInNeeded:
            return True
        except StudioError:
            return False  # the page itself says why it does not open
        return False


def wants_page(headers: Headers) -> bool:
    """Whether a browser asks, which reads pages, and not a program, which reads JSON."""
    return "text/html" in headers.get("accept", "").lower()


def sign_in_url(scope: Scope) -> str:
    """The address of the sign-in that leads back to the page of `scope`."""
    query = scope["query_string"].decode("latin-1")
    wanted = scope["path"] + (f"?{query}" if query else "")
    return f"/login?next={quote(wanted, safe='/')}"
