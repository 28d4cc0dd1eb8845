"""SdxlPipeline against its contract, on a real SDXL of random weights."""

from __future__ import annotations

import gc
import io
import json
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from pipelines.contract import (
    Cancelled,
    GenerationRequest,
    GenerationResult,
    InvalidRequest,
    ModelMissing,
    OutOfMemory,
    PipelineError,
    Progress,
    Stage,
)
from pipelines.sdxl import create
from tests.unit.pipelines.tiny_sdxl import build

# diffusers asks NumPy for a copy-free array in a way that NumPy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

MakeRequest = Callable[..., GenerationRequest]


def run(pipeline: Any, request: GenerationRequest) -> GenerationResult:
    result: GenerationResult = pipeline.generate(request, lambda progress: None, lambda: False)
    return result


def pixels(result: GenerationResult) -> list[NDArray[np.int16]]:
    return [np.asarray(Image.open(artifact.path).convert("RGB")).astype(np.int16) for artifact in result.artifacts]


def difference(one: NDArray[np.int16], other: NDArray[np.int16]) -> int:
    return int(np.abs(one - other).max())


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "reference.png"
    Image.effect_noise((64, 64), 90).convert("RGB").save(path)
    return path


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    path = tmp_path / "mask.png"
    image = Image.new("L", (64, 64), 0)
    image.paste(255, (32, 0, 64, 64))
    image.save(path)
    return path


def test_six_pictures_arrive_as_numbered_png_files(sdxl: Any, make_request: MakeRequest) -> None:
    request = make_request(seeds=(1, 2, 3, 4, 5, 6), width=48, height=32)
    result = run(sdxl, request)
    assert [a.path for a in result.artifacts] == [request.scratch / f"{i:03}.png" for i in range(6)]
    assert [a.seed for a in result.artifacts] == list(request.seeds)
    for artifact in result.artifacts:
        with Image.open(artifact.path) as image:
            assert (image.format, image.mode, image.size) == ("PNG", "RGB", (48, 32))
        assert (artifact.width, artifact.height, artifact.mime_type) == (48, 32, "image/png")
    assert len({array.tobytes() for array in pixels(result)}) == 6


@pytest.mark.parametrize("scheduler", ["euler", "euler_a", "dpmpp_2m", "lcm"])
def test_one_picture_of_a_batch_can_be_made_again_alone(scheduler: str, sdxl: Any, make_request: MakeRequest) -> None:
    batch = pixels(run(sdxl, make_request(seeds=(11, 22, 33), scheduler=scheduler)))
    alone = pixels(run(sdxl, make_request(seeds=(22,), scheduler=scheduler)))
    assert difference(batch[1], alone[0]) <= 2
    assert difference(batch[0], alone[0]) > 20


def test_the_prompts_the_guidance_and_the_scheduler_all_count(sdxl: Any, make_request: MakeRequest) -> None:
    variants: list[dict[str, Any]] = [
        {},
        {"prompt": "a blue square"},
        {"negative_prompt": "blurry"},
        {"guidance": 5.0},
        {"scheduler": "euler_a"},
        {"steps": 2},
    ]
    pictures = [pixels(run(sdxl, make_request(**variant)))[0] for variant in variants]
    assert len({array.tobytes() for array in pictures}) == len(variants)


def test_no_scheduler_means_the_recipes(sdxl: Any, make_request: MakeRequest) -> None:
    assert run(sdxl, make_request(scheduler=None, quality="fast")).receipt["scheduler"] == "dpmpp_2m"
    assert run(sdxl, make_request(scheduler=None, quality="high")).receipt["scheduler"] == "dpmpp_2m_karras"


def test_progress_only_grows_and_every_step_brings_a_preview(sdxl: Any, make_request: MakeRequest) -> None:
    reports: list[Progress] = []
    sdxl.generate(make_request(seeds=(1, 2), width=48, steps=4), reports.append, lambda: False)
    fractions = [report.fraction for report in reports]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    steps = [report for report in reports if report.stage is Stage.DENOISING and report.step]
    assert [(report.step, report.steps) for report in steps] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    order = list(dict.fromkeys(report.stage for report in reports))
    assert order == [Stage.DENOISING, Stage.DECODING, Stage.ENCODING]
    for report in steps:
        assert report.preview is not None
        with Image.open(io.BytesIO(report.preview)) as sheet:
            assert sheet.size == (256, 85)


def test_steps_that_follow_fast_share_a_preview(tiny_folder: Path, make_request: MakeRequest) -> None:
    pipeline, reports = create(checkpoint=str(tiny_folder), device="cpu", preview_interval_s=3600.0), list[Progress]()
    pipeline.generate(make_request(steps=4), reports.append, lambda: False)
    pipeline.release()
    assert [report.step for report in reports if report.preview] == [1]


def test_previews_converge_on_the_picture(sdxl: Any, make_request: MakeRequest) -> None:
    reports: list[Progress] = []
    sdxl.generate(make_request(steps=6), reports.append, lambda: False)
    sheets = [np.asarray(Image.open(io.BytesIO(r.preview))).astype(float) for r in reports if r.preview]
    distances = [float(np.abs(sheet - sheets[-1]).mean()) for sheet in sheets]
    assert distances[0] > distances[-2] > distances[-1] == 0


