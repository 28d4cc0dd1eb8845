"""WanFilmPipeline against its contract, on a real WAN of random weights."""

from __future__ import annotations

import gc
import io
import json
import shutil
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pipelines import checkpoints
from pipelines.contract import (
    Cancelled,
    GenerationRequest,
    InvalidRequest,
    ModelMissing,
    OutOfMemory,
    PipelineError,
    Plan,
    Progress,
    Stage,
)
from pipelines.wan import create
from tests.unit.pipelines.tiny_wan import LAYERS, TEXT_TOKENS, build
from tests.unit.pipelines.wan_runs import counted, difference, loaded_pipe, pixels, run

# diffusers asks NumPy for a copy-free array in a way that NumPy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

MakeRequest = Callable[..., GenerationRequest]


def test_a_film_arrives_as_one_mp4(wan: Any, make_film: MakeRequest) -> None:
    request = make_film(width=48)
    result = run(wan, request)
    (artifact,) = result.artifacts
    assert artifact.path == request.scratch / "000.mp4"
    assert (artifact.mime_type, artifact.frames, artifact.fps, artifact.seed) == ("video/mp4", 9, 8.0, 1)
    assert (artifact.width, artifact.height) == (48, 32)
    assert [path.name for path in request.scratch.iterdir()] == ["000.mp4"]
    (film,) = pixels(result)
    assert film.shape == (9, 32, 48, 3)
    assert difference(film[0], film[-1]) > 5
    assert set(result.timings_s) == {"loading_s", "denoising_s", "decoding_s", "encoding_s"}


def test_the_seed_decides_and_decides_everything(wan: Any, make_film: MakeRequest) -> None:
    first, again, other = (pixels(run(wan, make_film(seeds=(seed,))))[0] for seed in (7, 7, 8))
    assert difference(first, again) == 0
    assert difference(first, other) > 20


def test_six_pictures_arrive_as_numbered_png_files(wan: Any, make_request: MakeRequest) -> None:
    request = make_request(seeds=(1, 2, 3, 4, 5, 6), width=48)
    result = run(wan, request)
    assert [a.path for a in result.artifacts] == [request.scratch / f"{i:03}.png" for i in range(6)]
    for artifact in result.artifacts:
        with Image.open(artifact.path) as image:
            assert (image.format, image.mode, image.size) == ("PNG", "RGB", (48, 32))
        assert (artifact.mime_type, artifact.frames, artifact.fps) == ("image/png", None, None)
    assert len({array.tobytes() for array in pixels(result)}) == 6


@pytest.mark.parametrize("scheduler", ["unipc", "euler"])
def test_one_picture_of_a_batch_can_be_made_again_alone(scheduler: str, wan: Any, make_request: MakeRequest) -> None:
    batch = pixels(run(wan, make_request(seeds=(11, 22, 33), scheduler=scheduler)))
    alone = pixels(run(wan, make_request(seeds=(22,), scheduler=scheduler)))
    assert difference(batch[1], alone[0]) <= 2
    assert difference(batch[0], alone[0]) > 20


@torch.inference_mode()
def test_the_picture_is_the_one_that_the_bare_pipeline_makes(wan: Any, make_request: MakeRequest) -> None:
    pipe, settings = loaded_pipe(wan), {"width": 48, "height": 32, "guidance_scale": 4.0, "num_inference_steps": 5}
    bare = pipe(
        "a red boat",
        negative_prompt="blurry",
        num_frames=1,
        max_sequence_length=TEXT_TOKENS,
        generator=torch.Generator().manual_seed(3),
        **settings,
    ).frames[0, 0]
    fields = {"prompt": "a red boat", "negative_prompt": "blurry", "scheduler": "unipc", "seeds": (3,)}
    (made,) = pixels(run(wan, make_request(width=48, height=32, guidance=4.0, steps=5, **fields)))
    assert difference(made, (bare * 255).round().astype(np.int16)) <= 1


def test_the_prompts_the_guidance_and_the_scheduler_all_count(wan: Any, make_request: MakeRequest) -> None:
    variants: list[dict[str, Any]] = [
        {},
        {"prompt": "a blue square"},
        {"negative_prompt": "blurry"},
        {"guidance": 9.0},
        {"scheduler": "unipc"},
        {"steps": 2},
    ]
    pictures = [pixels(run(wan, make_request(guidance=5.0) if not v else make_request(**v)))[0] for v in variants]
    assert len({array.tobytes() for array in pictures}) == len(variants)


def test_progress_only_grows_and_the_previews_move(wan: Any, make_film: MakeRequest) -> None:
    reports: list[Progress] = []
    wan.generate(make_film(steps=4), reports.append, lambda: False)
    fractions = [report.fraction for report in reports]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    steps = [report for report in reports if report.stage is Stage.DENOISING and report.step]
    assert [(report.step, report.steps) for report in steps] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert list(dict.fromkeys(r.stage for r in reports)) == [Stage.DENOISING, Stage.DECODING, Stage.ENCODING]
    assert [(r.step, r.steps) for r in reports if r.stage is Stage.DECODING] == [(0, 3), (1, 3), (2, 3)]
    for report in steps:
        assert report.preview is not None
        with Image.open(io.BytesIO(report.preview)) as film:
            assert (film.format, film.n_frames) == ("WEBP", 3)


