"""A cache of what was encoded: the same prompt again, and the negative prompt of every job, cost no encoder call."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

CACHED_TEXTS = 64

Embedding = TypeVar("Embedding")


class TextCache(Generic[Embedding]):
    """Keeps what `encode` gave for the `capacity` texts used last; `hits` and `misses` count over the cache's life.

    The key is (checkpoint fingerprint, text), so that a cache can never answer for another model.
    """

    def __init__(self, fingerprint: str, encode: Callable[[str], Embedding], capacity: int = CACHED_TEXTS) -> None:
        self._fingerprint = fingerprint
        self._encode = encode
        self._capacity = capacity
        self._kept: OrderedDict[tuple[str, str], Embedding] = OrderedDict()
        self.hits = 0
        self.misses = 0

    def get(self, text: str) -> Embedding:
        """Return the embedding of `text`, encoded only if it is not at hand."""
        key = (self._fingerprint, text)
        if key in self._kept:
            self._kept.move_to_end(key)
            self.hits += 1
            return self._kept[key]
        self.misses += 1
        embedding = self._encode(text)
        self._kept[key] = embedding
        if len(self._kept) > self._capacity:
            self._kept.popitem(last=False)
        return embedding