@pytest.mark.parametrize("checks", [1, 3])
def test_a_cancel_stops_at_the_next_step_and_leaves_no_file(checks: int, sdxl: Any, make_request: MakeRequest) -> None:
    request, reports, asked = make_request(steps=10), list[Progress](), 0

    def is_cancelled() -> bool:
        nonlocal asked
        asked += 1
        return asked >= checks

    with pytest.raises(Cancelled):
        sdxl.generate(request, reports.append, is_cancelled)
    assert asked == checks
    assert [report.step for report in reports] == list(range(checks - 1))
    assert Stage.DECODING not in {report.stage for report in reports}
    assert list(request.scratch.iterdir()) == []
    assert len(run(sdxl, make_request()).artifacts) == 1


def test_a_cancel_between_two_decodes_leaves_no_file(sdxl: Any, make_request: MakeRequest) -> None:
    request, reports = make_request(seeds=(1, 2, 3)), list[Progress]()
    with pytest.raises(Cancelled):
        sdxl.generate(request, reports.append, lambda: any(r.stage is Stage.DECODING for r in reports))
    assert list(request.scratch.iterdir()) == []


def test_image_to_image_keeps_more_of_the_picture_at_low_strength(
    sdxl: Any, make_request: MakeRequest, picture: Path
) -> None:
    weak, strong = (run(sdxl, make_request(image=picture, strength=strength, steps=8)) for strength in (0.2, 0.9))
    text = run(sdxl, make_request(steps=8))
    assert weak.receipt["mode"] == strong.receipt["mode"] == "image"
    reference = pixels(run(sdxl, make_request(image=picture, strength=0.01, steps=8)))[0]
    distances = [float(np.abs(pixels(result)[0] - reference).mean()) for result in (weak, strong)]
    assert distances[0] < distances[1]
    assert difference(pixels(text)[0], pixels(strong)[0]) > 0


def test_image_to_image_pictures_can_be_made_again_alone(sdxl: Any, make_request: MakeRequest, picture: Path) -> None:
    batch = pixels(run(sdxl, make_request(image=picture, strength=0.5, seeds=(1, 2))))
    alone = pixels(run(sdxl, make_request(image=picture, strength=0.5, seeds=(2,))))
    assert difference(batch[1], alone[0]) <= 2
    assert difference(batch[0], alone[0]) > 5


def test_full_strength_ignores_the_picture(sdxl: Any, make_request: MakeRequest, picture: Path) -> None:
    ignored = run(sdxl, make_request(image=picture, strength=1.0))
    assert ignored.receipt["mode"] == "text"
    assert difference(pixels(ignored)[0], pixels(run(sdxl, make_request()))[0]) == 0


def test_inpainting_repaints_inside_the_mask_only(
    sdxl: Any, make_request: MakeRequest, picture: Path, mask: Path
) -> None:
    result = run(sdxl, make_request(image=picture, mask=mask, width=64, height=64, seeds=(1, 2), strength=0.8))
    original = np.asarray(Image.open(picture)).astype(np.int16)
    first, second = pixels(result)
    assert result.receipt["mode"] == "inpaint"
    assert difference(first[:, :24], original[:, :24]) == 0
    assert difference(first[:, 40:], original[:, 40:]) > 20
    assert difference(first[:, 40:], second[:, 40:]) > 5


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_every_mode_runs_in_every_precision(
    dtype: str, tiny_folder: Path, make_request: MakeRequest, picture: Path, mask: Path
) -> None:
    """On CPUs too: the parts of a GPU run that are about precision (a float32 VAE beside a half UNet) are the same."""
    pipeline = create(checkpoint=str(tiny_folder), device="cpu", dtype=dtype)
    size: dict[str, Any] = {"width": 64, "height": 64, "strength": 0.8}
    results = [
        run(pipeline, make_request(**size)),
        run(pipeline, make_request(**size, image=picture)),
        run(pipeline, make_request(**size, image=picture, mask=mask, seeds=(1, 2))),
    ]
    assert [result.receipt["mode"] for result in results] == ["text", "image", "inpaint"]
    assert {result.receipt["dtype"] for result in results} == {dtype}
    assert all(array.std() > 1 for result in results for array in pixels(result))


