"""Bring a WAN checkpoint into memory: a local folder or a hub id, of any of the layouts diffusers knows."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import diffusers
import torch
from diffusers import DiffusionPipeline

from pipelines.checkpoint_roles import WAN_CLASSES, WAN_FRAME_GROUP, WAN_GRID_PX, starts_of_wan
from pipelines.checkpoints import Checkpoint, Kind
from pipelines.loading import LoadOptions, failure_as_advice, half_variant
from pipelines.part_loading import PartReader

PARTS = {
    "text_encoder": ("text_encoder",),
    "transformer": ("transformer", "transformer_2"),
    "image_encoder": ("image_encoder",),
    "vae": ("vae",),
}
"""The components of diffusers in each part that is read, and gives way, by itself."""
_NEEDED = ("tokenizer", "text_encoder", "transformer", "vae", "scheduler")


def load_wan(checkpoint: Checkpoint, options: LoadOptions) -> Any:
    """Return the pipeline of `checkpoint` on its device, in evaluation mode.

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


def reader_of(checkpoint: Checkpoint, options: LoadOptions) -> PartReader:
    """What reads the parts of `checkpoint`."""
    return PartReader(parts=PARTS, few_step="few_step_transformer", checkpoint=checkpoint, options=options)


def _read(checkpoint: Checkpoint, options: LoadOptions) -> Any:
    reader = reader_of(checkpoint, options)
    folder, variant = checkpoint.location, half_variant(checkpoint, options.dtype)
    if checkpoint.kind is not Kind.FOLDER:
        folder, variant = reader.download(DiffusionPipeline), None
    # By its own class: DiffusionPipeline does not know which components it may leave out, and reads them every time.
    name = DiffusionPipeline.load_config(folder).get("_class_name")
    if name not in WAN_CLASSES:
        raise ValueError(f"the checkpoint is a {name}")
    # The VAE and the picture's encoder are published for float32; the VAE is halved below where that is meant.
    dtype = {"vae": torch.float32, "image_encoder": torch.float32, "default": options.dtype}
    return reader.read_folder(getattr(diffusers, name), folder, dtype=dtype, variant=variant)


def _check_parts(pipe: Any) -> None:
    absent = [name for name in _NEEDED if getattr(pipe, name) is None]
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
    for module in pipe.components.values():
        if isinstance(module, torch.nn.Module):
            module.eval().requires_grad_(False)
            if not options.on_host:
                module.to(options.device)
    pipe.set_progress_bar_config(disable=True)
