"""What loading a checkpoint of any family needs: the device, the precision, and errors told in sentences."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import diffusers
import torch
import transformers
from diffusers.loaders.single_file_utils import SingleFileComponentError
from safetensors import SafetensorError

from pipelines.acceleration import (
    AUTOMATIC,
    AttentionSwitch,
    CacheSwitch,
    CompileSwitch,
    DeviceKind,
    Switches,
    dtype_of,
)
from pipelines.checkpoint_roles import ENVIRONMENT_VARIABLE, FULL_MODEL
from pipelines.checkpoints import Checkpoint, Kind
from pipelines.contract import ModelMissing
from pipelines.memory import is_out_of_memory, out_of_memory_as_advice

logger = logging.getLogger(__name__)

PREVIEW_INTERVAL_S = 0.25
"""Previews that follow each other faster are not made: each costs about 10 ms, as much as a fifth of a small step."""
_CGROUP_CPU_LIMIT = Path("/sys/fs/cgroup/cpu.max")
TORCH_DTYPES: Mapping[str, torch.dtype] = {
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "float32": torch.float32,
}
# What three libraries raise over files that anyone may have made.
_READING_ERRORS = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RuntimeError,
    SafetensorError,
    SingleFileComponentError,
)


@dataclass(frozen=True, kw_only=True)
class PipelineOptions:
    """How a worker is told to find and load a checkpoint; see `pipelines.checkpoints.resolve` and `LoadOptions`.

    `dtype`, `attention`, `cache` and `compile` are those of `pipelines.acceleration.Switches`; a `dtype` of None is
    "auto". Previews follow each other at least `preview_interval_s` apart.
    """

    checkpoint: str | None = None
    few_step: str | None = None
    cache_dir: str | None = None
    device: str | None = None
    dtype: str | None = None
    attention: AttentionSwitch = "auto"
    cache: CacheSwitch = "auto"
    compile: CompileSwitch = "auto"
    offline: bool = False
    single_file_config: str | None = None
    preview_interval_s: float = PREVIEW_INTERVAL_S

    @property
    def switches(self) -> Switches:
        """What jobs are accelerated by; the precision is settled at loading."""
        return Switches(attention=self.attention, cache=self.cache, compile=self.compile)


@dataclass(frozen=True, kw_only=True)
class LoadOptions:
    """How to load. `cache_dir` keeps hub downloads (best on the network volume; None is the hub's own default).

    `offline` forbids the network. `single_file_config` is the folder or hub id whose configs and tokenizers a single
    file is read with; None is a folder of the file's name beside it, or else the published SDXL's. `on_host` leaves the
    weights in the host's memory, for someone else to bring to the device. `on_part` hears (name, done, total) before
    each part of the checkpoint is read.
    """

    device: torch.device
    dtype: torch.dtype
    cache_dir: str | None = None
    offline: bool = False
    single_file_config: str | None = None
    switches: Switches = AUTOMATIC
    on_host: bool = False
    on_part: Callable[[str, int, int], None] | None = None


def choose_device(override: str | None = None) -> torch.device:
    """Return the device to run on: CUDA where there is one."""
    return torch.device(override or ("cuda" if torch.cuda.is_available() else "cpu"))


def device_kind(device_type: str) -> DeviceKind:
    """Return which rows of the table of `pipelines.acceleration` a device has."""
    return "cuda" if device_type == "cuda" else "cpu"


def choose_dtype(device_type: str, override: str | None = None) -> torch.dtype:
    """Return the precision of SDXL's UNet and text encoders. Raises KeyError for an override that is none."""
    return TORCH_DTYPES[override or dtype_of("sdxl", device_kind(device_type))]


@functools.cache
def choose_wide_dtype(device_type: str, override: str | None = None) -> torch.dtype:
    """Return the precision of a model that was trained in bfloat16 and overflows float16: where a CUDA device lacks
    the former it is the latter all the same. Raises KeyError for an override that is none."""
    chosen = TORCH_DTYPES[override or dtype_of("wan", device_kind(device_type))]
    if override is None and device_type == "cuda" and not torch.cuda.is_bf16_supported():
        logger.info("this card has no bfloat16: float16 instead, which may overflow; see STUDIO_DTYPE")
        return torch.float16
    return chosen


def half_variant(checkpoint: Checkpoint, dtype: torch.dtype) -> str | None:
    """Return the `variant` to read a folder with: "fp16" where it has such files, and they are wanted or all it has."""
    half = checkpoint.has_half_files and (dtype != torch.float32 or not checkpoint.has_full_files)
    return "fp16" if half else None


@contextlib.contextmanager
def default_dtype_kept() -> Iterator[None]:
    """Restore torch's default precision: diffusers 0.42 changes it to read weights, and leaves it so if that fails."""
    dtype = torch.get_default_dtype()
    try:
        yield
    finally:
        torch.set_default_dtype(dtype)


@contextlib.contextmanager
def failure_as_advice(checkpoint: Checkpoint, options: LoadOptions) -> Iterator[None]:
    """Turn what the libraries raise over files into ModelMissing, and running out of memory into OutOfMemory."""
    quiet_libraries()
    limit_threads()
    with out_of_memory_as_advice(f"loading {checkpoint.name}"), default_dtype_kept():
        try:
            yield
        except _READING_ERRORS as error:
            if is_out_of_memory(error):
                raise
            logger.exception("checkpoint %s does not load", checkpoint.location)
            raise ModelMissing(_why_not(checkpoint, options)) from error


def _why_not(checkpoint: Checkpoint, options: LoadOptions) -> str:
    if checkpoint.kind is Kind.HUB:
        where = "is not in the download cache" if options.offline else "could not be downloaded"
        return (
            f"The model {checkpoint.name} {where}. Check the name and the network, set HF_TOKEN if it is gated, "
            f"or set {ENVIRONMENT_VARIABLE[checkpoint.role]} to a local folder."
        )
    if checkpoint.kind is Kind.SINGLE_FILE:
        return (
            f"{checkpoint.name} could not be read as an SDXL checkpoint. A single file needs the configs and "
            f"tokenizers of SDXL: put them in a folder of the same name beside it, or allow the download of "
            f"{FULL_MODEL[checkpoint.role]}."
        )
    family = checkpoint.role.upper()
    article = "an" if family == "SDXL" else "a"
    return (
        f"The checkpoint {checkpoint.name} does not fit together as {article} {family} model. "
        "Copy it again, or set another."
    )


def quiet_libraries() -> None:
    """Turn off the libraries' progress bars, and a diffusers warning that fires over an empty list of modules."""
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()
    logging.getLogger("diffusers.models.modeling_utils").addFilter(_names_a_module)


def _names_a_module(record: logging.LogRecord) -> bool:
    return "should be kept in float32: []" not in record.getMessage()


def limit_threads() -> None:
    """Keep torch to the CPUs this process may use: in a container it counts the host's. OMP_NUM_THREADS wins."""
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, min(torch.get_num_threads(), _allowed_cpus())))


def _allowed_cpus() -> int:
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):
        # cgroup v2: "<quota> <period>" in microseconds, or "max <period>".
        quota, period = _CGROUP_CPU_LIMIT.read_text(encoding="ascii").split()
        allowed = min(allowed, max(1, int(quota) // int(period)))
    return allowed
