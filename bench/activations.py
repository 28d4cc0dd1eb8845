"""`python -m bench.activations`: the memory that each phase of the published models works in; no GPU, no weights.

Each model is run on torch's meta device, where operations have shapes and no values, while the storages that are alive
are counted. What comes out is what torch holds at once beside the weights, inputs and outputs included. It leaves out
what only a device knows: workspaces of cuDNN and oneDNN, and what the caching allocator loses to fragmentation.
On a CPU with one thread the decoders were measured at up to a third more than what is counted here, mostly a tenth.
Attention is counted as the fused kernels do it, which never hold the whole matrix of scores.
"""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bench.building import build
from bench.published_models import (
    QWEN_MODEL,
    SDXL_TEXT_ENCODER,
    SDXL_TEXT_ENCODER_2,
    SDXL_UNET,
    SDXL_VAE,
    WAN_TEXT_ENCODER,
    WAN_TRANSFORMER,
    WAN_VAE,
    PublishedPart,
)

RESULTS = Path(__file__).parent / "activations.json"
Inputs = dict[str, Any]

_PICTURES = ((1024, 1024), (768, 1344))
_BATCHES = (1, 2, 6, 12)
"""Six pictures with classifier-free guidance are twelve at once."""
_FILMS = ((832, 480, 1), (832, 480, 33), (832, 480, 81), (1280, 720, 81))
_SDXL_TILES_PX = (1024, 512)
"""The size that the checkpoint asks for, which leaves a picture of 1024 x 1024 in one piece, and one that does not."""
_CLIP_TOKENS = 77
_WAN_TOKENS = 512
_QWEN_TOKENS = 1024
_SDXL_SCALE = 8
_WAN_SCALE = 8
_WAN_FRAMES_A_LATENT = 4


@dataclass(frozen=True, kw_only=True)
class Case:
    """One phase to measure: `run` is given the model of `part` in `dtype` and `inputs`."""

    name: str
    part: PublishedPart
    dtype: torch.dtype
    run: Callable[[Any, Inputs], object]
    inputs: Inputs = field(default_factory=dict)


