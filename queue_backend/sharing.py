"""Workers and the ledger: a run's memory is reserved before it begins, and idle workers give way to it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from queue_backend.errors import RunFailed
from queue_backend.ledger import DeviceStatus, DoesNotFit, GivingWay, Holding, Ledger, Need, Part
from queue_backend.messages import Memory
from queue_backend.slots import Slot

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Demand:
    """What a run needs of its device, in bytes: `parts` stay when it has ended, `working_bytes` come on top of them and
    of the process while it runs. `advice` is told to its person where that cannot be had."""

    parts: tuple[Part, ...] = ()
    working_bytes: int = 0
    advice: str = "The device has too little memory for this."


class MemorySharing:
    """Keeps the ledger of `slots`. A device without a budget is shared by nobody's rules."""

    def __init__(self, budgets: Mapping[str, int], slots: Sequence[Slot], leave_grace_s: float) -> None:
        self._slots = {slot.name: slot for slot in slots}
        self._budgets = budgets
        self._leave_grace_s = leave_grace_s
        self._ledger = Ledger(budgets, self._give_way)

    def rules(self, slot: Slot) -> bool:
        """Whether the slot's device has a budget."""
        return slot.spec.device in self._budgets

    async def reserve(self, slot: Slot, demand: Demand) -> None:
        """Wait until the memory of a run is there for it; `slot` is its run's own. Raises RunFailed with the code
        "out_of_memory" where it can never be, or "cancelled" where `stop_waiting` was called."""
        if not self.rules(slot) or slot.reserved:
            return
        need = Need(
            device=slot.spec.device,
            holder=slot.name,
            parts=demand.parts,
            working_bytes=demand.working_bytes,
            context_bytes=slot.context_bytes,
        )
        slot.reserving = asyncio.create_task(self._book(slot, need), name=f"reserve for {slot.name}")
        try:
            await slot.reserving
        except asyncio.CancelledError:
            if slot.cancelled and not _is_being_cancelled():
                raise RunFailed("The run was cancelled while it waited for memory.", code="cancelled") from None
            raise
        except DoesNotFit as too_much:
            log.warning("%s", too_much)
            raise RunFailed(demand.advice, code="out_of_memory") from too_much
        finally:
            slot.reserving = None

    async def _book(self, slot: Slot, need: Need) -> None:
        await self._ledger.reserve(need)
        slot.reserved = True  # in one step with the booking: who is cancelled now still settles it

    @staticmethod
    def stop_waiting(slot: Slot) -> None:
        """The run of `slot` is not wanted any more: if it waits for memory, it does so no longer."""
        if slot.reserving is not None:
            slot.reserving.cancel()

    def settle(self, slot: Slot) -> None:
        """The run of `slot` is over: its working memory is free, and what is held is what its process says."""
        if slot.reserved:
            slot.reserved = False
            self._ledger.settle(slot.name, _holding(slot.memory))

    def forget(self, slot: Slot) -> None:
        """The process of `slot` is gone, and everything it held is free."""
        slot.reserved = False
        self._ledger.forget(slot.name)

    def has_room_for(self, slot: Slot) -> bool:
        """Whether the slot's process could start without anybody giving way."""
        for device in self._ledger.status():
            if device.device == slot.spec.device:
                free_bytes = device.budget_bytes - device.held_bytes - device.working_bytes
                return not device.waiting and slot.context_bytes <= free_bytes
        return True

    def status(self) -> list[DeviceStatus]:
        """Every device: its budget, who holds what, and who gave way last."""
        return self._ledger.status()

    async def _give_way(self, going: GivingWay) -> Holding | None:
        slot = self._slots[going.holder]
        worker = slot.worker
        if worker is None or worker.ended.is_set():
            return None
        what = "the whole worker" if going.whole else ", ".join(going.parts)
        log.info("%s gives way with %s (%.2f GB): %s", going.holder, what, going.bytes / 1e9, going.reason)
        if going.whole:
            await worker.shutdown(self._leave_grace_s, f"gave way: {going.reason}")
            return None
        memory = await worker.give_way(going.parts)
        if memory is None and not worker.ended.is_set():
            raise RuntimeError(f"{going.holder} does not say what it holds.")
        return _holding(memory)


def _holding(memory: Memory | None) -> Holding | None:
    return None if memory is None else Holding(parts=dict(memory.parts), context_bytes=memory.context_bytes)


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
