"""Long answers end when the studio begins to stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from studio.web.stopping import Stopping


class Source:
    """A stream of numbers that never ends by itself."""

    def __init__(self, ready: int) -> None:
        self.ready = ready
        self.closed = False

    async def numbers(self) -> AsyncGenerator[int]:
        try:
            for number in range(self.ready):
                yield number
            await asyncio.Event().wait()
        finally:
            self.closed = True


async def test_a_stream_ends_and_is_closed() -> None:
    stopping, source = Stopping(), Source(3)
    seen = []
    async for number in stopping.cut_short(source.numbers()):
        seen.append(number)
        if number == 2:
            asyncio.get_running_loop().call_soon(stopping.begin)
    assert seen == [0, 1, 2]
    assert source.closed
    assert stopping.begun


async def test_a_reader_that_goes_away_closes_the_stream() -> None:
    source = Source(3)
    stream = Stopping().cut_short(source.numbers())
    assert await anext(stream) == 0
    await stream.aclose()
    assert source.closed


async def test_a_cancelled_reader_closes_the_stream() -> None:
    source = Source(0)
    stream = Stopping().cut_short(source.numbers())
    reading = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.wait((reading,))
    await stream.aclose()
    assert source.closed
