"""The arithmetic of a shared device: what each holder occupies, and what it takes to make room for a run.

A holder is a name, and its parts are names with bytes. Nothing here waits; the ledger does.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

PROCESS_RANK = 5
"""When a whole process gives way: after every part that is named in a need."""
KEPT_GIVEN_WAY = 10
"""How many of the last to give way a device's status names."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """Something that stays after a run and can give way by itself; the lowest rank goes first."""

    name: str
    bytes: int
    rank: int


@dataclass(frozen=True, kw_only=True)
class Need:
    """What one run of `holder` needs of `device`, in bytes: `parts` stay after it, `working_bytes` are used only while
    it runs, and `context_bytes` are what the holder's process occupies besides, also when it is idle."""

    device: str
    holder: str
    parts: tuple[Part, ...]
    working_bytes: int
    context_bytes: int
    context_rank: int = PROCESS_RANK

    @property
    def total_bytes(self) -> int:
        """What the run needs on an empty device."""
        return sum(part.bytes for part in self.parts) + self.working_bytes + self.context_bytes


@dataclass(frozen=True, kw_only=True)
class Holding:
    """What a holder is known to occupy between runs, in bytes."""

    parts: Mapping[str, int]
    context_bytes: int


@dataclass(frozen=True, kw_only=True)
class GivingWay:
    """`parts` of `holder`, `bytes` together, are to leave the device; `whole`: all of it, the process is to exit."""

    device: str
    holder: str
    parts: tuple[str, ...]
    whole: bool
    bytes: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class GivenWay(GivingWay):
    """What gave way, at Unix time `at` in seconds; `bytes` are those that really came free."""

    at: float


@dataclass(frozen=True, kw_only=True)
class HolderStatus:
    """What one holder occupies, in bytes; `working_bytes` are reserved while it is `running`."""

    holder: str
    parts: Mapping[str, int]
    context_bytes: int
    working_bytes: int
    running: bool


@dataclass(frozen=True, kw_only=True)
class DeviceStatus:
    """One device, in bytes: `held_bytes` stay between runs, `working_bytes` only while runs last; `waiting` counts the
    runs that wait for memory; `last_given_way` is newest first."""

    device: str
    budget_bytes: int
    held_bytes: int
    working_bytes: int
    holders: list[HolderStatus]
    waiting: int
    last_given_way: list[GivenWay]


