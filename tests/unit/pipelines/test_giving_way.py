"""Parts of real checkpoints that give way and come back, and runs that live by a plan: the same pictures."""

from __future__ import annotations

import gc
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from pipelines import sdxl as sdxl_module
from pipelines.contract import (
    Cancelled,
    GenerationRequest,
    ModelMissing,
    OutOfMemory,
    Plan,
    Progress,
    RewriteRequest,
    Stage,
)
from pipelines.qwen import create as create_qwen
from pipelines.sdxl import create as create_sdxl
from pipelines.wan import create as create_wan
from tests.unit.pipelines import tiny_sdxl, tiny_wan
from tests.unit.pipelines.tiny_qwen import save
from tests.unit.pipelines.wan_runs import difference, loaded_pipe, pixels, run

# diffusers asks NumPy for a copy-free array in a way that NumPy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

MakeRequest = Callable[..., GenerationRequest]

ENCODE_FIRST = Plan(rung=5, residency="encode_first")
OFFLOAD = Plan(rung=6, residency="offload")
SDXL_PARTS = {"text_encoders", "unet", "vae"}
WAN_PARTS = {"text_encoder", "transformer", "vae"}


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "reference.png"
    Image.effect_noise((64, 64), 90).convert("RGB").save(path)
    return path


def forget_texts(pipeline: Any) -> None:
    """Empty the cache of prompts, so that the text encoders work again."""
    pipeline._holder.load(lambda progress: None).prompts._cache._kept.clear()


@pytest.mark.parametrize(
    ("layout", "dtype"),
    [
        ("tiny_folder", "float32"),
        ("tiny_folder", "bfloat16"),
        ("half_folder", "float16"),
        ("half_folder", "float32"),
        ("single_file", "bfloat16"),
    ],
)
def test_every_part_of_sdxl_comes_back_to_the_bit(
    layout: str, dtype: str, request: pytest.FixtureRequest, make_request: MakeRequest
) -> None:
    pipeline = create_sdxl(checkpoint=str(request.getfixturevalue(layout)), device="cpu", dtype=dtype)
    # A single file says nothing of its size: it is taken for a published model.
    size = {"width": 64, "height": 64}
    before = pixels(run(pipeline, make_request(**size)))[0]
    held = pipeline.occupied().parts
    assert set(held) == SDXL_PARTS
    for part in (*SDXL_PARTS, "unknown"):
        pipeline.give_way([part])
        assert set(pipeline.occupied().parts) == SDXL_PARTS - {part}
        forget_texts(pipeline)
        assert difference(pixels(run(pipeline, make_request(**size)))[0], before) == 0
        assert pipeline.occupied().parts == held


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_every_part_of_wan_comes_back_to_the_bit(dtype: str, wan_folder: Path, make_film: MakeRequest) -> None:
    pipeline = create_wan(checkpoint=str(wan_folder), device="cpu", dtype=dtype)
    before = pixels(run(pipeline, make_film()))[0]
    held = pipeline.occupied().parts
    assert set(held) == WAN_PARTS
    for part in WAN_PARTS:
        pipeline.give_way([part])
        assert set(pipeline.occupied().parts) == WAN_PARTS - {part}
        forget_texts(pipeline)
        assert difference(pixels(run(pipeline, make_film()))[0], before) == 0
        assert pipeline.occupied().parts == held


def test_the_encoder_of_a_first_frame_is_a_part_too(image_folder: Path, make_film: MakeRequest, picture: Path) -> None:
    pipeline = create_wan(checkpoint=str(image_folder), device="cpu", dtype="float32")
    before = pixels(run(pipeline, make_film(image=picture)))[0]
    assert set(pipeline.occupied().parts) == WAN_PARTS | {"image_encoder"}
    pipeline.give_way(["image_encoder", "vae"])
    assert difference(pixels(run(pipeline, make_film(image=picture)))[0], before) == 0
    encoded = run(pipeline, make_film(image=picture, plan=ENCODE_FIRST))
    assert difference(pixels(encoded)[0], before) == 0
    assert set(pipeline.occupied().parts) == {"transformer", "vae"}
    offloaded = run(pipeline, make_film(image=picture, plan=OFFLOAD))
    assert difference(pixels(offloaded)[0], before) == 0
    assert pipeline.occupied().parts == {}


def test_vace_has_its_vae_where_it_starts_from_text_alone(vace_folder: Path, make_film: MakeRequest) -> None:
    pipeline = create_wan(checkpoint=str(vace_folder), device="cpu", dtype="float32")
    before = pixels(run(pipeline, make_film()))[0]
    assert difference(pixels(run(pipeline, make_film(plan=OFFLOAD)))[0], before) == 0