class LiveStorages(TorchDispatchMode):
    """Counts the bytes of the storages that are made inside and still alive. The storages of `model` do not count."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.peak_bytes = 0
        self._live_bytes = 0
        self._known = {tensor.untyped_storage()._cdata for tensor in (*model.parameters(), *model.buffers())}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self._count(leaf.untyped_storage())
        self.peak_bytes = max(self.peak_bytes, self._live_bytes)
        return result

    def _count(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._known:
            return
        self._known.add(key)
        self._live_bytes += size
        weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self._live_bytes -= size


@contextmanager
def fused_attention() -> Iterator[None]:
    """Let attention make its result and nothing else, as the fused kernels do; on meta it would fall back to the plain
    formula. They lay the result out as [batch, tokens, heads, features], so that joining the heads copies nothing."""

    def attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        batch, heads, tokens, _features = query.shape
        return query.new_empty(batch, tokens, heads, value.shape[-1]).transpose(1, 2)

    functional: Any = torch.nn.functional
    plain = functional.scaled_dot_product_attention
    functional.scaled_dot_product_attention = attend
    try:
        yield
    finally:
        functional.scaled_dot_product_attention = plain


def measure(case: Case) -> int:
    """Return the most bytes that `case` holds at once beside its weights."""
    model = build(case.part, case.dtype)
    live = LiveStorages(model)
    with torch.no_grad(), fused_attention(), torch.device("meta"), live:
        case.run(model, case.inputs)
    return live.peak_bytes


def cases() -> Iterator[Case]:
    """All that is measured."""
    half, brain, full = torch.float16, torch.bfloat16, torch.float32
    for name, clip in (("sdxl text_encoder", SDXL_TEXT_ENCODER), ("sdxl text_encoder_2", SDXL_TEXT_ENCODER_2)):
        inputs: Inputs = {"batch": 1, "tokens": _CLIP_TOKENS}
        yield Case(name=f"{name} encode", part=clip, dtype=half, run=_encode_clip, inputs=inputs)
    for width, height in _PICTURES:
        for batch in _BATCHES:
            inputs = {"width": width, "height": height, "batch": batch}
            yield Case(name="sdxl unet denoise", part=SDXL_UNET, dtype=half, run=_denoise_sdxl, inputs=inputs)
        for dtype in (half, full):
            for tile_px in (None, *_SDXL_TILES_PX):
                inputs = {"width": width, "height": height, "batch": 1, "tile_px": tile_px}
                yield Case(name="sdxl vae decode", part=SDXL_VAE, dtype=dtype, run=_decode_sdxl, inputs=inputs)
                yield Case(name="sdxl vae encode", part=SDXL_VAE, dtype=dtype, run=_encode_sdxl, inputs=inputs)
    inputs = {"batch": 1, "tokens": _WAN_TOKENS}
    yield Case(name="wan text_encoder encode", part=WAN_TEXT_ENCODER, dtype=brain, run=_encode_umt5, inputs=inputs)
    for width, height, frames in _FILMS:
        film = {"width": width, "height": height, "frames": frames, "batch": 1}
        yield Case(name="wan transformer denoise", part=WAN_TRANSFORMER, dtype=brain, run=_denoise_wan, inputs=film)
        for dtype in (brain, full):
            for tiled in (False, True):
                inputs = film | {"tiled": tiled}
                yield Case(name="wan vae decode", part=WAN_VAE, dtype=dtype, run=_decode_wan, inputs=inputs)
                yield Case(name="wan vae encode", part=WAN_VAE, dtype=dtype, run=_encode_wan, inputs=inputs)
    inputs = {"batch": 1, "tokens": _QWEN_TOKENS}
    yield Case(name="qwen model write", part=QWEN_MODEL, dtype=brain, run=_write_qwen, inputs=inputs)


def _encode_clip(model: Any, inputs: Inputs) -> object:
    ids = torch.zeros(inputs["batch"], inputs["tokens"], dtype=torch.long)
    return model(ids, output_hidden_states=True)


def _encode_umt5(model: Any, inputs: Inputs) -> object:
    batch, tokens = inputs["batch"], inputs["tokens"]
    # As the model would write it out itself: that needs to look at the values, and here are none.
    mask = torch.empty(batch, 1, tokens, tokens, dtype=torch.bool)
    return model(torch.zeros(batch, tokens, dtype=torch.long), mask).last_hidden_state


def _denoise_sdxl(model: Any, inputs: Inputs) -> object:
    batch, dtype = inputs["batch"], model.dtype
    return model(
        torch.empty(batch, 4, inputs["height"] // _SDXL_SCALE, inputs["width"] // _SDXL_SCALE, dtype=dtype),
        torch.zeros(()),
        torch.empty(batch, _CLIP_TOKENS, SDXL_UNET.config["cross_attention_dim"], dtype=dtype),
        added_cond_kwargs={
            "text_embeds": torch.empty(batch, SDXL_TEXT_ENCODER_2.config["projection_dim"], dtype=dtype),
            "time_ids": torch.empty(batch, 6, dtype=dtype),
        },
        return_dict=False,
    )


def _decode_sdxl(model: Any, inputs: Inputs) -> object:
    _tile_sdxl(model, inputs["tile_px"])
    height, width = inputs["height"] // _SDXL_SCALE, inputs["width"] // _SDXL_SCALE
    return model.decode(torch.empty(inputs["batch"], 4, height, width, dtype=model.dtype), return_dict=False)


def _encode_sdxl(model: Any, inputs: Inputs) -> object:
    _tile_sdxl(model, inputs["tile_px"])
    picture = torch.empty(inputs["batch"], 3, inputs["height"], inputs["width"], dtype=model.dtype)
    return model.encode(picture, return_dict=False)


def _tile_sdxl(model: Any, tile_px: int | None) -> None:
    model.use_tiling = tile_px is not None
    if tile_px is not None:
        model.tile_sample_min_size, model.tile_latent_min_size = tile_px, tile_px // _SDXL_SCALE


def _denoise_wan(model: Any, inputs: Inputs) -> object:
    # What the pipeline passes in; `model.dtype` may be that of a module kept in float32.
    batch, dtype = inputs["batch"], torch.bfloat16
    text = torch.empty(batch, _WAN_TOKENS, WAN_TRANSFORMER.config["text_dim"], dtype=dtype)
    return model(_film_latents(inputs, dtype), torch.zeros(batch), text, return_dict=False)


def _decode_wan(model: Any, inputs: Inputs) -> object:
    model.use_tiling = inputs["tiled"]
    return model.decode(_film_latents(inputs, model.dtype), return_dict=False)


def _encode_wan(model: Any, inputs: Inputs) -> object:
    model.use_tiling = inputs["tiled"]
    shape = inputs["batch"], 3, inputs["frames"], inputs["height"], inputs["width"]
    return model.encode(torch.empty(shape, dtype=model.dtype), return_dict=False)


def _film_latents(inputs: Inputs, dtype: torch.dtype) -> torch.Tensor:
    frames = (inputs["frames"] - 1) // _WAN_FRAMES_A_LATENT + 1
    height, width = inputs["height"] // _WAN_SCALE, inputs["width"] // _WAN_SCALE
    return torch.empty(inputs["batch"], WAN_VAE.config["z_dim"], frames, height, width, dtype=dtype)


def _write_qwen(model: Any, inputs: Inputs) -> object:
    """Read the whole conversation, then write one token on top of the keys and values that are kept of it."""
    read = model(torch.zeros(inputs["batch"], inputs["tokens"], dtype=torch.long), use_cache=True, logits_to_keep=1)
    next_id = torch.zeros(inputs["batch"], 1, dtype=torch.long)
    return model(next_id, past_key_values=read.past_key_values, use_cache=True, logits_to_keep=1)


def label(case: Case) -> str:
    """Return the name under which a case is written down."""
    sizes = [f"{key}={value}" for key, value in case.inputs.items()]
    return " ".join([case.name, str(case.dtype).removeprefix("torch."), *sizes])


def main() -> None:
    results: dict[str, Inputs] = {}
    for case in cases():
        peak_bytes = measure(case)
        print(f"{label(case):<90} {peak_bytes / 1e9:>8.3f} GB", flush=True)
        dtype = str(case.dtype).removeprefix("torch.")
        results[label(case)] = {"phase": case.name, "dtype": dtype, **case.inputs, "peak_bytes": peak_bytes}
        RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
