"""Usage and limits in words and numbers, for the pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from studio.errors import InvalidInput
from studio.services.allowances import LIMITS, MEGABYTE, Limit
from studio.services.limits import storage_size
from studio.web.forms import Form

MB_A_GB = 1024
LABELS = {
    "orders_per_minute": "Orders a minute",
    "pending_jobs": "Jobs waiting",
    "running_jobs": "Jobs running",
    "storage_mb": "Storage, GB",
    "gpu_minutes": "GPU minutes a month",
}
SMALLEST_SHOWN = 0.005


@dataclass(frozen=True, kw_only=True)
class Meter:
    """How much of something is used: `share` of it in [0, 1], None where there is no limit."""

    label: str
    words: str
    share: float | None = None

    @property
    def is_full(self) -> bool:
        return self.share is not None and self.share >= 1


def _minutes(amount: float) -> str:
    return f"{amount:,.1f}".removesuffix(".0") + " min"


def _megabytes(amount: float) -> str:
    return storage_size(round(amount))


METERS: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("GPU time this month", "gpu_minutes", _minutes),
    ("Storage", "storage_mb", _megabytes),
    ("Jobs waiting", "pending_jobs", str),
    ("Jobs running", "running_jobs", str),
)


def meters(usage: Mapping[str, Any]) -> list[Meter]:
    """What somebody uses of what they may, from `UsageService.mine`."""
    used, limits = usage["used"], usage["limits"]
    found = []
    for label, name, words in METERS:
        amount, most = used[name], limits[name]
        if most is None:
            found.append(Meter(label=label, words=words(amount)))
        else:
            share = min(1.0, amount / most) if most else 1.0
            found.append(Meter(label=label, words=f"{words(amount)} of {words(most)}", share=share))
    return found


def gpu_time(seconds: float) -> str:
    """Seconds of GPU time as people read them."""
    if seconds < 90:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 90 * 60 else f"{seconds / 3600:,.1f} h"


def stored(size_bytes: int) -> str:
    """Bytes in the unit that reads best."""
    if size_bytes < MEGABYTE:
        return f"{size_bytes / 1024:.0f} KB"
    return storage_size(round(size_bytes / MEGABYTE))


def money(cost: float | None, currency: str) -> str:
    """An amount of money; nothing where no price is known."""
    if cost is None:
        return ""
    return f"under 0.01 {currency}" if 0 < cost < SMALLEST_SHOWN else f"{cost:,.2f} {currency}"


def limit_fields(entry: Mapping[str, Any]) -> list[dict[str, str]]:
    """The fields of a form that changes limits, from an entry of `Allowances.list`: each {"name", "label", "value",
    "usual"}. `usual` is what holds now."""
    granted, allowed = entry["granted"], entry["allowed"]
    return [
        {
            "name": name,
            "label": LABELS[name],
            "value": _shown(name, granted[name]) if name in granted else "",
            "usual": _shown(name, allowed[name]),
        }
        for name in LIMITS
    ]


def limits_of(form: Form) -> dict[str, Limit]:
    """The limits in such a form; an empty field takes back what an admin set. Raises InvalidInput."""
    return {name: _limit(name, form.text(name).strip().lower()) for name in LIMITS}


def _shown(name: str, value: int | None) -> str:
    if value is None:
        return "unlimited"
    return f"{value / MB_A_GB:g}" if name == "storage_mb" else str(value)


def _limit(name: str, text: str) -> Limit:
    if not text:
        return None
    if text == "unlimited":
        return "unlimited"
    try:
        amount = float(text.replace(",", ".")) * MB_A_GB if name == "storage_mb" else int(text)
        return round(amount)
    except (ValueError, OverflowError):
        raise InvalidInput(f'{LABELS[name]}: write a number, "unlimited" or nothing.', field=name) from None
