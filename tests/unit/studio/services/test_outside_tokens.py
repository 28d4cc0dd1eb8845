"""Tokens of outside issuers: which hold, and for nothing else."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import RSAAlgorithm

from studio.errors import Unavailable
from studio.services.outside_tokens import LEEWAY_S, MAX_TOKEN_CHARS, TokenReader, TokenRefused, usable_keys
from tests.integration.issuer import MAIN_KEY, OTHER_KEY, Issuer, issuing

KEYS_PATH = "/auth/v1/.well-known/jwks.json"


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with issuing() as one:
        yield one


@pytest.fixture
def reader(issuer: Issuer) -> TokenReader:
    return TokenReader(lambda: issuer.url + KEYS_PATH, issuer=issuer.auth, audience="authenticated")


def with_header(token: str, **changes: object) -> str:
    """The token with another header, its signature left as it is."""
    head, claims, signature = token.split(".")
    header = {**json.loads(base64.urlsafe_b64decode(head + "==")), **changes}
    return f"{base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b'=').decode()}.{claims}.{signature}"


def test_tokens_of_either_key_hold_and_the_keys_are_asked_for_once(issuer: Issuer, reader: TokenReader):
    for key in (MAIN_KEY, OTHER_KEY, MAIN_KEY):
        assert reader.read(issuer.access_token("sb-7", key=key))["sub"] == "sb-7"
    assert issuer.asked == [KEYS_PATH]


def hmac_with_public_key(issuer: Issuer) -> str:
    """The oldest trick: the public key as the secret of HS256. PyJWT would not sign so; it is done by hand."""
    secret = issuer.ec_key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    token = issuer.access_token()
    head = with_header(token, alg="HS256").split(".")[0]
    signed = f"{head}.{token.split('.')[1]}"

    signature = hmac.digest(secret, signed.encode(), hashlib.sha256)
    return f"{signed}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def signed_by_a_stranger(issuer: Issuer) -> str:
    claims = jwt.decode(issuer.access_token(), options={"verify_signature": False})
    return jwt.encode(claims, ec.generate_private_key(ec.SECP256R1()), "ES256", {"kid": MAIN_KEY})


def with_another_subject(issuer: Issuer) -> str:
    head, _, signature = issuer.access_token().split(".")
    return f"{head}.{issuer.access_token('somebody-else').split('.')[1]}.{signature}"


FORGED: dict[str, Callable[[Issuer], str]] = {
    "a stranger's signature": signed_by_a_stranger,
    "another subject": with_another_subject,
    "HS256 with the public key": hmac_with_public_key,
    "HS256 with the published secret": lambda issuer: jwt.encode(
        {"sub": "sb-1"}, b"s" * 32, "HS256", {"kid": "secret"}
    ),
    "none": lambda issuer: with_header(issuer.access_token(), alg="none").rpartition(".")[0] + ".",
    "an algorithm of another key": lambda issuer: with_header(issuer.access_token(), alg="RS256"),
    "a name that no key has": lambda issuer: issuer.access_token(kid="unknown"),
    "no name of a key": lambda issuer: with_header(issuer.access_token(), kid=None),
    "another issuer": lambda issuer: issuer.access_token(iss=issuer.url),
    "an issuer that begins the same": lambda issuer: issuer.access_token(iss=issuer.auth + "/x"),
    "another audience": lambda issuer: issuer.access_token(aud="anon"),
    "expired": lambda issuer: issuer.access_token(exp=int(time.time()) - LEEWAY_S - 5),
    "not valid yet": lambda issuer: issuer.access_token(nbf=int(time.time()) + LEEWAY_S + 60),
    "no end": lambda issuer: issuer.access_token(exp=None),
    "no subject": lambda issuer: issuer.access_token(sub=None),  # type: ignore[arg-type]
    "an empty subject": lambda issuer: issuer.access_token(sub=""),
    "a long subject": lambda issuer: issuer.access_token(sub="s" * 300),
    "a subject that is a number": lambda issuer: issuer.access_token(sub=7),  # type: ignore[arg-type]
    "no audience": lambda issuer: issuer.access_token(aud=None),
    "no issuer": lambda issuer: issuer.access_token(iss=None),
    "too long": lambda issuer: issuer.access_token(note="n" * MAX_TOKEN_CHARS),
    "nonsense": lambda issuer: "a.b.c",
    "no JSON": lambda issuer: "eyJhbGciOiJFUzI1NiJ9.!!.!!",
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
def test_what_the_issuer_did_not_sign_for_us_is_refused_without_a_word_of_it(
    issuer: Issuer, reader: TokenReader, forge: Callable[[Issuer], str]
):
    token = forge(issuer)
    with pytest.raises(TokenRefused) as refused:
        reader.read(token)
    assert not any(len(part) > 2 and part in str(refused.value) for part in token.split("."))


def test_a_token_just_over_still_holds_as_clocks_differ(issuer: Issuer, reader: TokenReader):
    assert reader.read(issuer.access_token(exp=int(time.time()) - LEEWAY_S + 20))


def test_a_flood_of_unknown_keys_does_not_reach_the_issuer(issuer: Issuer, reader: TokenReader):
    reader.read(issuer.access_token())
    for number in range(300):
        with pytest.raises(TokenRefused):
            reader.read(issuer.access_token(kid=f"made-up-{number}"))
    assert len(issuer.asked) == 1
    assert reader.read(issuer.access_token())


def test_algorithms_that_are_not_accepted_never_ask_for_keys(issuer: Issuer, reader: TokenReader):
    for number in range(3):
        with pytest.raises(TokenRefused):
            reader.read(jwt.encode({"sub": "1"}, "s" * 32, "HS256", {"kid": f"k{number}"}))
    assert issuer.asked == []


def test_without_keys_nothing_is_said_about_a_token(issuer: Issuer, reader: TokenReader):
    issuer.open = False
    for _ in range(5):
        with pytest.raises(Unavailable):
            reader.read(issuer.access_token())
    assert len(issuer.asked) == 1


def test_only_public_keys_for_signing_are_used(issuer: Issuer):
    assert set(usable_keys(issuer.keys())) == {MAIN_KEY, OTHER_KEY}
    assert usable_keys({"keys": None}) == usable_keys({}) == {}
    encrypts = [{**one, "use": "enc"} for one in issuer.keys()["keys"][:2]]
    assert usable_keys({"keys": encrypts}) == {}


def test_a_weak_key_is_no_key(issuer: Issuer, reader: TokenReader, monkeypatch: pytest.MonkeyPatch):
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    published = {**RSAAlgorithm.to_jwk(weak.public_key(), as_dict=True), "kid": OTHER_KEY, "alg": "RS256"}
    monkeypatch.setattr(issuer, "rsa_key", weak)
    monkeypatch.setattr(issuer, "keys", lambda: {"keys": [published]})
    with pytest.warns(jwt.InsecureKeyLengthWarning):
        token = issuer.access_token(key=OTHER_KEY)
    with pytest.raises(TokenRefused):
        reader.read(token)
