"""Schedulers, few-step weights and what skips work: counted, and not only asked for."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from pipelines.contract import Cancelled, GenerationRequest, InvalidRequest, ModelMissing
from pipelines.recipes import WAN_SCHEDULER_NAMES
from pipelines.switches import say_once
from pipelines.wan import create
from pipelines.wan_acceleration import FilmCache, build_flow_scheduler, film_cache, flow_shift_of
from tests.unit.pipelines.tiny_wan import LAYERS, build
from tests.unit.pipelines.wan_runs import counted, difference, loaded_pipe, pixels, run

MakeRequest = Callable[..., GenerationRequest]
STEPS = 20


@pytest.mark.parametrize("name", WAN_SCHEDULER_NAMES)
@pytest.mark.parametrize("steps", [1, 4, 20])
def test_every_scheduler_goes_from_noise_to_the_sample_and_knows_where_it_goes(name: str, steps: int) -> None:
    """A model that always points from one clean sample at the noise is followed to that sample."""
    scheduler = build_flow_scheduler(name, {}, 3.0)
    scheduler.set_timesteps(steps)
    generator = torch.Generator().manual_seed(0)
    clean, noise = (torch.randn((1, 4, 3, 8, 8), generator=generator) for _ in range(2))
    latents = noise
    for timestep in scheduler.timesteps:
        latents = scheduler.step(noise - clean, timestep, latents, return_dict=False)[0]
        assert torch.allclose(scheduler.clean_sample, clean, atol=0.02)
    assert torch.allclose(latents, clean, atol=0.02)


@pytest.mark.parametrize("name", WAN_SCHEDULER_NAMES)
def test_a_larger_shift_stays_longer_in_noise(name: str) -> None:
    schedulers = [build_flow_scheduler(name, {}, shift) for shift in (1.0, 8.0)]
    for scheduler in schedulers:
        scheduler.set_timesteps(10)
    assert schedulers[1].sigmas[5] > schedulers[0].sigmas[5] + 0.2


def test_the_checkpoints_own_settings_are_kept(wan: Any) -> None:
    config = dict(loaded_pipe(wan).scheduler.config) | {"solver_order": 1}
    scheduler = build_flow_scheduler("unipc", config, 5.0)
    assert (scheduler.config.solver_order, scheduler.config.flow_shift) == (1, 5.0)
    assert scheduler.config.use_flow_sigmas
    assert build_flow_scheduler("unipc", config, 5.0) is not scheduler


@pytest.mark.parametrize(("config", "shift"), [({"flow_shift": 8.0}, 8.0), ({"shift": 5.0}, 5.0), ({}, 3.0)])
def test_every_class_calls_its_shift_something_else(config: dict[str, float], shift: float) -> None:
    assert flow_shift_of(config) == shift


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(InvalidRequest, match="unipc, euler"):
        build_flow_scheduler("lcm", {}, 3.0)


def test_the_cache_skips_blocks_in_films_and_is_gone_afterwards(wan: Any, make_film: MakeRequest) -> None:
    transformer = loaded_pipe(wan).transformer
    first, last = transformer.blocks[0].attn1, transformer.blocks[LAYERS - 1].attn1
    with counted(first) as all_calls, counted(last) as calls:
        cached = run(wan, make_film(steps=STEPS, scheduler="unipc"))
    assert len(all_calls) == 2 * STEPS
    assert 2 <= len(calls) < 1.5 * STEPS
    assert not transformer.is_cache_enabled
    # The next film starts without what this one kept.
    assert difference(pixels(cached)[0], pixels(run(wan, make_film(steps=STEPS, scheduler="unipc")))[0]) == 0


def test_sea_skips_blocks_too(wan_folder: Path, make_film: MakeRequest) -> None:
    pipeline = create(checkpoint=str(wan_folder), device="cpu", dtype="float32", cache="sea")
    blocks = loaded_pipe(pipeline).transformer.blocks
    with counted(blocks[LAYERS - 1].attn1) as calls:
        receipt = run(pipeline, make_film(steps=STEPS, scheduler="unipc")).receipt
    assert receipt["cache"] == {"kind": "sea", "threshold": 0.25}
    assert 2 <= len(calls) < 1.5 * STEPS
    assert not loaded_pipe(pipeline).transformer.is_cache_enabled


def test_the_cache_can_be_turned_off(wan_folder: Path, make_film: MakeRequest) -> None:
    pipeline = create(checkpoint=str(wan_folder), device="cpu", dtype="float32", cache="off")
    with counted(loaded_pipe(pipeline).transformer.blocks[LAYERS - 1].attn1) as calls:
        assert run(pipeline, make_film(steps=4)).receipt["cache"] is None
    assert len(calls) == 2 * 4


def test_films_from_a_picture_use_the_first_block_where_sea_is_wanted(
    image_folder: Path, make_film: MakeRequest, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "red.png"
    Image.new("RGB", (32, 32), "red").save(path)
    say_once.cache_clear()
    pipeline = create(checkpoint=str(image_folder), device="cpu", dtype="float32", cache="sea")
    for _ in range(2):
        assert run(pipeline, make_film(steps=2, image=path)).receipt["cache"]["kind"] == "first_block"
    assert [record.name for record in caplog.records].count("pipelines.switches") == 1


def test_pictures_are_made_without_the_cache(wan: Any, make_request: MakeRequest) -> None:
    with counted(loaded_pipe(wan).transformer.blocks[LAYERS - 1].attn1) as calls:
        assert run(wan, make_request(steps=STEPS)).receipt["cache"] is None
    assert len(calls) == 2 * STEPS


def test_a_cancelled_film_leaves_no_cache(wan: Any, make_film: MakeRequest) -> None:
    asked = iter([False, False, True])
    with pytest.raises(Cancelled):
        wan.generate(make_film(), lambda progress: None, lambda: next(asked))
    assert not loaded_pipe(wan).transformer.is_cache_enabled


def test_a_transformer_of_one_block_is_left_alone(wan: Any) -> None:
    class OneBlock(torch.nn.Module):
        blocks = (torch.nn.Identity(),)

    with film_cache([OneBlock()], FilmCache(kind="first_block", threshold=0.1)):
        pass


def test_guidance_ends_after_its_share_of_the_steps(wan: Any, make_request: MakeRequest) -> None:
    transformer = loaded_pipe(wan).transformer
    with counted(transformer.patch_embedding) as high:
        run(wan, make_request(quality="high", steps=10))
    with counted(transformer.patch_embedding) as fast:
        run(wan, make_request(quality="fast", steps=10))
    assert (len(high), len(fast)) == (8 * 2 + 2, 20)


def test_no_guidance_is_half_the_work_from_the_start(wan: Any, make_request: MakeRequest) -> None:
    with counted(loaded_pipe(wan).transformer.patch_embedding) as calls:
        run(wan, make_request(guidance=1.0, steps=4, seeds=(1, 2)))
    assert calls == [2] * 4


@pytest.mark.parametrize("layout", ["file", "folder"])
def test_few_step_weights_draw_the_fast_jobs_only(
    layout: str, wan_folder: Path, make_request: MakeRequest, tmp_path: Path, wan: Any
) -> None:
    path = tmp_path / "distilled.safetensors"
    if layout == "folder":
        path = tmp_path / "distilled"
        build(seed=5).transformer.save_pretrained(path)
    else:
        save_file(build(seed=5).transformer.state_dict(), path)
    pipeline = create(checkpoint=str(wan_folder), few_step=str(path), device="cpu", dtype="float32")
    fast, high = (run(pipeline, make_request(quality=quality)) for quality in ("fast", "high"))
    assert (fast.receipt["few_step_weights"], fast.receipt["flow_shift"]) == (path.name, 5.0)
    assert (high.receipt["few_step_weights"], high.receipt["flow_shift"]) == (None, 3.0)
    assert difference(pixels(high)[0], pixels(run(wan, make_request(quality="high")))[0]) <= 2
    assert difference(pixels(fast)[0], pixels(high)[0]) > 20


def test_a_lora_is_merged_into_a_copy(wan_folder: Path, make_request: MakeRequest, tmp_path: Path, wan: Any) -> None:
    path = tmp_path / "self_forcing_lora.safetensors"
    weight = loaded_pipe(wan).transformer.blocks[0].attn1.to_q.weight
    down, up = torch.randn(2, weight.shape[1]), torch.randn(weight.shape[0], 2)
    name = "transformer.blocks.0.attn1.to_q"
    save_file({f"{name}.lora_A.weight": down, f"{name}.lora_B.weight": up}, path)
    pipeline = create(checkpoint=str(wan_folder), few_step=str(path), device="cpu", dtype="float32")
    high = run(pipeline, make_request(quality="high"))
    assert difference(pixels(high)[0], pixels(run(wan, make_request(quality="high")))[0]) == 0
    assert torch.equal(loaded_pipe(pipeline).transformer.blocks[0].attn1.to_q.weight, weight)
    merged = pipeline._holder.load(lambda progress: None).few_step_transformer
    assert torch.allclose(merged.blocks[0].attn1.to_q.weight, weight + up @ down, atol=1e-5)
    assert merged.state_dict().keys() == loaded_pipe(pipeline).transformer.state_dict().keys()
    assert run(pipeline, make_request()).receipt["few_step_weights"] == path.name


@pytest.mark.parametrize("content", ["another model's", "a folder of something else"])
def test_few_step_weights_of_another_shape_are_told(content: str, wan_folder: Path, tmp_path: Path) -> None:
    path = wan_folder / "vae" / "diffusion_pytorch_model.safetensors"
    if content != "another model's":
        path = Path(shutil.copytree(wan_folder / "vae", tmp_path / "vae"))
    with pytest.raises(ModelMissing, match="do not fit this WAN"):
        create(checkpoint=str(wan_folder), few_step=str(path), device="cpu", dtype="bfloat16").load(
            lambda progress: None
        )
    # A worker goes on living after this, and what it makes next must not be in half precision.
    assert torch.get_default_dtype() == torch.float32