def test_pictures_have_a_sprite_for_a_preview(wan: Any, make_request: MakeRequest) -> None:
    reports: list[Progress] = []
    wan.generate(make_request(seeds=(1, 2)), reports.append, lambda: False)
    sheets = [report.preview for report in reports if report.preview]
    assert len(sheets) == 3
    with Image.open(io.BytesIO(sheets[0])) as sheet:
        assert sheet.size == (256, 128)


@pytest.mark.parametrize("checks", [1, 3])
def test_a_cancel_stops_at_the_next_step_and_leaves_no_file(checks: int, wan: Any, make_film: MakeRequest) -> None:
    request, reports, asked = make_film(steps=10), list[Progress](), 0

    def is_cancelled() -> bool:
        nonlocal asked
        asked += 1
        return asked >= checks

    with pytest.raises(Cancelled):
        wan.generate(request, reports.append, is_cancelled)
    assert asked == checks
    assert [report.step for report in reports] == list(range(checks - 1))
    assert list(request.scratch.iterdir()) == []
    assert len(run(wan, make_film()).artifacts) == 1


def test_a_cancel_in_the_middle_of_decoding_stops_at_the_next_chunk(wan: Any, make_film: MakeRequest) -> None:
    request, reports = make_film(frames=17), list[Progress]()
    vae = loaded_pipe(wan).vae
    with counted(vae.decoder.conv_in) as decoded, pytest.raises(Cancelled):
        wan.generate(request, reports.append, lambda: any(r.stage is Stage.DECODING and r.step == 1 for r in reports))
    assert len(decoded) == 2
    assert list(request.scratch.iterdir()) == []
    assert vae._feat_map == [None] * len(vae._feat_map)
    assert pixels(run(wan, make_film(frames=17)))[0].shape[0] == 17


def test_a_cancel_while_encoding_leaves_no_file(wan: Any, make_film: MakeRequest) -> None:
    request, reports = make_film(), list[Progress]()
    with pytest.raises(Cancelled):
        wan.generate(request, reports.append, lambda: reports[-1].fraction > 0.981 if reports else False)
    assert reports[-1].stage is Stage.ENCODING
    assert list(request.scratch.iterdir()) == []


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_films_and_pictures_run_in_every_precision(
    dtype: str, wan_folder: Path, make_request: MakeRequest, make_film: MakeRequest
) -> None:
    pipeline = create(checkpoint=str(wan_folder), device="cpu", dtype=dtype)
    results = [run(pipeline, make_film()), run(pipeline, make_request())]
    assert {result.receipt["dtype"] for result in results} == {dtype}
    assert all(array.std() > 1 for result in results for array in pixels(result))
    assert loaded_pipe(pipeline).transformer.blocks[0].scale_shift_table.dtype == torch.float32
    assert loaded_pipe(pipeline).transformer.blocks[0].attn1.to_q.weight.dtype == getattr(torch, dtype)


def test_the_receipt_is_json_and_tells_how_to_make_it_again(wan: Any, make_film: MakeRequest) -> None:
    receipt = json.loads(json.dumps(run(wan, make_film(scheduler=None, quality="high", seeds=(7,))).receipt))
    assert (receipt["mode"], receipt["seeds"], receipt["scheduler"]) == ("text", [7], "unipc")
    assert (receipt["frames"], receipt["fps"], receipt["flow_shift"]) == (9, 8.0, 3.0)
    assert receipt["cache"] == {"kind": "first_block", "threshold": 0.05}
    assert receipt["guided_share"] == 0.8
    assert receipt["encoding_passes"] == 1
    assert set(receipt["versions"]) == {"torch", "diffusers", "transformers"}
    assert len(receipt["fingerprint"]) == 16


def test_a_smaller_limit_of_bytes_is_kept(wan: Any, make_film: MakeRequest) -> None:
    size = run(wan, make_film(width=64, height=64)).artifacts[0].path.stat().st_size
    result = run(wan, make_film(width=64, height=64, max_bytes=size - 500))
    assert result.artifacts[0].path.stat().st_size <= size - 500
    assert result.receipt["encoding_passes"] > 1


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"frames": 8}, r"4 x n \+ 1 frames"),
        ({"frames": 1}, r"4 x n \+ 1 frames"),
        ({"frames": 0}, r"4 x n \+ 1 frames"),
        ({"fps": 0.0}, "more than 0 frames a second"),
        ({"fps": None}, "A picture has one frame"),
        ({"width": 24}, "multiples of 16 pixels"),
        ({"height": 0}, "multiples of 16 pixels"),
        ({"seeds": (1, 2)}, "one at a time"),
        ({"seeds": ()}, "1 to 6"),
        ({"steps": 0}, "one step"),
        ({"scheduler": "dpmpp_2m"}, "for WAN. Choose one of unipc, euler"),
        ({"quality": "ultra"}, "no quality 'ultra'"),
        ({"image": Path("a.png"), "mask": Path("b.png")}, "does not repaint"),
        ({"image": Path("a.png"), "video": Path("b.mp4")}, "not from both"),
        ({"video": Path("gone.mp4"), "frames": 1, "fps": None}, "not from a film"),
        ({"video": Path("gone.mp4")}, "cannot be read"),
        ({"image": Path("gone.png"), "frames": 1, "fps": None}, "cannot be read"),
        ({"image": Path("a.png")}, r"cannot start a film from a picture\. Set STUDIO_WAN_MODEL to an image-to-video"),
    ],
)
def test_what_cannot_be_done_is_told(fields: dict[str, Any], sentence: str, wan: Any, make_film: MakeRequest) -> None:
    with pytest.raises(InvalidRequest, match=sentence):
        run(wan, make_film(**fields))


