"""Bring an SDXL checkpoint into memory: a local folder, a hub id or a single file, on whatever device there is."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from diffusers import StableDiffusionXLPipeline
from diffusers.loaders.single_file_utils import SingleFileComponentError
from safetensors import SafetensorError

from pipelines.checkpoints import ENVIRONMENT_VARIABLE, FULL_MODEL, Checkpoint, Kind
from pipelines.contract import ModelMissing
from pipelines.memory import is_out_of_memory, out_of_memory_as_advice

logger = logging.getLogger(__name__)

_INPUT_CHANNELS = 4
_CGROUP_CPU_LIMIT = Path("/sys/fs/cgroup/cpu.max")
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
class LoadOptions:
    """How to load. `cache_dir` keeps hub downloads (best on the network volume; None is the hub's own default).

    `offline` forbids the network. `single_file_config` is the folder or hub id whose configs and tokenizers a single
    file is read with; None is a folder of the file's name beside it, or else the published SDXL's.
    """

    device: torch.device
    dtype: torch.dtype
    cache_dir: str | None = None
    offline: bool = False
    single_file_config: str | None = None


def choose_device(override: str | None = None) -> torch.device:
    """Return the device to run on: CUDA where there is one."""
    return torch.device(override or ("cuda" if torch.cuda.is_available() else "cpu"))


@functools.cache
def choose_dtype(device_type: str, override: str | None = None) -> torch.dtype:
    """Return the precision of the UNet and the text encoders.

    float16 on CUDA: as fast as bfloat16 there and three bits finer. On a CPU bfloat16 where the processor multiplies it
    natively, otherwise float32: a 32 M-parameter UNet took 0.44 s against 0.77 s with AVX512-BF16 on 2 cores, and AMX
    gains more. By capability and not by a timed probe, as a busy machine would answer by chance and so change the
    pictures of a seed from one start to the next.
    """
    if override:
        return {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}[override]
    if device_type == "cuda":
        return torch.float16
    capabilities = torch.cpu.get_capabilities() if device_type == "cpu" else {}
    native = capabilities.get("amx_bf16") or capabilities.get("avx512_bf16")
    return torch.bfloat16 if native else torch.float32


def load_sdxl(checkpoint: Checkpoint, options: LoadOptions) -> Any:
    """Return the text-to-image pipeline of `checkpoint` on its device, in evaluation mode.

    Raises ModelMissing where the files are absent or do not fit together, OutOfMemory where they do not fit the device.
    """
    quiet_libraries()
    limit_threads()
    with out_of_memory_as_advice(f"loading {checkpoint.name}"):
        try:
            pipe = _read(checkpoint, options)
            _check_parts(pipe)
        except _READING_ERRORS as error:
            if is_out_of_memory(error):
                raise
            logger.exception("checkpoint %s does not load", checkpoint.location)
            raise ModelMissing(_why_not(checkpoint, options)) from error
        _place(pipe, options)
    return pipe


def _read(checkpoint: Checkpoint, options: LoadOptions) -> Any:
    cache: dict[str, Any] = {"cache_dir": options.cache_dir}
    if checkpoint.kind is Kind.SINGLE_FILE:
        # One dtype for all here: a dict would silently be read as float32.
        config = options.single_file_config or _config_beside(checkpoint)
        local = options.offline or Path(config).is_dir()
        return StableDiffusionXLPipeline.from_single_file(
            checkpoint.location, config=config, dtype=options.dtype, local_files_only=local, **cache
        )
    dtype = {"vae": torch.float32, "default": options.dtype}
    common: dict[str, Any] = {"dtype": dtype, "use_safetensors": True, "add_watermarker": False}
    if checkpoint.kind is Kind.FOLDER:
        half = checkpoint.has_half_files and (options.dtype != torch.float32 or not checkpoint.has_full_files)
        variant = "fp16" if half else None
        return StableDiffusionXLPipeline.from_pretrained(
            checkpoint.location, variant=variant, local_files_only=True, **common
        )
    common |= cache | {"local_files_only": options.offline}
    try:
        return StableDiffusionXLPipeline.from_pretrained(checkpoint.location, variant="fp16", **common)
    except (OSError, ValueError):
        logger.info("%s has no half-precision files at hand; taking the plain ones", checkpoint.location)
        return StableDiffusionXLPipeline.from_pretrained(checkpoint.location, **common)


def _config_beside(checkpoint: Checkpoint) -> str:
    folder = Path(checkpoint.location).with_suffix("")
    return str(folder) if (folder / "model_index.json").is_file() else FULL_MODEL[checkpoint.role]


def _check_parts(pipe: Any) -> None:
    absent = [
        name
        for name in ("tokenizer", "tokenizer_2", "text_encoder", "text_encoder_2", "unet", "vae")
        if getattr(pipe, name) is None
    ]
    if absent:
        raise ValueError(f"the pipeline lacks {absent}")
    if pipe.unet.config.in_channels != _INPUT_CHANNELS:
        raise ValueError(f"the UNet takes {pipe.unet.config.in_channels} channels: an inpainting-only checkpoint")


def _place(pipe: Any, options: LoadOptions) -> None:
    """Move the parts to the device. The VAE stays in float32 unless its config says that float16 does not overflow."""
    safe_in_half = options.dtype == torch.float16 and not pipe.vae.config.force_upcast
    pipe.vae.to(torch.float16 if safe_in_half else torch.float32)
    pipe.to(options.device)
    for module in (pipe.unet, pipe.vae):
        # Convolutions run on channels-last memory on GPUs and in oneDNN: 3.3 times as fast in float32 on a 2-core EPYC.
        module.to(memory_format=torch.channels_last)
    for module in (pipe.unet, pipe.vae, pipe.text_encoder, pipe.text_encoder_2):
        module.eval().requires_grad_(False)
    pipe.set_progress_bar_config(disable=True)


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
    return f"The checkpoint {checkpoint.name} does not fit together as an SDXL model. Copy it again, or set another."


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
