"""Running out of memory, told as advice; and giving memory back."""

from __future__ import annotations

import contextlib
import gc
import logging
from collections.abc import Iterator

import psutil
import torch

from pipelines.contract import OutOfMemory

logger = logging.getLogger(__name__)

# torch has an exception of its own on GPUs only; its CPU allocator raises a plain RuntimeError.
_PHRASES = ("out of memory", "can't allocate memory", "not enough memory")


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


def available_bytes(device: torch.device) -> int:
    """Return how much more can be allocated on `device`: on CUDA what is free and what torch keeps without using it."""
    if device.type != "cuda":
        return int(psutil.virtual_memory().available)
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0]) + unused


def module_bytes(module: torch.nn.Module) -> int:
    """Return the bytes of a module's weights."""
    return sum(tensor.numel() * tensor.element_size() for tensor in (*module.parameters(), *module.buffers()))


def free_memory() -> None:
    """Give unreachable tensors back to the device."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.ipc_collect()