def test_the_receipt_is_json_and_tells_how_to_make_it_again(sdxl: Any, make_request: MakeRequest) -> None:
    request = make_request(prompt="a tall " * 32, seeds=(7,))
    receipt = json.loads(json.dumps(run(sdxl, request).receipt))
    assert (receipt["checkpoint"], receipt["seeds"], receipt["scheduler"]) == ("tiny", [7], "euler")
    assert receipt["prompt_chunks"] == 3
    assert receipt["prompt_cache_hits"] == 0
    assert run(sdxl, request).receipt["prompt_cache_hits"] >= 1
    assert set(receipt["versions"]) == {"torch", "diffusers", "transformers"}
    assert len(receipt["fingerprint"]) == 16


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"width": 33}, "multiples of 8 pixels"),
        ({"height": 0}, "multiples of 8 pixels"),
        ({"seeds": ()}, "1 to 6 pictures"),
        ({"seeds": tuple(range(7))}, "1 to 6 pictures"),
        ({"steps": 0}, "one step"),
        ({"scheduler": "magic"}, "no scheduler 'magic'"),
        ({"quality": "ultra"}, "no quality 'ultra'"),
        ({"mask": Path("mask.png")}, "needs the picture"),
        ({"image": Path("gone.png")}, "cannot be read"),
        ({"image": Path("gone.png"), "strength": 0.0}, "above 0"),
    ],
)
def test_what_cannot_be_done_is_told(
    fields: dict[str, Any], sentence: str, sdxl: Any, make_request: MakeRequest
) -> None:
    with pytest.raises(InvalidRequest, match=sentence):
        run(sdxl, make_request(**fields))


def test_too_large_a_picture_ends_as_out_of_memory_and_the_next_job_runs(sdxl: Any, make_request: MakeRequest) -> None:
    with pytest.raises(OutOfMemory, match="smaller pictures"):
        run(sdxl, make_request(width=2**26, height=2**26))
    assert len(run(sdxl, make_request()).artifacts) == 1


@pytest.mark.parametrize(("part", "stage"), [("unet", "denoising"), ("vae", "decoding")])
def test_numbers_that_overflow_are_an_error_and_not_a_black_picture(
    part: str, stage: str, make_request: MakeRequest, tmp_path: Path
) -> None:
    pipe = build()
    with torch.no_grad():
        (pipe.unet.conv_out if part == "unet" else pipe.vae.decoder.conv_out).weight.mul_(float("inf"))
    pipe.save_pretrained(tmp_path / "broken")
    request = make_request()
    with pytest.raises(PipelineError, match=f"lost its numbers while {stage}"):
        run(create(checkpoint=str(tmp_path / "broken"), device="cpu"), request)
    assert list(request.scratch.iterdir()) == []


def test_generate_loads_what_is_not_loaded_and_says_so(tiny_folder: Path, make_request: MakeRequest) -> None:
    pipeline, reports = create(checkpoint=str(tiny_folder), device="cpu"), list[Progress]()
    result = pipeline.generate(make_request(), reports.append, lambda: False)
    assert reports[0].stage is Stage.LOADING
    assert [r.fraction for r in reports] == sorted(r.fraction for r in reports)
    assert set(result.timings_s) == {"loading_s", "denoising_s", "decoding_s", "encoding_s"}
    assert result.timings_s["loading_s"] > 0
    assert run(pipeline, make_request()).timings_s["loading_s"] == 0


def test_release_gives_back_every_part_and_load_brings_it_again(tiny_folder: Path, make_request: MakeRequest) -> None:
    others = {id(m) for m in gc.get_objects() if type(m).__name__ == "UNet2DConditionModel"}
    pipeline = create(checkpoint=str(tiny_folder), device="cpu")
    before = pixels(run(pipeline, make_request()))[0]
    # Other tests' models are alive too: only this pipeline's own are followed.
    owned = [m for m in gc.get_objects() if type(m).__name__ == "UNet2DConditionModel" and id(m) not in others]
    alive = [weakref.ref(module) for module in owned]
    del owned
    assert len(alive) == 1
    pipeline.release()
    gc.collect()
    assert [reference for reference in alive if reference() is not None] == []
    assert difference(pixels(run(pipeline, make_request()))[0], before) == 0


def test_few_step_weights_draw_the_fast_jobs_only(
    tiny_folder: Path, make_request: MakeRequest, tmp_path: Path, sdxl: Any
) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "sdxl_lightning_4step_unet.safetensors"
    save_file(build(seed=5).unet.state_dict(), path)
    pipeline = create(checkpoint=str(tiny_folder), few_step=str(path), device="cpu")
    fast, high = (run(pipeline, make_request(quality=quality)) for quality in ("fast", "high"))
    assert fast.receipt["few_step_weights"] == path.name
    assert high.receipt["few_step_weights"] is None
    plain = pixels(run(sdxl, make_request(quality="high")))[0]
    assert difference(pixels(high)[0], plain) <= 2
    assert difference(pixels(fast)[0], plain) > 20


def test_few_step_weights_of_another_shape_are_told(
    tiny_folder: Path, half_folder: Path, make_request: MakeRequest
) -> None:
    other = half_folder / "vae" / "diffusion_pytorch_model.fp16.safetensors"
    with pytest.raises(ModelMissing, match="do not fit this SDXL"):
        run(create(checkpoint=str(tiny_folder), few_step=str(other), device="cpu"), make_request())


def test_an_absent_checkpoint_is_told_at_load_and_not_before(make_request: MakeRequest) -> None:
    pipeline = create(checkpoint="/no/such/folder")
    with pytest.raises(ModelMissing, match="STUDIO_SDXL_MODEL"):
        pipeline.load(lambda progress: None)
