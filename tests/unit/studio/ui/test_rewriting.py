"""A rewriting that is watched ends where it is stopped, and lets go of the worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from studio.services.enhancing import Rewriting
from studio.ui.tabs.rewriting import until


class Source:
    """Two texts, then nothing for ever, or an error. Knows whether it was closed."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.closed = False

    async def stream(self) -> AsyncGenerator[Rewriting]:
        try:
            yield Rewriting(text="a")
            yield Rewriting(text="a boat")
            if self.error is not None:
                raise self.error
            await asyncio.Event().wait()
        finally:
            self.closed = True


async def test_it_ends_at_once_when_it_is_stopped_while_nothing_comes() -> None:
    source, stopped, seen = Source(), asyncio.Event(), []
    async for rewriting in until(stopped, source.stream()):
        seen.append(rewriting.text)
        if len(seen) == 2:
            asyncio.get_running_loop().call_soon(stopped.set)
    assert seen == ["a", "a boat"]
    assert source.closed


async def test_what_goes_wrong_in_it_comes_out() -> None:
    source = Source(error=LookupError("no model"))
    with pytest.raises(LookupError):
        async for _ in until(asyncio.Event(), source.stream()):
            pass
    assert source.closed


async def test_who_goes_away_closes_it() -> None:
    source = Source()
    watched = until(asyncio.Event(), source.stream())
    await anext(watched)
    await watched.aclose()
    assert source.closed
    assert asyncio.all_tasks() == {asyncio.current_task()}
