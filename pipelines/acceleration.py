"""How each family of checkpoints is made fast on each kind of device: one table, and switches over it. Torch-free.

`pipelines.switches` applies what is resolved here, as far as the libraries and the card can.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

Role = Literal["sdxl", "wan", "qwen"]
DeviceKind = Literal["cuda", "cpu"]
Dtype = Literal["float16", "bfloat16", "float32"]
Attention = Literal["native", "flash", "sage", "xformers"]
Cache = Literal["off", "first_block", "sea", "guidance_cutoff"]

DtypeSwitch = Literal["auto", "float16", "bfloat16", "float32"]
AttentionSwitch = Literal["auto", "native", "flash", "sage", "xformers"]
CacheSwitch = Literal["auto", "off", "first_block", "sea"]
CompileSwitch = Literal["auto", "on", "off"]

_CPU_FLAGS = Path("/proc/cpuinfo")
_BFLOAT16_FLAGS = frozenset({"amx_bf16", "avx512_bf16"})


@dataclass(frozen=True, kw_only=True)
class Switches:
    """What a person wants of each switch; "auto" leaves it to the table. Qwen heeds `dtype` alone.

    `attention` is named as diffusers names its backends. `cache` is what skips work in films: the first-block cache
    (https://github.com/chengzeyi/ParaAttention) or SeaCache (arXiv:2602.18993); SDXL, which takes neither, ends its
    guidance early instead. The other caches of diffusers 0.42 need figures that no checkpoint brings (MagCache), or
    skip nothing as they come (TaylorSeer).
    """

    dtype: DtypeSwitch = "auto"
    attention: AttentionSwitch = "auto"
    cache: CacheSwitch = "auto"
    compile: CompileSwitch = "auto"


AUTOMATIC = Switches()


@dataclass(frozen=True, kw_only=True)
class Acceleration:
    """How a job is to be computed. `few_step`: by the distilled weights, where there are any."""

    dtype: Dtype
    attention: Attention = "native"
    cache: Cache = "off"
    compile: bool = False
    few_step: bool = False


def cpu_multiplies_bfloat16(flags: Path = _CPU_FLAGS) -> bool:
    """Return whether the processor multiplies bfloat16 natively (AVX512-BF16 or AMX), by what Linux says of it.

    By capability and not by a timed probe, as a busy machine would answer by chance and so change the pictures of a
    seed from one start to the next.
    """
    try:
        with flags.open(encoding="utf-8", errors="replace") as lines:
            found = next((line for line in lines if line.startswith("flags")), "")
    except OSError:
        return False
    return not _BFLOAT16_FLAGS.isdisjoint(found.split())


# float16 on CUDA for SDXL: as fast as bfloat16 there and three bits finer. WAN and Qwen were trained in bfloat16 and
# overflow float16. torch's own attention picks the fastest kernel of a card by itself, and compiling delays the
# first job of each size: neither is changed unasked.
_CUDA: Mapping[tuple[str, str], Acceleration] = {
    ("sdxl", "fast"): Acceleration(dtype="float16", few_step=True),
    ("sdxl", "high"): Acceleration(dtype="float16"),
    ("wan", "fast"): Acceleration(dtype="bfloat16", cache="first_block", few_step=True),
    ("wan", "high"): Acceleration(dtype="bfloat16", cache="first_block"),
    ("qwen", "fast"): Acceleration(dtype="bfloat16"),
    ("qwen", "high"): Acceleration(dtype="bfloat16"),
}
# A 32 M-parameter UNet took 0.44 s in bfloat16 against 0.77 s in float32 with AVX512-BF16 on 2 cores; AMX gains more.
_CPU: Mapping[tuple[str, str], Acceleration] = {key: replace(row, dtype="bfloat16") for key, row in _CUDA.items()}
TABLE: Mapping[DeviceKind, Mapping[tuple[str, str], Acceleration]] = {"cuda": _CUDA, "cpu": _CPU}
"""What "auto" means, by role and quality. On a CPU that does not multiply bfloat16 natively, that is float32."""


def accelerate(role: str, quality: str, device: DeviceKind, switches: Switches = AUTOMATIC) -> Acceleration:
    """Return the row of the table with the switches laid over it. What a library or card lacks is not known here.

    Raises KeyError for a role or quality that there is not.
    """
    row = TABLE[device][role, quality]
    row = replace(row, dtype=dtype_of(role, device, switches.dtype))
    if role == "qwen":
        return row
    if switches.attention != "auto":
        row = replace(row, attention=switches.attention)
    if switches.cache != "auto":
        skips = switches.cache != "off"
        row = replace(row, cache="guidance_cutoff" if skips and role == "sdxl" else switches.cache)
    if switches.compile != "auto":
        row = replace(row, compile=switches.compile == "on")
    return row


def dtype_of(role: str, device: DeviceKind, switch: DtypeSwitch = "auto") -> Dtype:
    """Return the precision of a family's denoiser and text encoders, or of Qwen."""
    chosen = worker_dtype(role, switch)
    if chosen is not None:
        return chosen
    if device == "cpu" and not cpu_multiplies_bfloat16():
        return "float32"
    return TABLE[device][role, "high"].dtype


def worker_dtype(role: str, switch: DtypeSwitch) -> Dtype | None:
    """Return the precision that a person chose for a family, or None to leave it to its device.

    Qwen is not run in float16, which it overflows: it then answers in exclamation marks.
    """
    return None if switch == "auto" or (role == "qwen" and switch == "float16") else switch
