"""What the benchmarks share: a row of the table, and taking times."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measured figure."""

    name: str
    value: float
    unit: str
    note: str = ""

    def as_json(self) -> dict[str, object]:
        return asdict(self)


@contextmanager
def stopwatch() -> Iterator[Callable[[], float]]:
    """Seconds since the block began; stands still once the block has ended."""
    start = time.perf_counter()
    end: list[float] = []
    try:
        yield lambda: (end[0] if end else time.perf_counter()) - start
    finally:
        end.append(time.perf_counter())
