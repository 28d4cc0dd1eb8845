"""The tiny Wan's transformer: architecture, initial weights, schedule, loss, and attention for training on a CPU.

Wan's transformer knows positions only relative to each other (rotary embeddings), so that from pure noise it cannot
tell the top of a picture from the bottom until it has learned to find the edges. Small models on few steps do not get
there. So the first layer starts with heads that look as far up, down, left, right or back in time as they can: a token
that finds itself is at that edge. One more head fetches the first token of the film everywhere, which carries the
layout while training (see ``film_coupling``). All of that is an ordinary setting of the weights, and is trained on.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import torch
from diffusers.models.transformers.transformer_wan import WanTransformer3DModel
from diffusers.schedulers.scheduling_unipc_multistep import UniPCMultistepScheduler
from torch import Tensor, nn
from torch.nn import functional

from pipelines.tiny_world.scenes import LAYOUT_SIZE
from pipelines.tiny_world.wan_settings import FLOW_SHIFT, WanSettings

HEAD_WIDTH: Final = 32
STEPS: Final = 1000
GATE: Final = 0.5
_FAR, _NEAR = 30.0, 12.0
"""Attention logits of the edge finders: for going far along an axis, and for staying on the others."""
_READ: Final = 16
"""Channels that an edge finder compares."""
_DIRECTIONS: Final = (("h", -1), ("h", 1), ("w", -1), ("w", 1), ("t", -1))
_AXIS_PAIRS: Final[dict[str, int]] = {"t": 0, "h": 6, "w": 11}
"""First rotary pair of an axis in a head of 32 numbers: 6 pairs for time, 5 for height, 5 for width."""


def build_scheduler() -> UniPCMultistepScheduler:
    """Wan's UniPC for rectified flow."""
    return UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=FLOW_SHIFT, num_train_timesteps=STEPS
    )


def build_transformer(settings: WanSettings) -> WanTransformer3DModel:
    """Wan's transformer at a three-thousandth of its size, as it starts training."""
    transformer = WanTransformer3DModel(
        patch_size=(1, 2, 2),
        num_attention_heads=settings.heads,
        attention_head_dim=HEAD_WIDTH,
        in_channels=settings.latent_channels,
        out_channels=settings.latent_channels,
        text_dim=settings.text_width,
        freq_dim=128,
        ffn_dim=settings.feed_forward,
        num_layers=settings.layers,
        rope_max_seq_len=64,
    )
    start_weights(transformer)
    return transformer


@torch.no_grad()
def start_weights(transformer: Any) -> None:
    """Usual random weights with half-open gates and a silent output; then the first layer's edge finders."""
    for module in transformer.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.8 / math.sqrt(module.in_features))
            nn.init.zeros_(module.bias)
    embedder = transformer.condition_embedder
    nn.init.zeros_(embedder.time_proj.weight)
    for block in transformer.blocks:
        block.scale_shift_table.zero_()
        block.scale_shift_table[:, (2, 5)] = GATE
        block.attn2.to_out[0].weight.mul_(GATE)
        for name in ("to_q", "to_k"):
            nn.init.normal_(getattr(block.attn1, name).bias, std=0.5)
    for silent in (transformer.proj_out.weight, transformer.proj_out.bias, transformer.scale_shift_table):
        nn.init.zeros_(silent)
    if transformer.config.num_attention_heads > len(_DIRECTIONS):
        _start_edge_finders(transformer)


def _aim(query: Tensor, key: Tensor, pair: int, logit: float, side: int) -> None:
    """Adds to a head's constant query and key: ``side`` -1 or 1 prefers far lower or higher places, 0 the same."""
    size = math.sqrt(logit * math.sqrt(HEAD_WIDTH))
    angle = side * math.pi / 2
    query[2 * pair] += size * math.cos(angle)
    query[2 * pair + 1] += size * math.sin(angle)
    key[2 * pair] += size


