"""Running out of memory, told as advice; and giving memory back."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import gc
import logging
import platform
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import torch

from pipelines.contract import OutOfMemory

logger = logging.getLogger(__name__)

# torch has an exception of its own on GPUs only; its CPU allocator raises a plain RuntimeError.
_PHRASES = ("out of memory", "can't allocate memory", "not enough memory")

HOST_RESERVE_BYTES = 4 * 10**9
HOST_RESERVE_SHARE = 0.15
"""Of the computer's own memory, whichever is more of these stays free of copies of weights."""
# Limit and use of a container, by version 2 and version 1 of Linux's control groups.
_CGROUP = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"), Path("/sys/fs/cgroup/memory/memory.usage_in_bytes")),
)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether torch, on any device, or Python ran out of memory."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(phrase in str(error).lower() for phrase in _PHRASES)


@contextlib.contextmanager
def out_of_memory_as_advice(doing: str) -> Iterator[None]:
    """Turn running out of memory into OutOfMemory, after giving back what failed. `doing` goes to the log."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        logger.exception("out of memory: %s", doing)
        # The frames of the traceback hold the failed run's tensors.
        error.__traceback__ = None
        free_memory()
        raise OutOfMemory(
            "The device ran out of memory. Ask for fewer or smaller pictures or a shorter "
            "film, or free memory by closing other models."
        ) from None


def module_bytes(module: torch.nn.Module) -> int:
    """Return the bytes of a module's weights. Layers in torch's own 8 bits keep theirs in no parameter."""
    eight_bits = [each.weight() for each in module.modules() if isinstance(each, torch.ao.nn.quantized.dynamic.Linear)]
    weights = (*module.parameters(), *module.buffers(), *eight_bits)
    return sum(tensor.numel() * tensor.element_size() for tensor in weights)


def spare_host_bytes() -> int:
    """Return how much of the computer's own memory may be taken for copies of weights; not above 0 is nothing.

    In a container that is what its limit leaves. What it has read from files counts as used there, so that little is
    claimed rather than too much.
    """
    memory = psutil.virtual_memory()
    total, available = int(memory.total), int(memory.available)
    for limit, use in _CGROUP:
        with contextlib.suppress(OSError, ValueError):
            # "max" stands for no limit, and is no number.
            most = int(limit.read_text(encoding="ascii"))
            total = min(total, most)
            available = min(available, most - int(use.read_text(encoding="ascii")))
    return available - max(HOST_RESERVE_BYTES, int(HOST_RESERVE_SHARE * total))


def free_memory() -> None:
    """Give unreachable tensors back to the device, and on a CPU to the system: the process really shrinks."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.ipc_collect()
    trim_heap()


def trim_heap() -> None:
    """Have the C library give freed memory back to the system: it would keep it, a fifth of a small process after a
    film. Takes 2 to 16 ms there (2-core EPYC)."""
    _malloc_trim()(0)


@functools.cache
def _malloc_trim() -> Callable[[int], object]:
    """Return glibc's function that gives freed memory back to the system; one that does nothing elsewhere."""
    if platform.libc_ver()[0] != "glibc":
        return bool
    trim: Callable[[int], object] = ctypes.CDLL(None).malloc_trim
    return trim
