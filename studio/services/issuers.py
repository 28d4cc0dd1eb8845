"""Asks outside issuers of identities over HTTP, within bounds, and keeps what changes seldom."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

import httpx

from studio.errors import Unavailable

log = logging.getLogger(__name__)

TIMEOUT_S = 5.0
"""For a whole question: one that trickles in is given up as well."""
MAX_ANSWER_BYTES = 256 * 1024
RETRY_S = 30.0
"""An issuer is asked again for the same thing no sooner, whatever is sent to the studio meanwhile."""
KEPT_S = 10 * 60.0
USABLE_S = 60 * 60.0
"""How long an answer is used while a newer one cannot be had."""
UNREACHABLE = "The service that confirms sign-ins cannot be reached. Try again in a moment."
Json = dict[str, Any]
ValueT = TypeVar("ValueT")


def ask(method: str, url: str, **options: Any) -> tuple[int, Json]:
    """The status and the JSON object that `url` answers; `options` are httpx's. Follows no redirect.

    Raises Unavailable for what does not answer in time, in size or in JSON. Blocks for up to TIMEOUT_S.
    """
    end = time.monotonic() + TIMEOUT_S
    body = bytearray()
    try:
        with httpx.Client(timeout=TIMEOUT_S) as client, client.stream(method, url, **options) as answer:
            for chunk in answer.iter_bytes():
                body += chunk
                if len(body) > MAX_ANSWER_BYTES or time.monotonic() > end:
                    raise ValueError("The answer is too long.")
        found = json.loads(body)
        if not isinstance(found, dict):
            raise TypeError("The answer is no JSON object.")
    except (httpx.HTTPError, ValueError, TypeError) as error:
        log.warning("%s does not answer as it should: %s", urlsplit(url).netloc, type(error).__name__)
        raise Unavailable(UNREACHABLE, retry_after_s=RETRY_S) from error
    return answer.status_code, found


def read(url: str) -> Json:
    """What `url` answers with 200. Raises Unavailable. Blocks."""
    status, found = ask("GET", url)
    if status != httpx.codes.OK:
        log.warning("%s answers %d for %s.", urlsplit(url).netloc, status, urlsplit(url).path)
        raise Unavailable(UNREACHABLE, retry_after_s=RETRY_S)
    return found


class Kept(Generic[ValueT]):
    """Something of an issuer's that is read when it is needed and kept: its keys, its addresses."""

    def __init__(self, read_anew: Callable[[], ValueT], clock: Callable[[], float] = time.monotonic) -> None:
        """`read_anew` blocks, and raises Unavailable."""
        self._read_anew = read_anew
        self._clock = clock
        self._lock = threading.Lock()
        self._value: ValueT | None = None
        self._read_at = self._tried_at = float("-inf")

    def get(self, suffices: Callable[[ValueT], bool] = lambda _value: True) -> ValueT:
        """The value; read anew if it is old or does not suffice, but never twice within RETRY_S.

        One caller asks the issuer at a time. The others wait for it only while nothing is known at all. Raises
        Unavailable where nothing is known that may still be used.
        """
        if self._is_due(suffices) and self._lock.acquire(blocking=self._usable() is None):
            try:
                if self._is_due(suffices):
                    self._renew()
            finally:
                self._lock.release()
        value = self._usable()
        if value is None:
            raise Unavailable(UNREACHABLE, retry_after_s=RETRY_S)
        return value

    def _usable(self) -> ValueT | None:
        return self._value if self._clock() < self._read_at + USABLE_S else None

    def _is_due(self, suffices: Callable[[ValueT], bool]) -> bool:
        now = self._clock()
        if now < self._tried_at + RETRY_S:
            return False
        return self._value is None or now >= self._read_at + KEPT_S or not suffices(self._value)

    def _renew(self) -> None:
        self._tried_at = self._clock()
        try:
            self._value = self._read_anew()
        except Unavailable:
            return  # it is logged; what is known goes on being used for a while
        self._read_at = self._clock()