def _start_edge_finders(transformer: Any) -> None:
    patch, block = transformer.patch_embedding, transformer.blocks[0]
    width = patch.out_channels
    tail = width - 2 * LAYOUT_SIZE
    flags = range(tail - len(_DIRECTIONS), tail)
    # Channels: compared ones first; at the end five edge flags, the layout, and the numbers it is read from.
    nn.init.normal_(patch.weight, std=1.0 / math.sqrt(patch.weight[0].numel()))
    nn.init.zeros_(patch.bias)
    patch.weight[flags.start :] = 0.0
    for index in range(LAYOUT_SIZE):
        patch.weight[tail + LAYOUT_SIZE + index, index] = 0.5
    attention = block.attn1
    attention.to_q.weight.mul_(0.1)
    attention.to_k.weight.mul_(0.1)
    query, key = torch.zeros(width), torch.zeros(width)
    for head, (axis, side) in enumerate(_DIRECTIONS):
        part = slice(head * HEAD_WIDTH, (head + 1) * HEAD_WIDTH)
        _aim(query[part], key[part], _AXIS_PAIRS[axis] + 1, _FAR, side)
        for other in {"t", "h", "w"} - {axis}:
            _aim(query[part], key[part], _AXIS_PAIRS[other], _NEAR, 0)
            _aim(query[part], key[part], _AXIS_PAIRS[other] + 1, _NEAR, 0)
        for index in range(_READ):
            channel, value = head * _READ + index, head * HEAD_WIDTH + index
            attention.to_v.weight[value] = 0.0
            attention.to_v.weight[value, channel] = 1.0
            attention.to_out[0].weight[:, value] = 0.0
            attention.to_out[0].weight[channel] = 0.0
            attention.to_out[0].weight[channel, value] = -1.0
    last = slice(len(_DIRECTIONS) * HEAD_WIDTH, (len(_DIRECTIONS) + 1) * HEAD_WIDTH)
    for axis in ("t", "h", "w"):
        _aim(query[last], key[last], _AXIS_PAIRS[axis] + 1, _FAR, -1)
    for index in range(LAYOUT_SIZE):
        value = last.start + index
        attention.to_v.weight[value] = 0.0
        attention.to_v.weight[value, tail + LAYOUT_SIZE + index] = 1.0
        attention.to_out[0].weight[:, value] = 0.0
        attention.to_out[0].weight[tail + index] = 0.0
        attention.to_out[0].weight[tail + index, value] = 1.0
    for projection, norm, constant in (
        (attention.to_q, attention.norm_q, query),
        (attention.to_k, attention.norm_k, key),
    ):
        projection.bias.copy_(constant)
        norm.weight.fill_(float(constant.square().mean().sqrt()))
    block.scale_shift_table[:, 2] = 1.0
    _start_flags(block, flags)


def _start_flags(block: Any, flags: range) -> None:
    """Feed-forward units that add up how far a token is from what an edge finder saw: nothing is an edge."""
    first, second = block.ffn.net[0].proj, block.ffn.net[2]
    for number, flag in enumerate(flags):
        second.weight[flag] = 0.0
        second.bias[flag] = 3.0 / GATE
        for index in range(_READ):
            for sign in (0, 1):
                unit = (number * _READ + index) * 2 + sign
                first.weight[unit] = 0.0
                first.weight[unit, number * _READ + index] = 2.0 if sign else -2.0
                second.weight[:, unit] = 0.0
                second.weight[flag, unit] = -3.0 / 13.0 / GATE


class PlainAttention:
    """Wan's attention without ``scaled_dot_product_attention``, whose backward pass is slow on a CPU."""

    _attention_backend = None
    _parallel_config = None

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        rotary_emb: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """The same numbers as ``WanAttnProcessor`` for text-to-video; ``attention_mask`` is unused, as there."""
        source = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query = attn.norm_q(attn.to_q(hidden_states)).unflatten(2, (attn.heads, -1))
        key = attn.norm_k(attn.to_k(source)).unflatten(2, (attn.heads, -1))
        value = attn.to_v(source).unflatten(2, (attn.heads, -1)).transpose(1, 2)
        if rotary_emb is not None:
            query, key = _rotated(query, *rotary_emb), _rotated(key, *rotary_emb)
        scores = query.transpose(1, 2) @ key.permute(0, 2, 3, 1) * (query.shape[-1] ** -0.5)
        mixed = (scores.softmax(dim=-1).to(value.dtype) @ value).transpose(1, 2).flatten(2, 3)
        result: Tensor = attn.to_out[0](mixed)
        return result


def attend_plainly(transformer: Any) -> None:
    """Gives every layer ``PlainAttention``."""
    for block in transformer.blocks:
        block.attn1.set_processor(PlainAttention())
        block.attn2.set_processor(PlainAttention())


def _rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.unflatten(-1, (-1, 2)).unbind(-1)
    c, s = cos[..., 0::2], sin[..., 1::2]
    return torch.stack((first * c - second * s, first * s + second * c), dim=-1).flatten(-2).to(x.dtype)


class FilmBatch(NamedTuple):
    """Clean latents and noise ``(n, z, t, h, w)``, noise shares ``(n,)`` in 0..1, embeddings ``(n, TOKENS, c)``."""

    clean: Tensor
    noise: Tensor
    share: Tensor
    text: Tensor


def draw_shares(count: int, terminal: float) -> Tensor:
    """Noise shares spread as inference visits them with ``FLOW_SHIFT``; a part ``terminal`` of them is all noise."""
    even = ((torch.arange(count) + torch.rand(count)) / count)[torch.randperm(count)]
    shifted = FLOW_SHIFT * even / (1.0 + (FLOW_SHIFT - 1.0) * even)
    return torch.where(torch.rand(count) < terminal, torch.full_like(shifted, 0.9997), shifted)


def flow_loss(transformer: WanTransformer3DModel, batch: FilmBatch) -> Tensor:
    """Squared error of the predicted velocity, noise minus clean (rectified flow, Liu et al. 2022)."""
    share = batch.share[:, None, None, None, None]
    noisy = (1.0 - share) * batch.clean + share * batch.noise
    with torch.autocast("cpu", torch.bfloat16):
        predicted = transformer(noisy, batch.share * STEPS, batch.text, return_dict=False)[0]
    return functional.mse_loss(predicted.float(), batch.noise - batch.clean)
