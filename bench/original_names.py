"""The names that the tensors of SDXL have in a single file, as its authors released it.

The other way round of `diffusers.loaders.single_file_utils`, for checkpoints of SDXL base's shape alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch

from bench.published_models import SDXL_UNET, SDXL_VAE

Tensors = Mapping[str, torch.Tensor]

_BLOCKS_DOWN = SDXL_UNET.config["layers_per_block"] + 1
"""Entries of `input_blocks` that one level takes: its residual blocks and the smaller picture that ends it."""
_BLOCKS_UP = SDXL_UNET.config["layers_per_block"] + 1
_LAST_VAE_LEVEL = len(SDXL_VAE.config["block_out_channels"]) - 1
_UNET_WHOLE = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
_UNET_RESIDUAL = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_VAE_RULES = (
    (r"conv_norm_out", r"norm_out"),
    (r"conv_shortcut", r"nin_shortcut"),
    (r"down_blocks\.(\d)\.resnets", r"down.\1.block"),
    (r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample"),
    (r"mid_block\.resnets\.0", r"mid.block_1"),
    (r"mid_block\.resnets\.1", r"mid.block_2"),
    (r"mid_block\.attentions\.0", r"mid.attn_1"),
    (r"group_norm", r"norm"),
    (r"to_(q|k|v)\.", r"\1."),
    (r"to_out\.0", r"proj_out"),
)
_OPEN_CLIP_RULES = (
    (r"^(text_model\.)?", r""),
    (r"encoder\.layers", r"transformer.resblocks"),
    (r"self_attn\.out_proj", r"attn.out_proj"),
    (r"layer_norm1", r"ln_1"),
    (r"layer_norm2", r"ln_2"),
    (r"final_layer_norm", r"ln_final"),
    (r"mlp\.fc1", r"mlp.c_fc"),
    (r"mlp\.fc2", r"mlp.c_proj"),
    (r"embeddings\.position_embedding\.weight", r"positional_embedding"),
    (r"embeddings\.token_embedding", r"token_embedding"),
)


def single_file(
    *, unet: Tensors, vae: Tensors, text_encoder: Tensors, text_encoder_2: Tensors
) -> dict[str, torch.Tensor]:
    """Return all tensors of an SDXL checkpoint, given under the names of today's libraries, under their old names."""
    named = {f"model.diffusion_model.{_unet_name(name)}": tensor for name, tensor in unet.items()}
    for name, tensor in vae.items():
        new = _vae_name(name)
        # The attention's projections were convolutions of one pixel.
        pixel = re.search(r"attn_1\.(q|k|v|proj_out)\.weight", new)
        named[f"first_stage_model.{new}"] = tensor[:, :, None, None] if pixel else tensor
    for name, tensor in text_encoder.items():
        named[f"conditioner.embedders.0.transformer.text_model.{name.removeprefix('text_model.')}"] = tensor
    named |= {f"conditioner.embedders.1.model.{name}": tensor for name, tensor in _open_clip(text_encoder_2).items()}
    return {name: tensor.contiguous() for name, tensor in named.items()}


def _unet_name(name: str) -> str:
    head, _, tail = name.rpartition(".")
    if head in _UNET_WHOLE:
        return f"{_UNET_WHOLE[head]}.{tail}"
    parts = name.split(".")
    if parts[0] == "mid_block":
        kind, block, rest = parts[1], int(parts[2]), parts[3:]
        place = "middle_block.1" if kind == "attentions" else f"middle_block.{2 * block}"
    else:
        level, kind, block, rest = int(parts[1]), parts[2], int(parts[3]), parts[4:]
        place = _place(parts[0], level, kind, block)
    if kind == "downsamplers":
        rest = ["op", *rest[1:]]
    elif kind == "resnets":
        rest = [_UNET_RESIDUAL[rest[0]], *rest[1:]]
    return ".".join([place, *rest])


def _place(side: str, level: int, kind: str, block: int) -> str:
    """Where a module of the UNet's `side` "down_blocks" or "up_blocks" stands in the one list of that side."""
    if kind == "downsamplers":
        return f"input_blocks.{_BLOCKS_DOWN * (level + 1)}.0"
    if kind == "upsamplers":
        # The last of its level's entries, after the residual block and the attention.
        return f"output_blocks.{_BLOCKS_UP * level + _BLOCKS_UP - 1}.2"
    slot = 1 if kind == "attentions" else 0
    if side == "up_blocks":
        return f"output_blocks.{_BLOCKS_UP * level + block}.{slot}"
    return f"input_blocks.{_BLOCKS_DOWN * level + block + 1}.{slot}"


def _vae_name(name: str) -> str:
    name = _renamed(name, _VAE_RULES)
    name = re.sub(r"up_blocks\.(\d)\.resnets", lambda found: f"up.{_LAST_VAE_LEVEL - int(found[1])}.block", name)
    return re.sub(
        r"up_blocks\.(\d)\.upsamplers\.0", lambda found: f"up.{_LAST_VAE_LEVEL - int(found[1])}.upsample", name
    )


def _open_clip(tensors: Tensors) -> dict[str, torch.Tensor]:
    """The second text encoder as OpenCLIP has it: query, key and value in one matrix, the projection turned over."""
    named = {"text_projection": tensors["text_projection.weight"].T}
    for name, tensor in tensors.items():
        if ".q_proj." in name:
            rows = [tensors[name.replace("q_proj", f"{which}_proj")] for which in "qkv"]
            new = _renamed(name, _OPEN_CLIP_RULES).replace("self_attn.q_proj.", "attn.in_proj_")
            named[new] = torch.cat(rows)
        elif not re.search(r"\.[kv]_proj\.|position_ids|text_projection", name):
            named[_renamed(name, _OPEN_CLIP_RULES)] = tensor
    return named


def _renamed(name: str, rules: tuple[tuple[str, str], ...]) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name
