"""Bring a WAN checkpoint into memory: a local folder or a hub id, of any of the layouts diffusers knows."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from diffusers import DiffusionPipeline

from pipelines.checkpoint_roles import WAN_CLASSES, WAN_FRAME_GROUP, WAN_GRID_PX, starts_of_wan
from pipelines.checkpoints import Checkpoint, Kind
from pipelines.loading import LoadOptions, failure_as_advice, half_variant
from pipelines.memory import available_bytes, module_bytes

_PARTS = ("tokenizer", "text_encoder", "transformer", "vae", "scheduler")
_HEADROOM_BYTES = 2 * 2**30
"""What must stay free beside the text encoder for it to be loaded onto the device at all."""


def load_wan(checkpoint: Checkpoint, options: LoadOptions) -> Any:
    """Return the pipeline of `checkpoint` on its device, in evaluation mode; its text encoder only if it fits there.

    The modules that the transformer keeps in float32 stay so. Raises ModelMissing where the files are absent or do not
    fit together, OutOfMemory where they do not fit the device.
    """
    with failure_as_advice(checkpoint, options):
        pipe = _read(checkpoint, options)
        _check_parts(pipe)
    _place(pipe, options)
    return pipe


def described(checkpoint: Checkpoint, pipe: Any) -> Checkpoint:
    """Return `checkpoint` as its loaded parts show it: a hub id could be judged by its name alone."""
    _, patch_height, patch_width = pipe.transformer.config.patch_size
    scale = pipe.vae.config.scale_factor_spatial
    return replace(
        checkpoint,
        starts_from=starts_of_wan(type(pipe).__name__, pipe.config),
        size_multiple_px=math.lcm(WAN_GRID_PX, scale * patch_height, scale * patch_width),
        frame_multiple=math.lcm(WAN_FRAME_GROUP, pipe.vae.config.scale_factor_temporal),
    )


def _read(checkpoint: Checkpoint, options: LoadOptions) -> Any:
    # The VAE and the picture's encoder are published for float32; the VAE is halved below where that is meant.
    dtype = {"vae": torch.float32, "image_encoder": torch.float32, "default": options.dtype}
    common: dict[str, Any] = {"dtype": dtype, "use_safetensors": True}
    if checkpoint.kind is Kind.FOLDER:
        variant = half_variant(checkpoint, options.dtype)
        return DiffusionPipeline.from_pretrained(checkpoint.location, variant=variant, local_files_only=True, **common)
    return DiffusionPipeline.from_pretrained(
        checkpoint.location, cache_dir=options.cache_dir, local_files_only=options.offline, **common
    )


def _check_parts(pipe: Any) -> None:
    if type(pipe).__name__ not in WAN_CLASSES:
        raise ValueError(f"the checkpoint is a {type(pipe).__name__}")
    absent = [name for name in _PARTS if getattr(pipe, name) is None]
    if absent:
        raise ValueError(f"the pipeline lacks {absent}")
    width = pipe.text_encoder.config.d_model
    if pipe.transformer.config.text_dim != width:
        raise ValueError(f"the transformer reads {pipe.transformer.config.text_dim} features and is given {width}")
    if pipe.transformer.config.out_channels != pipe.vae.config.z_dim:
        raise ValueError(f"the transformer makes {pipe.transformer.config.out_channels} channels")


def _place(pipe: Any, options: LoadOptions) -> None:
    half = options.device.type == "cuda" and options.dtype == torch.bfloat16
    if half and not getattr(pipe.vae.config, "force_upcast", False):
        pipe.vae.to(torch.bfloat16)
    modules = {name: part for name, part in pipe.components.items() if isinstance(part, torch.nn.Module)}
    encoder = modules.pop("text_encoder")
    for module in modules.values():
        module.to(options.device).eval().requires_grad_(False)
    encoder.eval().requires_grad_(False)
    if available_bytes(options.device) > module_bytes(encoder) + _HEADROOM_BYTES:
        encoder.to(options.device)
    pipe.set_progress_bar_config(disable=True)
