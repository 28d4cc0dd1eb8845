"""What guards the door: which hosts, origins and bodies come in, and which headers go out. Pure ASGI, so that streams
pass through untouched and the mounted Gradio app is covered as well."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from studio.catalog import MAX_PICTURES
from studio.errors import Forbidden, InvalidInput, StudioError, TooLarge, UnsupportedMedia
from studio.media.pictures import MAX_UPLOAD_BYTES
from studio.media.storage import MP4, PNG
from studio.settings import Settings
from studio.web.content_security import own_page_policy
from studio.web.errors import error_response

LOG = logging.getLogger(__name__)

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
MAX_JSON_BYTES = 256 * 1024
"""The longest order: two prompts of 4,000 characters, each at most 12 bytes in escaped JSON, with room to spare."""
UPLOAD_PATH = "/api/uploads"
JSON_PATHS = ("/api/", "/mcp")
"""Where bodies are JSON, but for the upload."""
MULTIPART_OVERHEAD_BYTES = 64 * 1024
MAX_DELIVERY_BYTES = max(MAX_PICTURES * PNG.max_bytes, MP4.max_bytes) + MAX_JSON_BYTES + MULTIPART_OVERHEAD_BYTES
"""What a worker of another machine may bring at once: all files of a job, and its report."""
JSON_TYPE, FORM_TYPE = "application/json", "multipart/form-data"
DEFAULT_PORTS = {"http": 80, "https": 443}
HEALTH_PATHS = frozenset({"/healthz", "/readyz"})
"""Asked by the machinery around a container, under whatever name it has for it; they tell nothing about anybody."""
HTTPS_FOR_S = 31_536_000
MAX_LOGGED_CHARS = 100
SPACE_FRAMES = ("https://huggingface.co", "https://*.hf.space")
"""The pages in which Hugging Face shows a Space."""

REQUEST_ONLY_HEADERS = frozenset(
    {
        "accept-encoding",
        "accept-language",
        "accept",
        "authorization",
        "cookie",
        "forwarded",
        "host",
        "if-match",
        "if-none-match",
        "if-range",
        "origin",
        "proxy-authorization",
        "range",
        "referer",
        "user-agent",
    }
)
"""Headers that mean nothing in an answer. Gradio's range answers echo the request's, credentials included."""
SHARED_HEADERS = frozenset({"cache-control", "connection", "content-length", "content-type", "date", "pragma", "vary"})
"""Headers that request and answer may carry with the same value without one being an echo of the other."""


@dataclass(frozen=True, kw_only=True)
class BrowserPolicy:
    """Who may reach the studio through a browser.

    `loopback_only` (local mode) refuses any Host but this machine's own and `public_url`'s, so that a foreign page
    cannot reach the studio under a name of its own that resolves to 127.0.0.1 (DNS rebinding). Otherwise any Host is
    its own while no `public_url` is known; with one, only that, the allowed origins', and what no name server of others
    can point here: an address in numbers or a name without a dot, as proxies and containers use them.
    """

    loopback_only: bool = True
    public_url: str | None = None
    allowed_origins: tuple[str, ...] = ()
    frame_ancestors: tuple[str, ...] = ()

    @classmethod
    def from_settings(cls, settings: Settings) -> BrowserPolicy:
        """The policy for `settings`: a Space may be framed by Hugging Face, everything else by itself alone. A Space
        with a domain of its own answers there as well."""
        return cls(
            loopback_only=settings.auth_mode == "local",
            public_url=settings.external_url,
            allowed_origins=(*settings.allowed_origins, *(f"https://{host}" for host in settings.space_hosts)),
            frame_ancestors=SPACE_FRAMES if settings.space_id else (),
        )

    @cached_property
    def origins(self) -> tuple[str, ...]:
        """The origins besides the studio's own that may call it: those listed and the public one."""
        listed = [*self.allowed_origins, *([self.public_url] if self.public_url else [])]
        return tuple(dict.fromkeys(filter(None, map(_origin_of, listed))))

    @cached_property
    def framed_by(self) -> str:
        """The pages that may show the studio in a frame, as a Content-Security-Policy lists them."""
        return " ".join(("'self'", *self.frame_ancestors))

    @property
    def is_https(self) -> bool:
        """Whether people are known to come over https."""
        return (self.public_url or "").startswith("https://")

    def accepts_host(self, host: str) -> bool:
        """Whether a request may name `host` ("name[:port]") as the one it wants to reach."""
        parts = urlsplit(f"//{host}")
        name = (parts.hostname or "").lower()
        public = (urlsplit(self.public_url).hostname or "").lower() if self.public_url else None
        if name == public or is_loopback_name(name):
            return True
        if self.loopback_only:
            return False
        return public is None or name in {urlsplit(one).hostname for one in self.origins} or _is_unclaimable(name)

    def accepts_origin(self, origin: str, host: str) -> bool:
        """Whether a page of `origin` may change something in the studio that was called as `host`."""
        known = _origin_of(origin)
        if known is None:
            return False
        if known in self.origins:
            return True
        # A TLS proxy may hide the scheme from us, so only name and port are compared.
        parts, own = urlsplit(known), urlsplit(f"//{host.lower()}")
        port = parts.port or DEFAULT_PORTS.get(parts.scheme)
        own_port = own.port or DEFAULT_PORTS.get(parts.scheme)
        return parts.hostname == own.hostname and port == own_port


