"""The devices that workers compute on, and how much of their memory may be planned with. Imports no model library."""

from __future__ import annotations

import importlib.metadata
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from pipelines.acceleration import DeviceKind
from studio.commands.processes import ask_program
from studio.settings import Settings

log = logging.getLogger(__name__)

CUDA_SHARE = 0.94
"""Of a card's memory: the rest is the driver's, a screen's, and what fragmentation and workspaces take beyond plan."""
CPU_SHARE = 0.8
"""Of the computer's memory: the rest is the system's, the studio's own process and files being written."""
GB = 10**9
QUERY_TIMEOUT_S = 20.0
_MIB = 2**20
_CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Of control groups version 2 and 1, as a container sees its own."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """A CUDA device as the driver lists it."""

    index: int
    uuid: str
    name: str
    total_bytes: int


def device_budgets(settings: Settings) -> Mapping[str, int]:
    """The bytes that may be planned with on each device that workers run on: "cuda:0" and on, or "cpu".

    STUDIO_DEVICE_BUDGET_GB (gigabytes of 10^9 bytes) says it of every device.
    """
    cards = visible_cards()
    totals = {f"cuda:{place}": card.total_bytes * CUDA_SHARE for place, card in enumerate(cards)}
    totals = totals or {"cpu": memory_limit_bytes() * CPU_SHARE}
    budget_gb = settings.device_budget_gb
    return {name: round(budget_gb * GB if budget_gb else share) for name, share in totals.items()}


def device_kind(device: str) -> DeviceKind:
    """Of a device's name."""
    return "cuda" if device.startswith("cuda") else "cpu"


def visible_cards(environment: Mapping[str, str] = os.environ) -> Sequence[Card]:
    """The cards that torch will see, in its order: none where torch is built for the CPU alone."""
    if importlib.metadata.version("torch").endswith("+cpu"):
        return ()
    return chosen(installed_cards(), environment.get("CUDA_VISIBLE_DEVICES"))


def chosen(cards: Sequence[Card], visible: str | None) -> Sequence[Card]:
    """What `visible`, the value of CUDA_VISIBLE_DEVICES, leaves of `cards`: indices or beginnings of UUIDs, in their
    order, until the first that is none."""
    if visible is None:
        return cards
    found: list[Card] = []
    for name in (part.strip() for part in visible.split(",")):
        card = next((each for each in cards if name == str(each.index) or _begins(each.uuid, name)), None)
        if card is None:
            break
        found.append(card)
    return found


def _begins(uuid: str, name: str) -> bool:
    return name.startswith("GPU-") and uuid.startswith(name)


def installed_cards() -> Sequence[Card]:
    """The cards of this machine, by nvidia-smi. None where it is absent or does not answer, which is logged."""
    query = "--query-gpu=index,uuid,name,memory.total", "--format=csv,noheader,nounits"
    answer = ask_program("nvidia-smi", *query, timeout_s=QUERY_TIMEOUT_S)
    if answer is None:
        return ()
    try:
        if answer.exit_code:
            raise ValueError(answer.last_complaint or answer.output.strip())
        return parse_cards(answer.output)
    except ValueError as error:
        log.warning("nvidia-smi names no card, so none is planned with: %s", error)
        return ()


def parse_cards(answer: str) -> Sequence[Card]:
    """The cards in nvidia-smi's comma-separated `answer`, whose memory is in MiB. Raises ValueError."""
    cards = []
    for line in answer.strip().splitlines():
        index, uuid, name, total = (field.strip() for field in line.split(","))
        cards.append(Card(index=int(index), uuid=uuid, name=name, total_bytes=int(total) * _MIB))
    return cards


def memory_limit_bytes(limits: Sequence[Path] = _CGROUP_LIMITS) -> int:
    """The computer's memory, or a container's limit where that is less."""
    known = [int(psutil.virtual_memory().total)]
    for path in limits:
        try:
            text = path.read_text(encoding="ascii").strip()
        except OSError:
            continue
        if text.isdigit():
            known.append(int(text))
    return min(known)
