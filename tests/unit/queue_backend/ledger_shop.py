"""A small ledger with holders that do as they are told, for tests of what it decides."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from queue_backend.ledger import DeviceStatus, GivingWay, Holding, Ledger, Need, Part

BUDGET = 100


class Shop:
    """A ledger of one device of 100 bytes, and holders that give way as they are told, or as `answers` says."""

    def __init__(self, **budgets: int) -> None:
        self.ledger = Ledger(budgets or {"cuda:0": BUDGET}, self._give_way, now=lambda: 1000.0)
        self.asked: list[GivingWay] = []
        self.answers: dict[str, Callable[[GivingWay], Holding | None]] = {}
        self.gate = asyncio.Event()
        self.gate.set()

    async def _give_way(self, giving: GivingWay) -> Holding | None:
        self.asked.append(giving)
        await self.gate.wait()
        if giving.holder in self.answers:
            return self.answers[giving.holder](giving)
        if giving.whole:
            return None
        holder = next(known for known in self.device.holders if known.holder == giving.holder)
        kept = {name: count for name, count in holder.parts.items() if name not in giving.parts}
        return Holding(parts=kept, context_bytes=holder.context_bytes)

    @property
    def device(self) -> DeviceStatus:
        return self.ledger.status()[0]

    @property
    def occupied(self) -> int:
        return self.device.held_bytes + self.device.working_bytes

    @property
    def went(self) -> list[tuple[str, tuple[str, ...]]]:
        return [(giving.holder, ("whole",) if giving.whole else giving.parts) for giving in self.asked]

    async def leave_idle(self, *needs: Need) -> None:
        for each in needs:
            await self.ledger.reserve(each)
            self.ledger.settle(each.holder, None)


def need(holder: str, *, working: int = 0, context: int = 0, device: str = "cuda:0", **parts: tuple[int, int]) -> Need:
    return Need(
        device=device,
        holder=holder,
        parts=tuple(Part(name=name, bytes=count, rank=rank) for name, (count, rank) in parts.items()),
        working_bytes=working,
        context_bytes=context,
    )


async def quiet() -> None:
    """Let everything happen that waits for nothing."""
    for _ in range(30):
        await asyncio.sleep(0)
