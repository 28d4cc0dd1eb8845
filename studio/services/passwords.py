"""Passwords: what one must be like, and their argon2id hashes."""

from __future__ import annotations

import secrets
import threading
import unicodedata

from pwdlib import PasswordHash
from pwdlib.hashers import HasherProtocol
from pwdlib.hashers.argon2 import Argon2Hasher

from studio.errors import InvalidInput

MIN_PASSWORD_CHARS = 8
MAX_PASSWORD_CHARS = 200
MAX_HASHING_AT_ONCE = 2
"""A hash takes 64 MiB and a tenth of a second by design: more at once would let strangers use up the machine."""


class Passwords:
    """Makes and checks hashes. Both take long: call them in a thread, and never inside a transaction."""

    def __init__(self, hasher: HasherProtocol | None = None) -> None:
        """`hasher` is argon2id with pwdlib's figures unless another is given."""
        self._hasher = PasswordHash((hasher or Argon2Hasher(),))
        self._hashing = threading.BoundedSemaphore(MAX_HASHING_AT_ONCE)
        self._nobodys = self._hasher.hash(secrets.token_bytes(16))

    def check(self, password: str, email: str | None) -> None:
        """Raises InvalidInput, in words, for a password that may not be chosen for the account of `email`."""
        if not MIN_PASSWORD_CHARS <= len(password) <= MAX_PASSWORD_CHARS:
            raise InvalidInput(
                f"A password has {MIN_PASSWORD_CHARS} to {MAX_PASSWORD_CHARS} characters.", field="password"
            )
        if email is not None and password.strip().casefold() in {email.casefold(), email.partition("@")[0].casefold()}:
            raise InvalidInput("The password must not be the address.", field="password")

    def hash(self, password: str) -> str:
        """The hash to keep, with its salt and figures."""
        with self._hashing:
            return self._hasher.hash(_bytes(password))

    def verify(self, password: str, password_hash: str | None) -> bool:
        """Whether `password` is the one behind the hash. Takes as long for None, which no password fits."""
        fits = len(password) <= MAX_PASSWORD_CHARS
        with self._hashing:
            same = self._hasher.verify(_bytes(password[:MAX_PASSWORD_CHARS]), password_hash or self._nobodys)
        return same and fits and password_hash is not None


def _bytes(password: str) -> bytes:
    # One keyboard sends é as a letter, another as e and an accent: the same password (NIST SP 800-63B, 3.1.1.2).
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