def test_the_model_of_qwen_comes_back_to_the_bit(tmp_path: Path) -> None:
    boat = ("A small sailboat drifts over dark water", " beneath the stars.", " Soft light, wide shot.")
    ship = ("A wooden boat rocks", " on a calm sea at night,", " lit by one lantern.")
    rewriter: Any = create_qwen(checkpoint=str(save(tmp_path / "qwen", boat, ship)), device="cpu")

    def answers() -> list[str]:
        rewriter._answers.clear()
        requests = [RewriteRequest(job_id="job", prompt="boat at night", kind="image", seed=seed) for seed in range(6)]
        return [rewriter.generate(each, lambda progress: None, lambda: False).prompt for each in requests]

    before = answers()
    held = rewriter.occupied().parts["model"]
    assert held == sum(each.numel() * each.element_size() for each in rewriter._qwen.model.parameters())
    rewriter.give_way(["unknown"])
    assert rewriter.occupied().parts == {"model": held}
    rewriter.give_way(["model"])
    assert rewriter.occupied().parts == {}
    assert answers() == before
    assert rewriter.occupied().parts == {"model": held}


def test_a_quantised_model_gives_way_as_a_whole(tmp_path: Path) -> None:
    boat = ("A small sailboat drifts over dark water", " beneath the stars.", " Soft light, wide shot.")
    folder = save(tmp_path / "qwen", boat)
    full: Any = create_qwen(checkpoint=str(folder), device="cpu", dtype="float32")
    rewriter: Any = create_qwen(checkpoint=str(folder), device="cpu", quantization="8bit")
    request = RewriteRequest(job_id="job", prompt="boat at night", kind="image")
    for each in (full, rewriter):
        each.generate(request, lambda progress: None, lambda: False)
    held = rewriter.occupied().parts["model"]
    # The embeddings stay in float32.
    assert full.occupied().parts["model"] / 4 < held < full.occupied().parts["model"] * 0.7
    rewriter.give_way(["model"])
    assert (rewriter.occupied().parts, rewriter._qwen) == ({}, None)
    rewriter._answers.clear()
    assert rewriter.generate(request, lambda progress: None, lambda: False).prompt == "".join(boat)
    assert rewriter.occupied().parts == {"model": held}


@pytest.mark.parametrize("plan", [ENCODE_FIRST, OFFLOAD])
def test_an_sdxl_picture_does_not_depend_on_the_residency(
    plan: Plan, tiny_folder: Path, make_request: MakeRequest, picture: Path
) -> None:
    pipeline = create_sdxl(checkpoint=str(tiny_folder), device="cpu")
    for fields in ({}, {"image": picture, "strength": 0.6}):
        resident = pixels(run(pipeline, make_request(**fields)))[0]
        forget_texts(pipeline)
        planned = run(pipeline, make_request(**fields, plan=plan))
        left = {"unet", "vae"} if plan is ENCODE_FIRST else set()
        assert set(pipeline.occupied().parts) == left
        assert difference(pixels(planned)[0], resident) == 0
        assert planned.receipt["plan"]["residency"] == plan.residency


@pytest.mark.parametrize("plan", [ENCODE_FIRST, OFFLOAD])
def test_a_film_does_not_depend_on_the_residency(plan: Plan, wan_folder: Path, make_film: MakeRequest) -> None:
    pipeline = create_wan(checkpoint=str(wan_folder), device="cpu", dtype="float32")
    planned = run(pipeline, make_film(plan=plan))
    assert set(pipeline.occupied().parts) == ({"transformer", "vae"} if plan is ENCODE_FIRST else set())
    forget_texts(pipeline)
    assert difference(pixels(planned)[0], pixels(run(pipeline, make_film()))[0]) == 0
    assert set(pipeline.occupied().parts) == WAN_PARTS


def test_under_offload_each_part_is_alone_while_it_computes(tiny_folder: Path, make_request: MakeRequest) -> None:
    pipeline = create_sdxl(checkpoint=str(tiny_folder), device="cpu", preview_interval_s=0.0)
    seen: dict[Stage, set[str]] = {}

    def report(progress: Progress) -> None:
        if progress.step or progress.stage is Stage.DECODING:
            seen[progress.stage] = set(pipeline.occupied().parts)

    pipeline.generate(make_request(plan=OFFLOAD), report, lambda: False)
    assert seen[Stage.DENOISING] == {"unet"}
    assert seen[Stage.DECODING] == {"vae"}


