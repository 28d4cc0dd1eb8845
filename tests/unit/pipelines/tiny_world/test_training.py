"""Every training stage at minuscule sizes: it resumes, exports, and the export loads as any SDXL checkpoint does."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionXLPipeline

from pipelines.tiny_world.coupling import FADE_STEPS, FIRST_STRENGTH, PATCH, couple, layout_quantiles, strength_at
from pipelines.tiny_world.muon import orthogonalise
from pipelines.tiny_world.scenes import random_scene
from pipelines.tiny_world.train_sdxl import train
from pipelines.tiny_world.training import Settings, rate_factor
from pipelines.tiny_world.unet import build_scheduler, draw_steps
from pipelines.tiny_world.unet_gradients import UnetParts, trainable_unet
from pipelines.tiny_world.upsampling import RepeatUpsample, replace_upsampling
from pipelines.tiny_world.vae import build_vae
from pipelines.tiny_world.workers import GradientWorkers

# diffusers 0.42.1 turns tensors into arrays the way numpy 2 warns about.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(
        state=tmp_path_factory.mktemp("state"),
        scenes=20,
        vae_channels=(8, 8, 16),
        unet_channels=(16, 16, 32),
        unet_heads=(1, 1, 2),
        text_widths=(16, 16),
        tokenizer_captions=200,
        batch=8,
        compiled=False,
        workers=0,
        most_steps=2,
        export_every_s=0.0,
    )


@pytest.fixture(scope="module")
def checkpoint(small: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("models") / "sdxl"
    train(small, out)
    return out


def _events(settings: Settings, stage: str) -> list[dict[str, object]]:
    lines = (settings.state / "training_log.jsonl").read_text(encoding="utf-8").splitlines()
    return [event for event in map(json.loads, lines) if event["stage"] == stage]


def test_the_export_is_an_ordinary_checkpoint(checkpoint: Path) -> None:
    pipeline = StableDiffusionXLPipeline.from_pretrained(checkpoint, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    assert pipeline.unet.dtype == torch.float32
    assert pipeline.config.force_zeros_for_empty_prompt is True
    picture = pipeline("a red balloon", num_inference_steps=2, guidance_scale=2.0).images[0]
    assert picture.size == (128, 128)


def test_files_are_small_and_readable(checkpoint: Path) -> None:
    files = [file for file in checkpoint.rglob("*") if file.is_file()]
    assert {file.name for file in files} >= {"model_index.json", "training_log.jsonl", "scheduler_config.json"}
    assert all(file.stat().st_size < 10_000_000 and file.stat().st_mode & 0o777 == 0o644 for file in files)


def test_training_resumes_where_it_stopped(checkpoint: Path, small: Settings) -> None:
    before = {name: torch.load(small.state / f"{name}.pt", weights_only=True)["step"] for name in ("text", "unet")}
    exports = len(_events(small, "export"))
    train(replace(small, most_steps=3), checkpoint)
    after = {name: torch.load(small.state / f"{name}.pt", weights_only=True)["step"] for name in ("text", "unet")}
    assert before == {"text": 2, "unet": 2}
    assert after == {"text": 3, "unet": 3}
    assert len(_events(small, "export")) > exports


def test_processes_fill_gradients_together(checkpoint: Path, small: Settings) -> None:
    settings = replace(small, workers=2, most_steps=1)
    unet = trainable_unet(settings)
    torch.nn.init.normal_(unet.conv_out.weight, std=0.1)
    workers = GradientWorkers(unet, UnetParts, settings, seed=1)
    try:
        losses = [workers.fill(0), workers.fill(1)]
    finally:
        workers.close()
    assert all(0.1 < loss < 10.0 for loss in losses)
    gradients = [parameter.grad for parameter in unet.parameters()]
    assert all(gradient is not None and bool(gradient.isfinite().all()) for gradient in gradients)
    assert sum(float(gradient.abs().sum()) > 0.0 for gradient in gradients if gradient is not None) > len(gradients) / 2


def test_coupled_noise_carries_the_layout_and_stays_normal() -> None:
    noise = torch.randn(400, 4, 6, 10)
    scenes = [random_scene(random.Random(index)) for index in range(400)]
    quantiles = layout_quantiles(scenes)
    coupled = couple(noise, quantiles)
    left, right = coupled[:, :, :PATCH, :PATCH], coupled[:, :, :PATCH, -PATCH:]
    assert torch.allclose(left.sum(dim=(2, 3)) / PATCH, quantiles[:, :4], atol=1e-4)
    assert torch.allclose(right.sum(dim=(2, 3)) / PATCH, quantiles[:, 4:], atol=1e-4)
    assert torch.equal(coupled[:, :, PATCH:], noise[:, :, PATCH:])
    assert torch.equal(coupled[:, :, :, PATCH:-PATCH], noise[:, :, :, PATCH:-PATCH])
    assert float(left.std()) == pytest.approx(1.0, abs=0.03)


def test_the_coupling_starts_loud_and_fades() -> None:
    assert strength_at(0) == strength_at(FADE_STEPS[0]) == FIRST_STRENGTH
    assert strength_at(FADE_STEPS[1]) == strength_at(FADE_STEPS[1] + 1000) == 1.0


def test_the_schedule_ends_in_pure_noise() -> None:
    scheduler = build_scheduler()
    assert float(scheduler.alphas_cumprod[-1]) < 1e-6
    scheduler.set_timesteps(4)
    assert scheduler.timesteps.tolist() == [999.0, 749.0, 499.0, 249.0]
    steps = draw_steps(512)
    assert int(steps.min()) >= 0
    assert 30 < int((steps == 999).sum()) < 110


def test_replaced_upsampling_gives_the_same_pictures() -> None:
    vae = build_vae((8, 8, 16)).eval()
    latents = torch.randn(1, 4, 8, 8)
    with torch.no_grad():
        before = vae.decode(latents).sample
        replace_upsampling(vae)
        after = vae.decode(latents).sample
    assert any(isinstance(part, RepeatUpsample) for part in vae.modules())
    assert torch.allclose(before, after, atol=1e-5)


def test_orthogonalised_updates_have_singular_values_near_one() -> None:
    values = torch.linalg.svdvals(orthogonalise(torch.randn(2, 6, 20)))
    assert float(values.min()) > 0.4
    assert float(values.max()) < 1.4


def test_the_rate_falls_to_its_floor() -> None:
    assert rate_factor(0.0) == rate_factor(0.39) == 1.0
    assert rate_factor(1.0) == pytest.approx(0.02)
