"""What this process occupies on its device: now, and at most since the last restart."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

import psutil
import torch

from pipelines.contract import Occupied
from pipelines.footprint import CONTEXT_BYTES
from pipelines.memory import trim_heap

_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")
# Documented in proc(5): sets the peak resident set size to the present one.
_RESET_PEAK = "5"


class Meter:
    """Measures `device` for this process, in bytes.

    On a CUDA device: what torch has taken from the card, and once there is a context, which torch does not count, what
    is planned for that of `role`. On a CPU: the resident set; its peak is Linux's own figure, elsewhere the present one
    stands in for it.
    """

    def __init__(self, device: torch.device, role: str) -> None:
        self._device = device
        self._context_bytes = CONTEXT_BYTES["cuda", role]

    def restart(self) -> None:
        """Forget the peak so far."""
        if self._device.type == "cuda":
            if torch.cuda.is_initialized():
                torch.cuda.reset_peak_memory_stats(self._device)
            return
        with contextlib.suppress(OSError):
            _CLEAR_REFS.write_text(_RESET_PEAK, encoding="ascii")

    def occupied(self, parts: Mapping[str, int]) -> Occupied:
        """Return what is occupied, `parts` of it by weights."""
        now_bytes = self.now_bytes()
        return Occupied(parts=parts, now_bytes=now_bytes, peak_bytes=max(now_bytes, self._peak_bytes()))

    def now_bytes(self) -> int:
        """Return what is occupied at this moment, after giving back what torch and the C library keep unused: to other
        processes it would count as taken."""
        if self._device.type != "cuda":
            trim_heap()
            return int(psutil.Process().memory_info().rss)
        if not torch.cuda.is_initialized():
            return 0
        torch.cuda.empty_cache()
        return torch.cuda.memory_reserved(self._device) + self._context_bytes

    def _peak_bytes(self) -> int:
        if self._device.type != "cuda":
            return _peak_rss()
        if not torch.cuda.is_initialized():
            return 0
        return torch.cuda.max_memory_reserved(self._device) + self._context_bytes


def _peak_rss() -> int:
    """Return Linux's high-water mark of the resident set, 0 where there is none."""
    with contextlib.suppress(OSError):
        for line in _STATUS.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0