@dataclass(kw_only=True)
class Holder:
    """What one holder occupies. `used` is the tick of its last run, `refused` what it would not give away (None: the
    whole process) to the run that is now at the head of the queue."""

    name: str
    parts: dict[str, int] = field(default_factory=dict)
    ranks: dict[str, int] = field(default_factory=dict)
    context_bytes: int = 0
    context_rank: int = PROCESS_RANK
    working_bytes: int = 0
    running: bool = False
    leaving_bytes: int = 0
    used: int = 0
    refused: set[str | None] = field(default_factory=set)

    @property
    def is_busy(self) -> bool:
        """Whether it runs, or is about to give something away."""
        return self.running or self.leaving_bytes > 0

    @property
    def total_bytes(self) -> int:
        return sum(self.parts.values()) + self.context_bytes + self.working_bytes

    def measured(self, holding: Holding) -> None:
        self.parts = {name: count for name, count in holding.parts.items() if count > 0}
        self.context_bytes = holding.context_bytes

    def at_least(self, parts: Mapping[str, int], context_bytes: int) -> Holding:
        """What is held, each part and the context raised to these bytes where they are more."""
        raised = {name: max(count, self.parts.get(name, 0)) for name, count in parts.items()}
        return Holding(parts={**self.parts, **raised}, context_bytes=max(context_bytes, self.context_bytes))

    def book(self, need: Need) -> None:
        self.measured(self.at_least({part.name: part.bytes for part in need.parts}, need.context_bytes))
        self.ranks.update({part.name: part.rank for part in need.parts})
        self.context_rank = need.context_rank
        self.working_bytes = need.working_bytes
        self.running = True

    def candidates(self, need: Need) -> list[Candidate]:
        """What it could give away for `need`, which may be its own: then what the need names stays, and last of all
        the process may begin anew, if it has outgrown the plan."""
        own = self.name == need.holder
        kept = {part.name: part.bytes for part in need.parts} if own else {}
        found = []
        whole_frees = max(0, self.context_bytes - (need.context_bytes if own else 0))
        for name, count in self.parts.items():
            rank = self.ranks.get(name, self.context_rank)
            if name in kept or name in self.refused:
                whole_frees += max(0, count - kept.get(name, 0))
            else:
                found.append(Candidate(holder=self, part=name, frees=count, order=(False, rank, 0, self.used)))
        if whole_frees > 0 and None not in self.refused:
            rank = max([self.context_rank, *(candidate.order[1] for candidate in found)])
            # A process that has nothing left to lose goes before one that takes parts with it.
            order = (own, rank, 2 if found else 1, self.used)
            found.append(Candidate(holder=self, part=None, frees=whole_frees, order=order))
        return found

    def status(self) -> HolderStatus:
        return HolderStatus(
            holder=self.name,
            parts=dict(self.parts),
            context_bytes=self.context_bytes,
            working_bytes=self.working_bytes,
            running=self.running,
        )


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A part, or with None the rest of the process, and the bytes that come free without it. Lowest `order` first."""

    holder: Holder
    part: str | None
    frees: int
    order: tuple[bool, int, int, int]


class Device:
    """One device's budget and holders. `turn` lets one reservation at a time look for room; `changed` wakes it."""

    def __init__(self, name: str, budget_bytes: int) -> None:
        self.name = name
        self.budget_bytes = budget_bytes
        self.holders: dict[str, Holder] = {}
        self.turn = asyncio.Lock()
        self.changed = asyncio.Event()
        self.waiting = 0
        self.last_given_way: deque[GivenWay] = deque(maxlen=KEPT_GIVEN_WAY)

    @property
    def leaving_bytes(self) -> int:
        """What is about to come free."""
        return sum(holder.leaving_bytes for holder in self.holders.values())

    def missing_bytes(self, need: Need, holder: Holder) -> int:
        after = holder.at_least({part.name: part.bytes for part in need.parts}, need.context_bytes)
        others_bytes = sum(other.total_bytes for other in self.holders.values() if other is not holder)
        return others_bytes + sum(after.parts.values()) + after.context_bytes + need.working_bytes - self.budget_bytes

    def choose(self, need: Need, missing_bytes: int) -> list[list[Candidate]]:
        """Who gives what away so that `missing_bytes` come free, holder by holder; empty if that is not enough."""
        idle = [holder for holder in self.holders.values() if not holder.is_busy]
        chosen: list[Candidate] = []
        found = [candidate for holder in idle for candidate in holder.candidates(need)]
        for candidate in sorted(found, key=lambda candidate: candidate.order):
            if missing_bytes <= 0:
                break
            chosen.append(candidate)
            missing_bytes -= candidate.frees
        if missing_bytes > 0:
            return []
        # A large one chosen last may make room enough alone: what is not needed stays, the dearest first.
        for candidate in chosen[-2::-1]:
            exits = any(other.part is None and other.holder is candidate.holder for other in chosen)
            if candidate.frees + missing_bytes <= 0 and not (exits and candidate.part):
                chosen.remove(candidate)
                missing_bytes += candidate.frees
        holders = {candidate.holder.name: candidate.holder for candidate in chosen}
        return [[candidate for candidate in chosen if candidate.holder is holder] for holder in holders.values()]

    def try_again(self) -> None:
        """What was refused to one run may be asked for again by the next."""
        for holder in self.holders.values():
            holder.refused.clear()

    def note(self, giving: GivingWay, freed_bytes: int, at: float) -> None:
        self.last_given_way.appendleft(GivenWay(**(asdict(giving) | {"bytes": freed_bytes}), at=at))

    def status(self) -> DeviceStatus:
        working_bytes = sum(holder.working_bytes for holder in self.holders.values())
        return DeviceStatus(
            device=self.name,
            budget_bytes=self.budget_bytes,
            held_bytes=sum(holder.total_bytes for holder in self.holders.values()) - working_bytes,
            working_bytes=working_bytes,
            holders=[holder.status() for holder in self.holders.values()],
            waiting=self.waiting,
            last_given_way=list(self.last_given_way),
        )