def is_loopback_name(name: str) -> bool:
    """Whether `name` can only mean this machine."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _is_unclaimable(name: str) -> bool:
    """Whether nobody can make `name` point here in a browser elsewhere: an address in numbers, or without a dot."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name != "" and "." not in name
    return True


def _origin_of(url: str) -> str | None:
    """ "scheme://name[:port]" in lower case, the default port left out; None if `url` is no http(s) URL."""
    try:
        parts = urlsplit(url.strip().lower())
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        return None
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    shown = "" if port in (None, DEFAULT_PORTS[parts.scheme]) else f":{port}"
    return f"{parts.scheme}://{name}{shown}"


class DoorGuard:
    """Refuses foreign hosts and, for requests that change something, foreign origins. Every refusal is logged.

    A request without an Origin is no browser's cross-site request (curl, gradio_client), and passes.
    """

    def __init__(self, app: ASGIApp, policy: BrowserPolicy) -> None:
        self.app = app
        self.policy = policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope) if scope["type"] in ("http", "websocket") else None
        if refusal is None:
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        LOG.warning(
            "Refused a request for %r: host %r, origin %r.",
            scope["path"][:MAX_LOGGED_CHARS],
            headers.get("host", "")[:MAX_LOGGED_CHARS],
            headers.get("origin", "")[:MAX_LOGGED_CHARS],
        )
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": refusal.code})
        else:
            await error_response(refusal)(scope, receive, send)

    def _refusal(self, scope: Scope) -> StudioError | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        try:
            if scope["path"] not in HEALTH_PATHS and not self.policy.accepts_host(host):
                return Forbidden("This studio answers only under the address of its own machine.")
            origin = headers.get("origin")
            changes = scope["type"] == "websocket" or scope["method"] not in SAFE_METHODS
            if origin is not None and changes and not self.policy.accepts_origin(origin, host):
                return Forbidden(
                    "This page's origin may not use the studio. STUDIO_ALLOWED_ORIGINS lists those that may."
                )
        except ValueError:
            return InvalidInput("The Host header is not an address.")
        return None


