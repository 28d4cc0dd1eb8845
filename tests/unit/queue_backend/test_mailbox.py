from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queue_backend.mailbox import ProgressMailbox


def report(step: int, preview: bytes | None = None) -> SimpleNamespace:
    return SimpleNamespace(step=step, preview=preview)


async def deliver(mailbox: ProgressMailbox) -> list[SimpleNamespace]:
    delivered: list[SimpleNamespace] = []

    async def on_progress(progress: SimpleNamespace) -> None:
        delivered.append(progress)

    mailbox.close()
    await mailbox.deliver(on_progress)
    return delivered


async def test_nothing_to_deliver():
    assert await deliver(ProgressMailbox()) == []


async def test_a_slow_reader_gets_the_newest_and_the_last_preview():
    mailbox = ProgressMailbox()
    for progress in (report(1, b"old"), report(2, b"new"), report(3), report(4)):
        mailbox.put(progress)
    assert await deliver(mailbox) == [report(2, b"new"), report(4)]


@given(previews=st.lists(st.booleans(), min_size=1))
def test_whatever_came_the_newest_report_and_the_last_preview_arrive_in_order(previews: list[bool]):
    async def scenario() -> None:
        mailbox = ProgressMailbox()
        sent = [report(step, b"tile" if preview else None) for step, preview in enumerate(previews)]
        for progress in sent:
            mailbox.put(progress)
        delivered = await deliver(mailbox)
        assert delivered[-1] == sent[-1]
        assert len(delivered) <= 2
        assert [each.step for each in delivered] == sorted({each.step for each in delivered})
        assert [each for each in delivered if each.preview][-1:] == [each for each in sent if each.preview][-1:]

    asyncio.run(scenario())


async def test_reports_are_awaited_one_by_one_while_others_arrive():
    mailbox, delivered = ProgressMailbox(), []

    async def on_progress(progress: SimpleNamespace) -> None:
        if progress.step == 1:
            for step in (2, 3):
                mailbox.put(report(step))
            mailbox.close()
        delivered.append(progress.step)

    mailbox.put(report(1))
    await mailbox.deliver(on_progress)
    assert delivered == [1, 3]


async def test_what_the_reader_raises_ends_the_delivery():
    async def on_progress(progress: SimpleNamespace) -> None:
        raise LookupError

    mailbox = ProgressMailbox()
    mailbox.put(report(1))
    with pytest.raises(LookupError):
        await mailbox.deliver(on_progress)
