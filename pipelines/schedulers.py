"""Schedulers by name, with a memory of the clean estimate that previews show."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    LCMScheduler,
    UniPCMultistepScheduler,
)

from pipelines.contract import InvalidRequest

# Below this many steps a schedule must start at the last training timestep, or the picture stays grey and
# unfinished (Lin et al., arXiv:2305.08891, section 3.3).
FEW_STEPS = 12
LCM_TEACHER_STEPS = 50

Estimate = Callable[[Any, Any, torch.Tensor, torch.Tensor], torch.Tensor]

_SCHEDULERS: Mapping[str, tuple[Any, dict[str, Any]]] = {
    "euler": (EulerDiscreteScheduler, {}),
    "euler_a": (EulerAncestralDiscreteScheduler, {}),
    "dpmpp_2m": (DPMSolverMultistepScheduler, {"use_karras_sigmas": False}),
    "dpmpp_2m_karras": (DPMSolverMultistepScheduler, {"use_karras_sigmas": True}),
    # Clipping to [-1, 1] is for models of pixels; latents reach further.
    "ddim": (DDIMScheduler, {"clip_sample": False}),
    "unipc": (UniPCMultistepScheduler, {}),
    "lcm": (LCMScheduler, {}),
}


def build_scheduler(name: str, config: Mapping[str, Any], steps: int) -> Any:
    """Return a fresh scheduler `name` for one job of `steps` steps, from the checkpoint's own scheduler `config`.

    The prediction type and noise schedule stay the checkpoint's. The scheduler carries `clean_sample`: its estimate of
    the noise-free latents after the last step, which previews show. Raises InvalidRequest for an unknown name.
    """
    if name not in _SCHEDULERS:
        raise InvalidRequest(f"There is no scheduler {name!r}. Choose one of {', '.join(_SCHEDULERS)}.")
    scheduler_class, overrides = _SCHEDULERS[name]
    if steps <= FEW_STEPS:
        overrides = {**overrides, "timestep_spacing": "trailing"}
    if name == "lcm":
        overrides = {**overrides, "original_inference_steps": max(LCM_TEACHER_STEPS, steps)}
    return remembering_clean_sample(scheduler_class).from_config(config, **overrides)


def _kept_estimate(scheduler: Any, result: Any, _velocity: torch.Tensor, _sample: torch.Tensor) -> torch.Tensor:
    # The multistep solvers return the next sample only, but keep their converted (clean) model outputs.
    estimate: torch.Tensor = result[1] if len(result) > 1 else scheduler.model_outputs[-1]
    return estimate


@functools.cache
def remembering_clean_sample(scheduler_class: Any, estimate: Estimate = _kept_estimate) -> Any:
    """Return a subclass that keeps the clean sample which every scheduler computes and pipelines throw away.

    `estimate` returns it from the scheduler after a step, what that gave, the model's output and the sample before.
    """

    @functools.wraps(scheduler_class.step)
    def step(
        self: Any, model_output: torch.Tensor, timestep: Any, sample: torch.Tensor, *args: Any, **kwargs: Any
    ) -> Any:
        result = scheduler_class.step(self, model_output, timestep, sample, *args, **kwargs)
        self.clean_sample = estimate(self, result, model_output, sample)
        return result

    return type(scheduler_class.__name__, (scheduler_class,), {"step": step, "clean_sample": None})
