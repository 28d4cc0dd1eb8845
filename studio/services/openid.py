"""Signing people in at an OpenID provider: authorization code flow with PKCE (OpenID Connect Core 1.0, RFC 7636)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx

from studio.errors import Unavailable
from studio.services.issuers import UNREACHABLE, Kept, ask, read
from studio.services.outside_people import OutsideIdentity
from studio.services.outside_tokens import TokenReader, TokenRefused

log = logging.getLogger(__name__)

METADATA_PATH = "/.well-known/openid-configuration"
ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")
WANTED_SCOPES = ("openid", "profile", "email")
"""What is asked for, of what the provider allows: who somebody is, and nothing that they have there."""
MAX_CODE_CHARS = 4096
LOOPBACK = ("127.0.0.1", "localhost", "::1")
Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class OpenIdClient:
    """What the studio is to the provider. `scopes` are those that it may ask for."""

    issuer: str
    client_id: str
    client_secret: str
    redirect_uri: str
    scopes: tuple[str, ...] = WANTED_SCOPES


class OpenIdProvider:
    """One provider. Methods block while it is asked and raise Unavailable where it does not answer."""

    def __init__(self, name: str, client: OpenIdClient) -> None:
        """`name` is what identities of this provider are filed under."""
        self._name = name
        self._client = client
        self._metadata: Kept[Json] = Kept(self._read_metadata)
        self._reader = TokenReader(
            lambda: str(self._metadata.get()["jwks_uri"]), issuer=client.issuer, audience=client.client_id
        )

    @property
    def issuer(self) -> str:
        """The address under which the provider signs."""
        return self._client.issuer

    @property
    def redirect_uri(self) -> str:
        """Where the provider sends people back to."""
        return self._client.redirect_uri

    def sign_in_url(self, *, state: str, nonce: str, verifier: str) -> str:
        """Where somebody signs in. `verifier` is the secret of PKCE, of which only a hash goes there."""
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {
            "response_type": "code",
            "client_id": self._client.client_id,
            "redirect_uri": self._client.redirect_uri,
            "scope": " ".join(scope for scope in WANTED_SCOPES if scope in self._client.scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        address = str(self._metadata.get()["authorization_endpoint"])
        return f"{address}{'&' if '?' in address else '?'}{urlencode(asked)}"

    def identity_of(self, code: str, *, nonce: str, verifier: str) -> OutsideIdentity:
        """Who has signed in, for the code that they came back with. Raises TokenRefused."""
        tokens = self._tokens(code, verifier)
        claims = self._reader.read(str(tokens.get("id_token", "")))
        if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
            raise TokenRefused("it was made for another sign-in")
        if claims.get("azp", self._client.client_id) != self._client.client_id:
            raise TokenRefused("it was made for another program")
        facts = {**self._more_of(tokens, claims["sub"]), **claims}
        return OutsideIdentity.of(
            self._name,
            claims["sub"],
            name=facts.get("name") or facts.get("preferred_username"),
            email=facts.get("email") if facts.get("email_verified") is True else None,
        )

    def _tokens(self, code: str, verifier: str) -> Json:
        form = {
            "grant_type": "authorization_code",
            "code": code[:MAX_CODE_CHARS],
            "redirect_uri": self._client.redirect_uri,
            "client_id": self._client.client_id,
            "code_verifier": verifier,
        }
        secret = httpx.BasicAuth(self._client.client_id, self._client.client_secret)
        status, found = ask("POST", str(self._metadata.get()["token_endpoint"]), data=form, auth=secret)
        if status != httpx.codes.OK:
            raise TokenRefused(f"the provider answers {status} to the code")
        return found

    def _more_of(self, tokens: Json, subject: str) -> Json:
        """What the provider tells of the person besides their identity (OpenID Connect Core 1.0, 5.3), if it does: an
        address need not be in the token."""
        address, token = self._metadata.get().get("userinfo_endpoint"), tokens.get("access_token")
        if "email" not in self._client.scopes or not is_safe_url(address) or not isinstance(token, str):
            return {}
        status, found = ask("GET", str(address), headers={"Authorization": f"Bearer {token}"})
        return found if status == httpx.codes.OK and found.get("sub") == subject else {}

    def _read_metadata(self) -> Json:
        found = read(self._client.issuer + METADATA_PATH)
        if found.get("issuer") != self._client.issuer or not all(is_safe_url(found.get(name)) for name in ENDPOINTS):
            log.warning("%s describes itself in a way that is not accepted.", self._client.issuer)
            raise Unavailable(UNREACHABLE)
        return found


def is_safe_url(url: object) -> bool:
    """Whether what is sent to `url` is read by nobody on the way."""
    parts = urlsplit(url if isinstance(url, str) else "")
    return bool(parts.hostname) and (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK))