class BodyRules:
    """JSON only and of bounded size under /api and at /mcp, a file of bounded size at the upload, no NUL and no other
    address in any address: Gradio's file route would fetch that one and show whatever page it finds there as one of the
    studio's.

    `deliveries_at` is where workers of other machines bring JSON or the files of a job, if they may.
    """

    def __init__(self, app: ASGIApp, deliveries_at: str | None = None) -> None:
        self.app = app
        self._deliveries_at = deliveries_at

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and ("\0" in scope["path"] or b"%00" in scope["query_string"]):
            await error_response(InvalidInput("The address contains a NUL character."))(scope, receive, send)
            return
        if scope["type"] == "http" and "://" in scope["path"]:
            await error_response(Forbidden("The studio fetches nothing from other addresses."))(scope, receive, send)
            return
        if scope["type"] != "http" or not scope["path"].startswith(JSON_PATHS) or scope["method"] in SAFE_METHODS:
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        media_type = headers.get("content-type", "").split(";")[0].strip().lower()
        limits = self._limits(scope["path"].rstrip("/"))
        limit = limits.get(media_type, max(limits.values()))
        refusal = self._refusal(headers, limit, None if media_type in limits else next(iter(limits)))
        if refusal is not None:
            await error_response(refusal)(scope, receive, send)
            return
        await self.app(scope, limited(receive, limit), send)

    def _limits(self, path: str) -> dict[str, int]:
        """The media types that are read at `path`, the usual one first, each with its most bytes."""
        if path == UPLOAD_PATH:
            return {FORM_TYPE: MAX_UPLOAD_BYTES + MULTIPART_OVERHEAD_BYTES}
        if path == self._deliveries_at:
            return {JSON_TYPE: MAX_JSON_BYTES, FORM_TYPE: MAX_DELIVERY_BYTES}
        return {JSON_TYPE: MAX_JSON_BYTES}

    @staticmethod
    def _refusal(headers: Headers, limit: int, wanted: str | None) -> StudioError | None:
        """Why a body of more than `limit` bytes, or of another type than `wanted`, where that is given, stays out."""
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > limit:
            return too_large(limit)
        carries_body = length != "0" or "transfer-encoding" in headers
        if carries_body and wanted is not None:
            return UnsupportedMedia(f"Send this as {wanted}.")
        return None


def too_large(limit_bytes: int) -> TooLarge:
    """The refusal of a body with more than `limit_bytes`."""
    shown = f"{limit_bytes // 2**20} MB" if limit_bytes >= 2**20 else f"{limit_bytes // 1024} KB"
    return TooLarge(f"The body of the request is too large: at most {shown} are read.")


def limited(receive: Receive, limit: int) -> Receive:
    """`receive` that stops a body without a (true) Content-Length as soon as it passes `limit` bytes."""
    taken = 0

    async def counted() -> Message:
        nonlocal taken
        message = await receive()
        if message["type"] == "http.request":
            taken += len(message.get("body", b""))
            if taken > limit:
                # FastAPI lets only its own exception out of the parsing of a body.
                raise HTTPException(413, too_large(limit).message)
        return message

    return counted


class AnswerHeaders:
    """Adds the security headers to every answer and takes out headers that only a request can mean."""

    def __init__(self, app: ASGIApp, policy: BrowserPolicy) -> None:
        self.app = app
        self.added = {
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "same-origin",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
            "Content-Security-Policy": own_page_policy(policy.framed_by),
        }
        if policy.is_https:
            self.added["Strict-Transport-Security"] = f"max-age={HTTPS_FOR_S}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        asked = {(name.lower(), value) for name, value in scope["headers"]}

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=list(without_echoes(message.get("headers", ()), asked)))
                for name, value in self.added.items():
                    headers.setdefault(name, value)
                message = {**message, "headers": headers.raw}
            await send(message)

        await self.app(scope, receive, answer)


def without_echoes(
    headers: Iterable[tuple[bytes, bytes]], asked: set[tuple[bytes, bytes]]
) -> Iterable[tuple[bytes, bytes]]:
    """`headers` of an answer less those that belong to requests or repeat one of the request's (`asked`)."""
    for name, value in headers:
        lower = name.lower()
        text = lower.decode("latin-1")
        if text in REQUEST_ONLY_HEADERS or ((lower, value) in asked and text not in SHARED_HEADERS):
            continue
        yield name, value