def test_the_demo_computes_every_block_of_every_step(
    wan_folder: Path, make_film: MakeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "DEMO_FOLDER", {"wan": wan_folder})
    pipeline = create(device="cpu", dtype="float32")
    with counted(loaded_pipe(pipeline).transformer.blocks[LAYERS - 1].attn1) as calls:
        result = run(pipeline, make_film(quality="high", steps=6))
    assert len(calls) == 12
    assert (result.receipt["cache"], result.receipt["guided_share"]) == (None, 1.0)


def test_too_large_a_picture_ends_as_out_of_memory_and_the_next_job_runs(
    wan_folder: Path, make_request: MakeRequest
) -> None:
    pipeline = create(checkpoint=str(wan_folder), device="cpu")
    with pytest.raises(OutOfMemory, match="shorter film"):
        run(pipeline, make_request(width=2**26, height=2**26))
    assert len(run(pipeline, make_request()).artifacts) == 1


@pytest.mark.parametrize(("part", "stage"), [("transformer", "denoising"), ("vae", "decoding")])
def test_numbers_that_overflow_are_an_error_and_not_a_black_film(
    part: str, stage: str, make_film: MakeRequest, tmp_path: Path
) -> None:
    pipe = build()
    with torch.no_grad():
        (pipe.transformer.proj_out if part == "transformer" else pipe.vae.decoder.conv_out).weight.fill_(float("nan"))
    pipe.save_pretrained(tmp_path / "broken")
    request = make_film()
    with pytest.raises(PipelineError, match=f"lost its numbers while {stage}"):
        run(create(checkpoint=str(tmp_path / "broken"), device="cpu"), request)
    assert list(request.scratch.iterdir()) == []


def test_a_plan_may_have_pictures_coded_in_tiles(wan: Any, make_request: MakeRequest) -> None:
    reports: list[Progress] = []
    size = {"width": 320, "height": 256, "steps": 1}
    result = wan.generate(make_request(**size, plan=Plan(rung=2, tiled=True)), reports.append, lambda: False)
    assert result.receipt["plan"] == {"rung": 2, "sub_batch": None, "tiled": True, "residency": "resident"}
    assert [(r.step, r.steps) for r in reports if r.stage is Stage.DECODING] == [(i, 4) for i in range(4)]
    reports.clear()
    whole = wan.generate(make_request(**size), reports.append, lambda: False)
    assert [(r.step, r.steps) for r in reports if r.stage is Stage.DECODING] == [(0, 1)]
    assert np.abs(pixels(result)[0] - pixels(whole)[0]).mean() < 3
    assert np.std(pixels(result)[0]) > 1


def test_generate_loads_what_is_not_loaded_and_release_gives_it_back(wan_folder: Path, make_film: MakeRequest) -> None:
    others = {id(m) for m in gc.get_objects() if type(m).__name__ == "WanTransformer3DModel"}
    pipeline, reports = create(checkpoint=str(wan_folder), device="cpu"), list[Progress]()
    result = pipeline.generate(make_film(), reports.append, lambda: False)
    assert reports[0].stage is Stage.LOADING
    assert result.timings_s["loading_s"] > 0
    assert run(pipeline, make_film()).timings_s["loading_s"] == 0
    owned = [m for m in gc.get_objects() if type(m).__name__ == "WanTransformer3DModel" and id(m) not in others]
    alive = [weakref.ref(module) for module in owned]
    del owned
    assert len(alive) == 1
    pipeline.release()
    gc.collect()
    assert [reference for reference in alive if reference() is not None] == []
    assert difference(pixels(run(pipeline, make_film()))[0], pixels(result)[0]) == 0


def test_an_absent_checkpoint_is_told_at_load_and_not_before() -> None:
    pipeline = create(checkpoint="/no/such/folder")
    with pytest.raises(ModelMissing, match="STUDIO_WAN_MODEL"):
        pipeline.load(lambda progress: None)


def test_parts_that_do_not_fit_are_told_in_a_sentence(wan_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(wan_folder, tmp_path / "odd"))
    path = folder / "transformer" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"text_dim": 48}))
    with pytest.raises(ModelMissing, match="odd does not fit together as a WAN model"):
        create(checkpoint=str(folder), device="cpu").load(lambda progress: None)
