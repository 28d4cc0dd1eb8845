"""Attention backends and compilation, applied to a denoiser as far as the libraries and the card can.

What cannot be had is said once in the log, and the job goes on without.
"""

from __future__ import annotations

import functools
import logging
from typing import Any

import torch
from diffusers.models.attention_dispatch import AttentionBackendName, attention_backend, dispatch_attention_fn
from diffusers.models.attention_processor import XFormersAttnProcessor
from diffusers.utils.constants import DIFFUSERS_ATTN_BACKEND

from pipelines.acceleration import Acceleration
from pipelines.loading import LoadOptions
from pipelines.memory import is_out_of_memory

logger = logging.getLogger(__name__)

_NATIVE = "native"
_PROBE_TOKENS, _PROBE_HEADS = 128, 2
# Whatever a kernel's package, its compiler or the driver raise where it does not run.
_CANNOT = (ImportError, RuntimeError, ValueError, TypeError, NotImplementedError, AssertionError, OSError)


def switch(denoiser: Any, wanted: Acceleration, options: LoadOptions) -> None:
    """Have `denoiser`, a UNet or transformer of diffusers loaded by `options`, attend and compile as `wanted`.

    To be called before each job: a second time costs nothing.
    """
    _attend(denoiser, wanted.attention, options)
    if wanted.compile and not is_compiled(denoiser) and _compiles(options.device.type):
        denoiser.compile_repeated_blocks()


def switched(denoiser: Any) -> dict[str, Any]:
    """Return what `denoiser` really runs with, for a receipt: "attention" by name and whether it is a "compile"."""
    return {"attention": attention_of(denoiser), "compile": is_compiled(denoiser)}


def attention_of(denoiser: Any) -> str:
    """Return the name of the attention backend that `denoiser` uses."""
    processors = list(denoiser.attn_processors.values())
    if any(isinstance(processor, XFormersAttnProcessor) for processor in processors):
        return "xformers"
    if not _dispatches(denoiser):
        return _NATIVE
    name: str = AttentionBackendName(processors[0]._attention_backend or DIFFUSERS_ATTN_BACKEND).value
    return name


def is_compiled(denoiser: Any) -> bool:
    """Return whether the repeated blocks of `denoiser` are compiled."""
    blocks = denoiser._repeated_blocks
    return any(
        type(module).__name__ in blocks and module._compiled_call_impl is not None for module in denoiser.modules()
    )


def _dispatches(denoiser: Any) -> bool:
    """Whether its attention goes through diffusers' dispatcher: that of WAN does, that of the UNet does not."""
    return all(hasattr(processor, "_attention_backend") for processor in denoiser.attn_processors.values())


def _attend(denoiser: Any, wanted: str, options: LoadOptions) -> None:
    if wanted == attention_of(denoiser):
        return
    if not _dispatches(denoiser):
        _attend_without_dispatcher(denoiser, wanted)
    elif wanted == _NATIVE or _attends(wanted, options.device, options.dtype, denoiser.config.attention_head_dim):
        # Setting it for one model makes it the default of every other in the process, too: the context undoes that.
        with attention_backend(_NATIVE):
            denoiser.set_attention_backend(wanted)


def _attend_without_dispatcher(unet: Any, wanted: str) -> None:
    if wanted == _NATIVE:
        unet.disable_xformers_memory_efficient_attention()
    elif wanted == "xformers":
        try:
            unet.enable_xformers_memory_efficient_attention()
        except _CANNOT as error:
            say_once(f"attention stays native in SDXL: xformers does not run here ({_brief(error)})")
    else:
        say_once(f"attention stays native in SDXL: its UNet cannot be told to use {wanted}")


@functools.cache
def _attends(backend: str, device: torch.device, dtype: torch.dtype, head_size: int) -> bool:
    """Whether `backend` runs on `device`: an installed package says nothing about the card, so a small one is tried."""
    try:
        tensor = torch.zeros((1, _PROBE_TOKENS, _PROBE_HEADS, head_size), device=device, dtype=dtype)
        with attention_backend(backend):
            dispatch_attention_fn(tensor, tensor, tensor)
    except _CANNOT as error:
        if is_out_of_memory(error):
            raise
        say_once(f"attention stays native: {backend} does not run here ({_brief(error)})")
        return False
    return True


@functools.cache
def _compiles(device_type: str) -> bool:
    """Whether torch can compile for this device: it takes a C++ compiler for a CPU, Triton for CUDA."""
    try:
        torch.compile(_twice)(torch.ones(_PROBE_TOKENS, device=device_type))
    except _CANNOT as error:
        if is_out_of_memory(error):
            raise
        say_once(f"nothing is compiled: torch.compile does not run here ({_brief(error)})")
        return False
    return True


def _twice(tensor: torch.Tensor) -> torch.Tensor:
    return tensor * 2


@functools.cache
def say_once(sentence: str) -> None:
    """Log a sentence, once in the life of this process."""
    logger.warning(sentence)


def _brief(error: BaseException) -> str:
    """The first line of what an error says, and the next where the first only introduces it."""
    first, _, rest = str(error).strip().partition("\n")
    return f"{first} {rest.partition(chr(10))[0]}" if first.endswith(":") else first or type(error).__name__
