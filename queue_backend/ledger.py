"""Who holds how many bytes of which device, whose run is next, and what must give way for it.

Knows neither models nor processes: how something gives way is the caller's. The arithmetic is device_memory's.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Awaitable, Callable, Mapping

from queue_backend.device_memory import (
    Candidate,
    Device,
    DeviceStatus,
    GivenWay,
    GivingWay,
    Holder,
    HolderStatus,
    Holding,
    Need,
    Part,
)

__all__ = [
    "DeviceStatus",
    "DoesNotFit",
    "GiveWay",
    "GivenWay",
    "GivingWay",
    "HolderStatus",
    "Holding",
    "Ledger",
    "Need",
    "Part",
]

_logger = logging.getLogger(__name__)


class DoesNotFit(Exception):
    """A run cannot have its memory. Where `need_bytes` are no more than `budget_bytes`, the device is large enough, but
    what others hold did not come free."""

    def __init__(self, sentence: str, *, need_bytes: int, budget_bytes: int) -> None:
        super().__init__(sentence)
        self.need_bytes = need_bytes
        self.budget_bytes = budget_bytes


GiveWay = Callable[[GivingWay], Awaitable[Holding | None]]
"""Has a holder give way and returns what it then holds; None: its process is gone."""


class Ledger:
    """Shares the devices' memory, `budgets` in bytes, among holders. Belongs to one event loop.

    Every run is reserved before it begins, strictly in order of arrival on each device, and settled when it has ended;
    a running holder waits for nothing here, so each reservation is granted in the end. `now` gives Unix time.
    """

    def __init__(self, budgets: Mapping[str, int], give_way: GiveWay, *, now: Callable[[], float] = time.time) -> None:
        self._devices = {name: Device(name, budget) for name, budget in budgets.items()}
        self._give_way = give_way
        self._now = now
        self._ticks = itertools.count(1)
        self._leaving: set[asyncio.Task[None]] = set()

    async def reserve(self, need: Need) -> None:
        """Wait until the need's bytes are free and keep them for its holder, until `settle` or `forget`.

        Idle holders give way, the lowest rank first and no more of them than it takes; what fits stays. Where all that
        is idle is not enough, nothing gives way until a run has ended. A holder runs once at a time. Cancelled, it
        keeps nothing. Raises DoesNotFit: at once, if it would not fit with everything else gone; later, if too little
        comes free although nothing runs any more. An unknown device is a KeyError.
        """
        device = self._devices[need.device]
        if need.total_bytes > device.budget_bytes:
            raise _too_large(need, device)
        device.waiting += 1
        try:
            async with device.turn:
                device.try_again()
                while not self._admit(device, need):
                    device.changed.clear()
                    await device.changed.wait()
        finally:
            device.waiting -= 1

    def settle(self, holder: str, holding: Holding | None) -> None:
        """The holder's run has ended: its working bytes are free. `holding` is what was measured since, None: what was
        planned stays. A holder that was forgotten stays so."""
        for device in self._devices.values():
            if (known := device.holders.get(holder)) is not None:
                known.running = False
                known.working_bytes = 0
                known.used = next(self._ticks)
                known.refused.clear()
                if holding is not None:
                    known.measured(holding)
                device.changed.set()

    def correct(self, holder: str, holding: Holding, *, device: str | None = None) -> None:
        """A measurement outside a run. What is reserved for a run stays counted meanwhile, if it is more.

        A holder that never ran is counted on `device`, and not at all without one.
        """
        if device is not None and not any(holder in known.holders for known in self._devices.values()):
            self._devices[device].holders[holder] = Holder(name=holder, used=next(self._ticks))
        for known_device in self._devices.values():
            if (known := known_device.holders.get(holder)) is not None:
                known.measured(known.at_least(holding.parts, holding.context_bytes) if known.running else holding)
                known_device.changed.set()

    def forget(self, holder: str) -> None:
        """The holder's process is gone: everything of it is free, its run's reservation included. Idempotent."""
        for device in self._devices.values():
            if device.holders.pop(holder, None) is not None:
                device.changed.set()

    def status(self) -> list[DeviceStatus]:
        """Every device, in the order of the budgets."""
        return [device.status() for device in self._devices.values()]

    def _admit(self, device: Device, need: Need) -> bool:
        """Reserve if there is room. If there is not, see to it that some change will come, or raise DoesNotFit."""
        holder = device.holders.get(need.holder) or Holder(name=need.holder)
        if not holder.is_busy:
            missing_bytes = device.missing_bytes(need, holder)
            if missing_bytes <= 0:
                device.holders[need.holder] = holder
                holder.book(need)
                return True
            for candidates in device.choose(need, missing_bytes - device.leaving_bytes):
                self._begin_leaving(
                    device, candidates, f"{need.holder} needs {_in_words(missing_bytes)} more for its run"
                )
            if not any(other.is_busy for other in device.holders.values()):
                raise _stuck(need, device)
        return False

    def _begin_leaving(self, device: Device, candidates: list[Candidate], reason: str) -> None:
        holder = candidates[0].holder
        whole = any(candidate.part is None for candidate in candidates)
        parts = tuple(holder.parts) if whole else tuple(candidate.part for candidate in candidates if candidate.part)
        giving = GivingWay(
            device=device.name,
            holder=holder.name,
            parts=parts,
            whole=whole,
            bytes=holder.total_bytes if whole else sum(holder.parts[part] for part in parts),
            reason=reason,
        )
        holder.leaving_bytes = giving.bytes
        # A task of its own: the holder goes on giving way, and what it then holds is noted, if the run that asked for
        # it is cancelled meanwhile.
        task = asyncio.create_task(self._leave(device, holder, giving), name=f"give way: {holder.name}")
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def _leave(self, device: Device, holder: Holder, giving: GivingWay) -> None:
        before_bytes = holder.total_bytes
        try:
            holding = await self._give_way(giving)
        except Exception:  # whatever it is, the bytes stay counted and others give way: the device must not stand still
            _logger.exception("%s could not give way, although %s.", giving.holder, giving.reason)
            holder.refused.update([None] if giving.whole else giving.parts)
        else:
            here = device.holders.get(holder.name) is holder  # else forgotten meanwhile, perhaps with a new process
            if here and holding is None:
                del device.holders[holder.name]
            elif here and holding is not None:
                holder.measured(holding)
                holder.refused.update(
                    [None] if giving.whole else [part for part in giving.parts if part in holder.parts]
                )
            left_bytes = holder.total_bytes if here and holding is not None else 0
            device.note(giving, max(0, before_bytes - left_bytes), self._now())
        finally:
            holder.leaving_bytes = 0
            device.changed.set()


def _in_words(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"


def _too_large(need: Need, device: Device) -> DoesNotFit:
    has, needs = _in_words(device.budget_bytes), _in_words(need.total_bytes)
    sentence = f"{need.holder} needs {needs} for its run, and {device.name} has {has} in all."
    return DoesNotFit(sentence, need_bytes=need.total_bytes, budget_bytes=device.budget_bytes)


def _stuck(need: Need, device: Device) -> DoesNotFit:
    needs = _in_words(need.total_bytes)
    sentence = f"{need.holder} needs {needs} of {device.name} for its run, and others could not give way."
    return DoesNotFit(sentence, need_bytes=need.total_bytes, budget_bytes=device.budget_bytes)
