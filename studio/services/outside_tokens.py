"""Reads the tokens of outside issuers (JSON Web Tokens, RFC 7519), signed with keys that the issuer publishes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jwt

from studio.services.issuers import Kept, read

ALGORITHMS = ("RS256", "ES256", "EdDSA")
"""Asymmetric ones alone: with a shared secret, whoever can check tokens could make them."""
REQUIRED = ("exp", "iss", "aud", "sub")
LEEWAY_S = 30
MAX_TOKEN_CHARS = 16_384
MAX_SUBJECT_CHARS = 255
Json = dict[str, Any]
Keys = dict[str, jwt.PyJWK]


class TokenRefused(Exception):
    """A token that does not hold. The message says why, without anything that the token holds."""


class TokenReader:
    """Says what a token claims, if the issuer signed it for this audience. Blocks when keys must be fetched."""

    def __init__(self, keys_url: Callable[[], str], *, issuer: str, audience: str) -> None:
        """`keys_url` tells where the issuer publishes its keys (JSON Web Key Set, RFC 7517)."""
        self._keys: Kept[Keys] = Kept(lambda: usable_keys(read(keys_url())))
        self._issuer = issuer
        self._audience = audience

    def read(self, token: str) -> Json:
        """The claims. Raises TokenRefused, or Unavailable where the issuer's keys cannot be had."""
        key = self._key_of(token)
        try:
            claims: Json = jwt.decode(
                token,
                key,
                [key.algorithm_name],
                audience=self._audience,
                issuer=self._issuer,
                leeway=LEEWAY_S,
                options={"require": [*REQUIRED], "enforce_minimum_key_length": True},
            )
        except jwt.PyJWTError as error:
            raise TokenRefused(type(error).__name__) from error
        if not 0 < len(claims["sub"]) <= MAX_SUBJECT_CHARS:
            raise TokenRefused("the subject is empty or too long")
        return claims

    def _key_of(self, token: str) -> jwt.PyJWK:
        if len(token) > MAX_TOKEN_CHARS:
            raise TokenRefused("it is too long")
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError as error:
            raise TokenRefused(type(error).__name__) from error
        key_id = header.get("kid")
        if header.get("alg") not in ALGORITHMS or not isinstance(key_id, str):
            raise TokenRefused("it names no key, or an algorithm that is not accepted")
        key = self._keys.get(lambda keys: key_id in keys).get(key_id)
        if key is None:
            raise TokenRefused("its issuer has no such key")
        return key


def usable_keys(key_set: Json) -> Keys:
    """The keys of a set that may sign, by their names. Others are left out: secrets, keys for encryption, unknown
    kinds."""
    found = key_set.get("keys")
    keys: Keys = {}
    for one in found if isinstance(found, list) else []:
        if not isinstance(one, dict) or one.get("use", "sig") != "sig" or not isinstance(one.get("kid"), str):
            continue
        try:
            key = jwt.PyJWK(one)
        except jwt.PyJWTError:
            continue
        if key.algorithm_name in ALGORITHMS:
            keys[one["kid"]] = key
    return keys