@pytest.mark.parametrize("scheduler", ["euler", "euler_a", "dpmpp_2m", "lcm", "ddim", "unipc"])
def test_pictures_made_in_sub_batches_are_those_of_one_batch(
    scheduler: str, sdxl: Any, make_request: MakeRequest
) -> None:
    fields: dict[str, Any] = {"seeds": (1, 2, 3, 4, 5), "scheduler": scheduler, "steps": 4}
    whole = run(sdxl, make_request(**fields))
    parted = run(sdxl, make_request(**fields, plan=Plan(rung=3, sub_batch=2, tiled=True)))
    for one, other in zip(pixels(whole), pixels(parted), strict=True):
        assert difference(one, other) <= 2
    assert [artifact.seed for artifact in parted.artifacts] == [1, 2, 3, 4, 5]
    assert json.loads(json.dumps(parted.receipt["plan"])) == {
        "rung": 3,
        "sub_batch": 2,
        "tiled": True,
        "residency": "resident",
    }


def test_pictures_from_a_picture_are_made_in_sub_batches_too(
    sdxl: Any, make_request: MakeRequest, picture: Path, tmp_path: Path
) -> None:
    mask = tmp_path / "mask.png"
    Image.new("L", (64, 64), 255).save(mask)
    for mode in ({"image": picture}, {"image": picture, "mask": mask}):
        fields: dict[str, Any] = {"seeds": (1, 2, 3), "strength": 0.7, "width": 64, "height": 64} | mode
        whole, parted = (run(sdxl, make_request(**fields, plan=plan)) for plan in (Plan(), Plan(sub_batch=1)))
        for one, other in zip(pixels(whole), pixels(parted), strict=True):
            assert difference(one, other) <= 2


def test_progress_and_previews_run_over_all_sub_batches(sdxl: Any, make_request: MakeRequest) -> None:
    reports: list[Progress] = []
    request = make_request(seeds=(1, 2, 3), steps=2, plan=Plan(sub_batch=2))
    sdxl.generate(request, reports.append, lambda: False)
    fractions = [report.fraction for report in reports]
    assert fractions == sorted(fractions)
    steps = [report for report in reports if report.stage is Stage.DENOISING and report.step]
    assert [(report.step, report.steps) for report in steps] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    sheets = [np.asarray(Image.open(io.BytesIO(report.preview or b""))).astype(np.int16) for report in steps]
    assert {sheet.shape[1] for sheet in sheets} == {3 * 128}
    first, second, third = (slice(128 * i + 16, 128 * i + 112) for i in range(3))
    # The third is blank while the first two are made, which stand still while it is, but for what WebP makes of them.
    assert sheets[1][:, third].std() < 3 < sheets[1][:, first].std()
    assert np.abs(sheets[3][:, first] - sheets[2][:, first]).mean() < 8
    assert np.abs(sheets[3][:, second] - sheets[1][:, second]).mean() < 8
    assert np.abs(sheets[3][:, third] - sheets[1][:, third]).mean() > 20


def test_a_plan_may_have_pictures_decoded_in_tiles(
    sdxl: Any, make_request: MakeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sdxl_module, "SDXL_TILE_PX", 64)
    calls: list[tuple[int, ...]] = []
    decoder = loaded_pipe(sdxl).vae.decoder
    handle = decoder.register_forward_pre_hook(lambda _module, args: calls.append(tuple(args[0].shape[-2:])))
    size = {"width": 160, "height": 96, "steps": 2}
    tiled = run(sdxl, make_request(**size, plan=Plan(rung=1, tiled=True)))
    assert len(calls) > 4
    assert max(max(shape) for shape in calls) == 16
    calls.clear()
    whole = run(sdxl, make_request(**size))
    handle.remove()
    assert calls == [(24, 40)]
    assert np.abs(pixels(tiled)[0] - pixels(whole)[0]).mean() < 8


