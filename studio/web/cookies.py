"""The cookies that carry a session, a guest or a sign-in under way: how they are named, guarded and read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import cookie_parser

from studio.settings import Settings
from studio.web.security import is_loopback_name

Scope = Mapping[str, Any]


class Cookie(Enum):
    """What a cookie carries, by its name on plain http."""

    SESSION = "studio"
    GUEST = "studio-guest"
    OUTSIDE = "studio-outside"


@dataclass(frozen=True, kw_only=True)
class CookieRules:
    """How cookies are set for whom.

    Over https they are Secure and carry the prefix __Host-, so that neither another host of the same domain nor plain
    http can plant one. Over plain http browsers take neither. `public_host` ("name[:port]") is known to be reached
    over https, whatever the scheme looks like behind its proxy. A `framed` studio is shown inside another site's page
    (a Space), where SameSite=Lax cookies are not sent: there they are SameSite=None and Partitioned, and the Origin
    check alone keeps foreign pages out.
    """

    public_host: str | None = None
    framed: bool = False

    @classmethod
    def from_settings(cls, settings: Settings) -> CookieRules:
        """The rules for `settings`."""
        public = urlsplit(settings.external_url or "")
        return cls(public_host=public.netloc if public.scheme == "https" else None, framed=bool(settings.space_id))

    def is_secure(self, scope: Scope) -> bool:
        """Whether the browser behind the request `scope` speaks https."""
        host = Headers(raw=list(scope["headers"])).get("host", "").lower()
        if scope["scheme"] == "https" or host == (self.public_host or "").lower() != "":
            return True
        return self.framed and not is_loopback_name(urlsplit(f"//{host}").hostname or "")

    def name(self, scope: Scope, cookie: Cookie) -> str:
        """What `cookie` is called in the exchange of `scope`."""
        return f"__Host-{cookie.value}" if self.is_secure(scope) else cookie.value

    def read(self, scope: Scope, cookie: Cookie) -> str | None:
        """The value of `cookie` in the request `scope`; None where it is absent."""
        lines = Headers(raw=list(scope["headers"])).getlist("cookie")
        return cookie_parser("; ".join(lines)).get(self.name(scope, cookie)) or None

    def line(self, scope: Scope, cookie: Cookie, value: str, max_age_s: float) -> str:
        """The Set-Cookie header that gives `cookie` its `value`. Starlette's own cannot say Partitioned before
        Python 3.14."""
        parts = [f"{self.name(scope, cookie)}={value}", "Path=/", f"Max-Age={int(max_age_s)}", "HttpOnly"]
        if self.is_secure(scope):
            parts.append("Secure")
        framed = self.framed and self.is_secure(scope)  # browsers refuse SameSite=None without Secure
        parts += ["SameSite=None", "Partitioned"] if framed else ["SameSite=Lax"]
        return "; ".join(parts)

    def forget(self, scope: Scope, cookie: Cookie) -> str:
        """The Set-Cookie header that takes `cookie` away."""
        return self.line(scope, cookie, "", 0)
