"""The doors for people whom a provider outside signs in, and what a browser carries on the way there and back."""

from __future__ import annotations

import hmac
import secrets
import time
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit

import jwt
from anyio import CapacityLimiter
from starlette.requests import HTTPConnection

from studio.errors import InvalidInput, NotFound
from studio.services.invitations import OUTSIDE_LIFE_S
from studio.services.openid import OpenIdClient, OpenIdProvider
from studio.services.outside_people import OutsideIdentity, OutsidePeople
from studio.services.supabase import SupabasePeople
from studio.settings import Settings

NAMES = {"huggingface": "Hugging Face", "supabase": "Supabase"}
"""What providers are called on pages."""
ALGORITHM = "HS256"
SECRET_BYTES = 32
LEAVING, CONNECTING = "studio-outside", "studio-connect"
FRAMES = ("iframe", "frame")
"""What browsers call it in Sec-Fetch-Dest when they show a page within another."""
ASKING_THREADS = 4
"""Threads that may wait for providers at once, so that a slow one holds up no other request."""
BEGIN_AGAIN = "This sign-in began in another browser, or too long ago, or is over already. Begin again."


@dataclass(frozen=True, kw_only=True)
class Leaving:
    """What a browser keeps while somebody signs in at a provider: only this browser can end that sign-in here.

    `tab`: it began in another site's frame and goes on in a tab of its own.
    """

    state: str
    nonce: str
    verifier: str
    following: str
    invitation: str
    tab: bool

    @classmethod
    def anew(cls, state: str, *, following: str, invitation: str, tab: bool) -> Self:
        """With secrets of its own."""
        return cls(
            state=state,
            nonce=secrets.token_urlsafe(SECRET_BYTES),
            verifier=secrets.token_urlsafe(SECRET_BYTES),
            following=following,
            invitation=invitation,
            tab=tab,
        )


@dataclass(frozen=True, kw_only=True)
class Connecting:
    """Somebody whom a provider has signed in, before they show that an account with their address is theirs."""

    identity: OutsideIdentity
    following: str


class Carried:
    """Signs what goes through the browser and comes back. It is no secret from the person, and lasts some minutes."""

    def __init__(self, secret: str) -> None:
        # A key of its own, so that nothing else that the studio signs can pass for this.
        self._key = hmac.digest(secret.encode(), b"studio-outside", "sha256")

    def pack(self, audience: str, **values: Any) -> str:
        """`values` as a signed token."""
        claims = {"v": values, "aud": audience, "exp": int(time.time() + OUTSIDE_LIFE_S)}
        return jwt.encode(claims, self._key, ALGORITHM)

    def unpack(self, audience: str, token: str | None) -> dict[str, Any]:
        """The values of a token. Raises InvalidInput for one that was not signed here for this, or is too old."""
        try:
            claims = jwt.decode(token or "", self._key, [ALGORITHM], audience=audience, options={"require": ["exp"]})
        except jwt.InvalidTokenError:
            raise InvalidInput(BEGIN_AGAIN) from None
        values: dict[str, Any] = claims["v"]
        return values


@dataclass(frozen=True, kw_only=True)
class Provider:
    """Another way to sign in: the words of its button, and the address that begins it (given `?next=`)."""

    label: str
    href: str


@dataclass(frozen=True, kw_only=True)
class OutsideDoors:
    """What lets people in from outside. What is not set up is None."""

    carried: Carried
    people: OutsidePeople
    supabase: SupabasePeople | None = None
    hugging_face: OpenIdProvider | None = None
    asking: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(ASKING_THREADS))

    @property
    def providers(self) -> tuple[Provider, ...]:
        """The buttons beside the form."""
        return (Provider(label="Sign in with Hugging Face", href="/login/huggingface"),) if self.hugging_face else ()

    def leave(self, leaving: Leaving) -> str:
        """What the browser keeps of a sign-in that begins."""
        return self.carried.pack(LEAVING, **vars(leaving))

    def come_back(self, kept: str | None, state: str) -> Leaving:
        """The sign-in that ends here, this once. Raises InvalidInput where this browser did not begin it."""
        leaving = Leaving(**self.carried.unpack(LEAVING, kept))
        if not hmac.compare_digest(leaving.state.encode(), state.encode("utf-8", "replace")):
            raise InvalidInput(BEGIN_AGAIN)
        try:
            self.people.end(state)
        except NotFound:
            raise InvalidInput(BEGIN_AGAIN) from None
        return leaving

    def ask_to_connect(self, connecting: Connecting) -> str:
        """What the form for the password carries."""
        return self.carried.pack(CONNECTING, following=connecting.following, **vars(connecting.identity))

    def connecting(self, carried: str) -> Connecting:
        """What the form carried. Raises InvalidInput."""
        values = self.carried.unpack(CONNECTING, carried)
        following = values.pop("following")
        return Connecting(identity=OutsideIdentity(**values), following=following)


def is_framed(connection: HTTPConnection, *, allowed: bool) -> bool:
    """Whether the browser shows the answer in a frame, where `allowed`. Providers let nobody show theirs in one."""
    return allowed and connection.headers.get("sec-fetch-dest", "iframe") in FRAMES


def is_at(connection: HTTPConnection, url: str) -> bool:
    """Whether `connection` came to the host of `url`, whose cookies the browser sends when it comes back there."""
    return connection.headers.get("host", "").lower() == urlsplit(url).netloc.lower()


def build_outside(settings: Settings, people: OutsidePeople, secret: str) -> OutsideDoors:
    """The providers whose variables are set. Asks none of them yet."""
    project, client_secret = settings.supabase_url, settings.oauth_client_secret
    supabase = hugging_face = None
    if project:
        supabase = SupabasePeople(project, people, emails_confirmed=settings.supabase_emails_confirmed)
    if settings.oauth_client_id and client_secret and settings.external_url:
        client = OpenIdClient(
            issuer=settings.openid_provider_url,
            client_id=settings.oauth_client_id,
            client_secret=client_secret.get_secret_value(),
            redirect_uri=f"{settings.external_url}/login/callback",
            scopes=tuple(settings.oauth_scopes.split()),
        )
        hugging_face = OpenIdProvider("huggingface", client)
    return OutsideDoors(carried=Carried(secret), people=people, supabase=supabase, hugging_face=hugging_face)
