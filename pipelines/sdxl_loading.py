"""Bring an SDXL checkpoint into memory: a local folder, a hub id or a single file, on whatever device there is."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionXLPipeline, UNet2DConditionModel
from safetensors import SafetensorError
from safetensors.torch import load_file

from pipelines.checkpoint_roles import FULL_MODEL
from pipelines.checkpoints import Checkpoint, Kind
from pipelines.contract import ModelMissing
from pipelines.loading import LoadOptions, default_dtype_kept, failure_as_advice, half_variant
from pipelines.memory import is_out_of_memory
from pipelines.part_loading import PartReader

logger = logging.getLogger(__name__)

PARTS = {"text_encoders": ("text_encoder", "text_encoder_2"), "unet": ("unet",), "vae": ("vae",)}
"""The components of diffusers in each part that is read, and gives way, by itself."""
_INPUT_CHANNELS = 4


def load_sdxl(checkpoint: Checkpoint, options: LoadOptions) -> Any:
    """Return the text-to-image pipeline of `checkpoint` on its device, in evaluation mode.

    Raises ModelMissing where the files are absent or do not fit together, OutOfMemory where they do not fit the device.
    """
    with failure_as_advice(checkpoint, options):
        pipe = _read(checkpoint, options)
        _check_parts(pipe)
    _place(pipe, options)
    return pipe


def load_few_step_unet(checkpoint: Checkpoint, options: LoadOptions, pipe: Any) -> Any | None:
    """Return the distilled UNet that `checkpoint` names for fast jobs, or None: from a folder, or from a .safetensors
    file in diffusers' key layout shaped as that of the loaded `pipe`.

    SDXL-Lightning and SDXL-Hyper publish such files. Raises ModelMissing where the weights do not fit.
    """
    if checkpoint.few_step is None:
        return None
    _reader(checkpoint, options).tell_few_step(pipe)
    path = Path(checkpoint.few_step)
    try:
        if path.is_dir():
            with default_dtype_kept():
                unet = UNet2DConditionModel.from_pretrained(
                    path, dtype=options.dtype, use_safetensors=True, local_files_only=True
                )
        else:
            unet = UNet2DConditionModel.from_config(pipe.unet.config).to(options.dtype)
            unet.load_state_dict(load_file(path))
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        if is_out_of_memory(error):
            raise
        logger.exception("few-step weights %s do not load", path)
        raise ModelMissing(f"The few-step weights {path.name} do not fit this SDXL checkpoint.") from error
    unet.to(memory_format=torch.channels_last).eval().requires_grad_(False)
    if not options.on_host:
        unet.to(options.device)
    return unet


def _reader(checkpoint: Checkpoint, options: LoadOptions) -> PartReader:
    return PartReader(parts=PARTS, few_step="few_step_unet", checkpoint=checkpoint, options=options)


def _read(checkpoint: Checkpoint, options: LoadOptions) -> Any:
    reader = _reader(checkpoint, options)
    if checkpoint.kind is Kind.SINGLE_FILE:
        # One dtype for all here: a dict would silently be read as float32.
        config = options.single_file_config or _config_beside(checkpoint)
        local = options.offline or Path(config).is_dir()
        return reader.read_file(
            StableDiffusionXLPipeline,
            config=config,
            dtype=options.dtype,
            local_files_only=local,
            cache_dir=options.cache_dir,
        )
    if checkpoint.kind is Kind.FOLDER:
        folder, variant = checkpoint.location, half_variant(checkpoint, options.dtype)
    else:
        folder = _downloaded(reader)
        variant = "fp16" if any((Path(folder) / "unet").glob("*.fp16*.safetensors")) else None
    dtype = {"vae": torch.float32, "default": options.dtype}
    return reader.read_folder(StableDiffusionXLPipeline, folder, dtype=dtype, variant=variant, add_watermarker=False)


def _downloaded(reader: PartReader) -> str:
    try:
        return reader.download(StableDiffusionXLPipeline, variant="fp16")
    except (OSError, ValueError):
        logger.info("%s has no half-precision files at hand; taking the plain ones", reader.checkpoint.location)
        return reader.download(StableDiffusionXLPipeline)


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
    if not options.on_host:
        pipe.to(options.device)
    for module in (pipe.unet, pipe.vae):
        # Convolutions run on channels-last memory on GPUs and in oneDNN: 3.3 times as fast in float32 on a 2-core EPYC.
        module.to(memory_format=torch.channels_last)
    for module in (pipe.unet, pipe.vae, pipe.text_encoder, pipe.text_encoder_2):
        module.eval().requires_grad_(False)
    pipe.set_progress_bar_config(disable=True)
