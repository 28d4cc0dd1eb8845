from __future__ import annotations

from typing import Any

import pytest
import torch

from pipelines.contract import InvalidRequest
from pipelines.recipes import SCHEDULER_NAMES
from pipelines.schedulers import FEW_STEPS, build_scheduler

# diffusers asks NumPy for a copy-free array in a way that NumPy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


@pytest.mark.parametrize("name", SCHEDULER_NAMES)
@pytest.mark.parametrize("steps", [1, 4, 20])
def test_every_scheduler_keeps_the_checkpoints_prediction_and_estimates_the_clean_sample(
    name: str, steps: int, tiny_pipe: Any
) -> None:
    scheduler = build_scheduler(name, tiny_pipe.scheduler.config, steps)
    assert scheduler.config.prediction_type == "v_prediction"
    assert scheduler.config.rescale_betas_zero_snr
    scheduler.set_timesteps(steps)
    latents = torch.randn((1, 4, 4, 4), generator=torch.Generator().manual_seed(0)) * scheduler.init_noise_sigma
    for timestep in scheduler.timesteps:
        scheduler.scale_model_input(latents, timestep)
        latents = scheduler.step(torch.zeros_like(latents), timestep, latents, return_dict=False)[0]
    assert torch.isfinite(latents).all()
    assert torch.isfinite(scheduler.clean_sample).all()
    # After the last step the estimate and the sample are the same thing.
    assert torch.allclose(scheduler.clean_sample, latents, atol=1e-2)


@pytest.mark.parametrize("name", SCHEDULER_NAMES)
def test_the_clean_estimate_is_free_of_the_noise_still_in_the_sample(name: str, tiny_pipe: Any) -> None:
    """Where the signal is nil, a velocity of zero says that the clean sample is zero, whatever the noise."""
    scheduler = build_scheduler(name, tiny_pipe.scheduler.config, 4)
    scheduler.set_timesteps(4)
    noise = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(0)) * scheduler.init_noise_sigma
    scheduler.scale_model_input(noise, scheduler.timesteps[0])
    latents = scheduler.step(torch.zeros_like(noise), scheduler.timesteps[0], noise, return_dict=False)[0]
    assert scheduler.clean_sample.std() < 0.1
    assert latents.std() > 0.5


def test_few_steps_start_at_the_noisiest_timestep(tiny_pipe: Any) -> None:
    config = dict(tiny_pipe.scheduler.config) | {"timestep_spacing": "leading"}
    few, many = (build_scheduler("dpmpp_2m", config, steps) for steps in (FEW_STEPS, FEW_STEPS + 1))
    few.set_timesteps(FEW_STEPS)
    assert int(few.timesteps[0]) == 999
    assert many.config.timestep_spacing == "leading"


def test_each_job_has_a_scheduler_of_its_own(tiny_pipe: Any) -> None:
    first, second = (build_scheduler("euler", tiny_pipe.scheduler.config, 4) for _ in range(2))
    assert first is not second
    assert first is not tiny_pipe.scheduler
    assert tiny_pipe.scheduler.config.timestep_spacing == "trailing"


def test_lcm_accepts_more_steps_than_its_teacher_took(tiny_pipe: Any) -> None:
    build_scheduler("lcm", tiny_pipe.scheduler.config, 60).set_timesteps(60)


def test_an_unknown_name_lists_the_known_ones(tiny_pipe: Any) -> None:
    with pytest.raises(InvalidRequest, match="dpmpp_2m_karras"):
        build_scheduler("heun++", tiny_pipe.scheduler.config, 4)
