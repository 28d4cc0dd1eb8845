"""A provider of identities for tests: a real HTTP server with keys of its own, as Supabase and Hugging Face have."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

CLIENT_ID, CLIENT_SECRET = "studio-client", "a secret of the client"
MAIN_KEY, OTHER_KEY = "main", "other"
Json = dict[str, Any]


@dataclass
class Issuer:
    """Signs tokens, publishes its keys, and lets people sign in (OpenID Connect with PKCE).

    `person` is who is signed in there: the claims that its tokens have besides the usual ones. `spoil` changes the
    claims of the next identity tokens.
    """

    url: str
    person: Json = field(default_factory=lambda: {"sub": "hf-1", "name": "Ana Boat"})
    spoil: Json = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    open: bool = True

    def __post_init__(self) -> None:
        self.ec_key = ec.generate_private_key(ec.SECP256R1())
        self.rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.codes: dict[str, Json] = {}
        self.authorize_url = f"{self.url}/oauth/authorize"

    @property
    def auth(self) -> str:
        """The issuer in Supabase's tokens."""
        return f"{self.url}/auth/v1"

    def keys(self) -> Json:
        """The key set: one key for ES256, one for RS256, and a secret that nobody may check tokens with."""
        main = {**ECAlgorithm.to_jwk(self.ec_key.public_key(), as_dict=True), "kid": MAIN_KEY, "use": "sig"}
        other = {**RSAAlgorithm.to_jwk(self.rsa_key.public_key(), as_dict=True), "kid": OTHER_KEY, "alg": "RS256"}
        secret = {"kty": "oct", "kid": "secret", "alg": "HS256", "k": base64.urlsafe_b64encode(b"s" * 32).decode()}
        return {"keys": [main, other, secret, {"kty": "EC"}, "nonsense"]}

    def access_token(self, sub: str = "sb-1", *, key: str = MAIN_KEY, kid: str | None = None, **claims: Any) -> str:
        """An access token as Supabase issues them; a claim of None is left out."""
        now = int(time.time())
        usual = {"iss": self.auth, "aud": "authenticated", "role": "authenticated", "iat": now, "exp": now + 3600}
        chosen = {**usual, "sub": sub, "is_anonymous": False, **claims}
        return self.sign({name: value for name, value in chosen.items() if value is not None}, key, kid)

    def sign(self, claims: Json, key: str = OTHER_KEY, kid: str | None = None) -> str:
        """`claims` as a token."""
        headers = {"kid": kid or key}
        if key == MAIN_KEY:
            return jwt.encode(claims, self.ec_key, "ES256", headers)
        return jwt.encode(claims, self.rsa_key, "RS256", headers)

    def approve(self, sign_in_url: str) -> str:
        """Sign in at `sign_in_url` as a person does. Returns the address that the browser is sent back to."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(sign_in_url).query).items()}
        code = f"code-{len(self.codes)}"
        self.codes[code] = query
        back = {"code": code, "state": query["state"], "iss": self.url}
        return f"{query['redirect_uri']}?{urlencode(back)}"

    def answer(self, method: str, path: str, body: str, headers: Any) -> tuple[int, Json]:
        """What is answered, apart from the page where people sign in."""
        if not self.open:
            return 500, {}
        if path.endswith("/jwks.json") or path == "/oauth/keys":
            return 200, self.keys()
        if path == "/.well-known/openid-configuration":
            names = {"token_endpoint": "token", "jwks_uri": "keys", "userinfo_endpoint": "userinfo"}
            places = {name: f"{self.url}/oauth/{place}" for name, place in names.items()}
            return 200, {"issuer": self.url, "authorization_endpoint": self.authorize_url, **places}
        if path == "/oauth/token" and method == "POST":
            return self._tokens({name: values[0] for name, values in parse_qs(body).items()}, headers)
        if path == "/oauth/userinfo" and headers.get("Authorization") == "Bearer at":
            return 200, self.person
        return 404, {}

    def _tokens(self, form: dict[str, str], headers: Any) -> tuple[int, Json]:
        wanted = "Basic " + base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        asked = self.codes.pop(form["code"], None)
        hashed = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=").decode()
        if (
            asked is None
            or headers.get("Authorization") != wanted
            or asked["code_challenge"] != hashed
            or asked["redirect_uri"] != form["redirect_uri"]
        ):
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        usual = {"iss": self.url, "aud": CLIENT_ID, "iat": now, "exp": now + 600, "nonce": asked["nonce"]}
        claims = {**usual, "sub": self.person["sub"], "name": self.person.get("name"), **self.spoil}
        return 200, {"access_token": "at", "id_token": self.sign(claims)}


@contextmanager
def issuing() -> Iterator[Issuer]:
    """An issuer behind a server on a loopback port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.asked.append(urlsplit(self.path).path)
            if self.path.startswith("/oauth/authorize"):
                self.send_response(302)
                self.send_header("Location", issuer.approve(self.path))
                self.send_header("X-Frame-Options", "DENY")
                self.end_headers()
                return
            length = int(self.headers.get("Content-Length", "0"))
            path, body = urlsplit(self.path).path, self.rfile.read(length).decode()
            status, found = issuer.answer(self.command, path, body, self.headers)
            text = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_POST = do_GET  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    issuer = Issuer(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
