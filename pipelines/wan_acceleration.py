"""Flow schedulers, few-step weights and the caches of WAN."""

from __future__ import annotations

import contextlib
import copy
import inspect
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from diffusers import FirstBlockCacheConfig, FlowMatchEulerDiscreteScheduler, SeaCacheConfig, UniPCMultistepScheduler
from safetensors import SafetensorError
from safetensors.torch import load_file

from pipelines.checkpoints import Checkpoint
from pipelines.contract import InvalidRequest, ModelMissing
from pipelines.loading import LoadOptions, default_dtype_kept
from pipelines.memory import is_out_of_memory
from pipelines.recipes import WAN_SCHEDULER_NAMES
from pipelines.schedulers import remembering_clean_sample
from pipelines.wan_loading import reader_of
from pipelines.weights import read_header

logger = logging.getLogger(__name__)

PUBLISHED_FLOW_SHIFT = 3.0
SEA_THRESHOLD = 0.25
"""What SeaCache is published with (arXiv:2602.18993), and diffusers' default."""
_TRAINING_STEPS = 1000
_CACHE_CONFIGS: Mapping[str, Any] = {"first_block": FirstBlockCacheConfig, "sea": SeaCacheConfig}
# What the libraries raise over weights that anyone may have made.
_FITTING_ERRORS = (OSError, RuntimeError, ValueError, LookupError, TypeError, SafetensorError)


def flow_shift_of(config: Mapping[str, Any]) -> float:
    """Return the shift of a checkpoint's scheduler `config`, by whatever name its class knows it."""
    return float(config.get("flow_shift") or config.get("shift") or PUBLISHED_FLOW_SHIFT)


def build_flow_scheduler(name: str, config: Mapping[str, Any], flow_shift: float) -> Any:
    """Return a fresh scheduler `name` for one job, from the checkpoint's own scheduler `config`.

    `flow_shift` s bends the sigmas to s x / (1 + (s - 1) x): the larger, the longer in noise. The scheduler carries
    `clean_sample`, as those of `pipelines.schedulers`. Raises InvalidRequest for an unknown name.
    """
    if name not in WAN_SCHEDULER_NAMES:
        raise InvalidRequest(f"There is no scheduler {name!r} for WAN. Choose one of {', '.join(WAN_SCHEDULER_NAMES)}.")
    training_steps = config.get("num_train_timesteps", _TRAINING_STEPS)
    if name == "euler":
        euler = remembering_clean_sample(FlowMatchEulerDiscreteScheduler, _clean_of_velocity)
        return euler(num_train_timesteps=training_steps, shift=flow_shift)
    known = inspect.signature(UniPCMultistepScheduler.__init__).parameters
    own = {key: value for key, value in config.items() if key in known}
    own |= {"prediction_type": "flow_prediction", "use_flow_sigmas": True, "flow_shift": flow_shift}
    return remembering_clean_sample(UniPCMultistepScheduler)(**own)


def _clean_of_velocity(scheduler: Any, _result: Any, velocity: torch.Tensor, sample: torch.Tensor) -> torch.Tensor:
    """Of sample = (1 - sigma) clean + sigma noise and velocity = noise - clean."""
    return sample.float() - scheduler.sigmas[scheduler.step_index - 1] * velocity.float()


def load_few_step_transformer(checkpoint: Checkpoint, options: LoadOptions, pipe: Any) -> Any | None:
    """Return the distilled transformer that `checkpoint` names for fast jobs, or None.

    From a folder, from a .safetensors file of a whole one in diffusers' key layout, or from a LoRA, which is merged
    into a copy of that of the loaded `pipe` so that the original stays exact. Raises ModelMissing where the weights do
    not fit.
    """
    if checkpoint.few_step is None:
        return None
    reader_of(checkpoint, options).tell_few_step(pipe)
    base, path = pipe.transformer, Path(checkpoint.few_step)
    try:
        if path.is_dir():
            with default_dtype_kept():
                distilled = type(base).from_pretrained(
                    path, dtype=base.dtype, use_safetensors=True, local_files_only=True
                )
        elif any("lora" in name.lower() for name in read_header(path)):
            distilled = _merged(path, pipe)
        else:
            distilled = copy.deepcopy(base)
            distilled.load_state_dict(load_file(path))
        if distilled.config.in_channels != base.config.in_channels:
            raise ValueError(f"the few-step transformer takes {distilled.config.in_channels} channels")
    except _FITTING_ERRORS as error:
        if is_out_of_memory(error):
            raise
        logger.exception("few-step weights %s do not load", path)
        raise ModelMissing(f"The few-step weights {path.name} do not fit this WAN checkpoint.") from error
    return distilled.to(base.device).eval().requires_grad_(False)


def _merged(path: Path, pipe: Any) -> Any:
    transformer = copy.deepcopy(pipe.transformer)
    sibling = type(pipe)(**(pipe.components | {"transformer": transformer}))
    sibling.load_lora_weights(str(path.parent), weight_name=path.name, local_files_only=True)
    sibling.fuse_lora(components=["transformer"])
    sibling.unload_lora_weights()
    return transformer


@dataclass(frozen=True, kw_only=True)
class FilmCache:
    """What reuses the work of most blocks in steps that change little: "first_block" compares the relative change of
    the first block's residual with `threshold`, "sea" a filtered change of the latents, summed since the last full
    step."""

    kind: Literal["first_block", "sea"]
    threshold: float


@contextlib.contextmanager
def film_cache(transformers: Sequence[Any], cache: FilmCache | None) -> Iterator[None]:
    """Let the transformers use `cache` while this lasts. None, or a transformer of one block, is no cache.

    What was kept goes with the end, so that no film sees another's.
    """
    caching: list[Any] = []
    try:
        if cache is not None:
            caching = [each for each in transformers if len(each.blocks) > 1]
            for transformer in caching:
                transformer.enable_cache(_CACHE_CONFIGS[cache.kind](threshold=cache.threshold))
        yield
    finally:
        for transformer in caching:
            if transformer.is_cache_enabled:
                transformer.disable_cache()