def test_few_step_weights_are_parts_of_their_own(
    tiny_folder: Path, wan_folder: Path, make_request: MakeRequest, tmp_path: Path
) -> None:
    unet = tmp_path / "unet.safetensors"
    save_file(tiny_sdxl.build(seed=5).unet.state_dict(), unet)
    transformer = tmp_path / "transformer.safetensors"
    save_file(tiny_wan.build(seed=5).transformer.state_dict(), transformer)
    for pipeline, few, full in (
        (create_sdxl(checkpoint=str(tiny_folder), few_step=str(unet), device="cpu"), "few_step_unet", "unet"),
        (
            create_wan(checkpoint=str(wan_folder), few_step=str(transformer), device="cpu"),
            "few_step_transformer",
            "transformer",
        ),
    ):
        before = pixels(run(pipeline, make_request(quality="fast", scheduler="euler")))[0]
        pipeline.give_way([few, full])
        assert difference(pixels(run(pipeline, make_request(quality="fast", scheduler="euler")))[0], before) == 0
        assert few in pipeline.occupied().parts
        assert full not in pipeline.occupied().parts
        offloaded = run(pipeline, make_request(quality="fast", scheduler="euler", plan=OFFLOAD))
        assert difference(pixels(offloaded)[0], before) == 0


def test_a_cancelled_run_under_a_plan_leaves_the_next_one_whole(tiny_folder: Path, make_request: MakeRequest) -> None:
    pipeline = create_sdxl(checkpoint=str(tiny_folder), device="cpu")
    before = pixels(run(pipeline, make_request()))[0]
    asked: list[int] = []

    def is_cancelled() -> bool:
        asked.append(1)
        return len(asked) > 2

    with pytest.raises(Cancelled):
        pipeline.generate(make_request(plan=OFFLOAD), lambda progress: None, is_cancelled)
    assert pipeline.occupied().parts == {}
    assert difference(pixels(run(pipeline, make_request()))[0], before) == 0


def test_files_that_are_gone_when_a_part_is_needed_are_told(
    tiny_folder: Path, make_request: MakeRequest, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny_folder, tmp_path / "moved"))
    pipeline = create_sdxl(checkpoint=str(folder), device="cpu")
    before = pixels(run(pipeline, make_request()))[0]
    pipeline.give_way(["vae"])
    folder.rename(tmp_path / "elsewhere")
    with pytest.raises(ModelMissing, match="moved does not fit together"):
        run(pipeline, make_request())
    (tmp_path / "elsewhere").rename(folder)
    assert difference(pixels(run(pipeline, make_request()))[0], before) == 0


def test_after_running_out_of_memory_the_next_plan_runs(tiny_folder: Path, make_request: MakeRequest) -> None:
    pipeline = create_sdxl(checkpoint=str(tiny_folder), device="cpu")
    with pytest.raises(OutOfMemory):
        run(pipeline, make_request(width=2**26, height=2**26))
    assert len(run(pipeline, make_request(plan=OFFLOAD)).artifacts) == 1


def test_loading_tells_of_its_parts(tiny_folder: Path, wan_folder: Path) -> None:
    expected = {"sdxl": ["text_encoders", "unet", "vae"], "wan": ["text_encoder", "transformer", "vae"]}
    for pipeline, role in (
        (create_sdxl(checkpoint=str(tiny_folder), device="cpu"), "sdxl"),
        (create_wan(checkpoint=str(wan_folder), device="cpu"), "wan"),
    ):
        reports: list[Progress] = []
        pipeline.load(reports.append)
        assert {report.stage for report in reports} == {Stage.LOADING}
        parts = [(report.text, report.step, report.steps) for report in reports if report.text]
        assert parts == [(name, i, 3) for i, name in enumerate(expected[role])]
        fractions = [report.fraction for report in reports]
        assert fractions == sorted(fractions)


def test_what_is_occupied_follows_what_is_held(tiny_folder: Path, make_request: MakeRequest) -> None:
    pipeline = create_sdxl(checkpoint=str(tiny_folder), device="cpu")
    empty = pipeline.occupied()
    assert empty.parts == {}
    assert 0 < empty.now_bytes <= empty.peak_bytes
    run(pipeline, make_request())
    full = pipeline.occupied()
    modules = [getattr(loaded_pipe(pipeline), name) for name in ("unet", "vae", "text_encoder", "text_encoder_2")]
    assert sum(full.parts.values()) == sum(
        each.numel() * each.element_size() for module in modules for each in module.parameters()
    )
    assert full.now_bytes <= full.peak_bytes
    pipeline.release()
    del modules
    gc.collect()
    assert pipeline.occupied().parts == {}


def test_a_run_measures_its_own_peak(sdxl: Any, make_request: MakeRequest) -> None:
    ballast = torch.ones(100 * 10**6)
    assert ballast.numel() == 100 * 10**6
    del ballast
    before = sdxl.occupied()
    assert before.peak_bytes - before.now_bytes > 300 * 10**6
    run(sdxl, make_request())
    after = sdxl.occupied()
    assert after.peak_bytes - after.now_bytes < 200 * 10**6
