"""Footprints, against the activations that were counted on the published models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.acceleration import DtypeSwitch
from pipelines.checkpoints import resolve
from pipelines.contract import Plan
from pipelines.footprint import RANK, SDXL_TILE_PX, Work, activations, footprint
from pipelines.plans import ladder
from pipelines.shapes import Precision, shapes_of

COUNTED = json.loads((Path(__file__).parents[3] / "bench" / "activations.json").read_text(encoding="utf-8"))
FULL = {role: shapes_of(resolve(role, "full"), Precision(device_kind="cuda")) for role in ("sdxl", "wan", "qwen")}
PICTURES = Work(role="sdxl", width=1024, height=1024, count=6)
FILM = Work(role="wan", width=832, height=480, frames=81, film=True)


def of_phase(phase: str) -> list[Any]:
    return [pytest.param(case, id=name) for name, case in COUNTED.items() if case["phase"] == phase]


def decoding_at(dtype: DtypeSwitch, role: str) -> Any:
    """Shapes whose VAE computes in `dtype`."""
    on_cuda = Precision(device_kind="cuda", dtype=dtype)
    return shapes_of(resolve(role, "full"), on_cuda)


def assert_covers(reckoned: float, case: dict[str, Any]) -> None:
    """What is reckoned is what was counted, or a little more."""
    assert 0.98 <= reckoned / case["peak_bytes"] <= 1.12


@pytest.mark.parametrize("case", of_phase("sdxl unet denoise"))
def test_denoising_pictures(case: dict[str, Any]) -> None:
    work = Work(role="sdxl", width=case["width"], height=case["height"], count=case["batch"], guided=False)
    assert_covers(activations(FULL["sdxl"], work, Plan())["denoise"], case)


def test_guidance_doubles_the_pictures_at_once_and_sub_batches_divide_them() -> None:
    shapes = FULL["sdxl"]
    whole = activations(shapes, PICTURES, Plan())["denoise"]
    assert activations(shapes, PICTURES, Plan(sub_batch=2))["denoise"] == pytest.approx(whole / 3)
    unguided = Work(role="sdxl", width=1024, height=1024, count=6, guided=False)
    assert activations(shapes, unguided, Plan())["denoise"] == pytest.approx(whole / 2)


@pytest.mark.parametrize(
    "case",
    [
        case
        for case in of_phase("sdxl vae decode")
        if case.values[0]["dtype"] == "float32" and case.values[0]["tile_px"] in (None, SDXL_TILE_PX)
    ],
)
def test_decoding_pictures(case: dict[str, Any]) -> None:
    work = Work(role="sdxl", width=case["width"], height=case["height"])
    reckoned = activations(FULL["sdxl"], work, Plan(tiled=case["tile_px"] is not None))["decode"]
    assert_covers(reckoned, case)


@pytest.mark.parametrize("case", of_phase("wan transformer denoise"))
def test_denoising_films(case: dict[str, Any]) -> None:
    work = Work(role="wan", width=case["width"], height=case["height"], frames=case["frames"])
    reckoned = activations(FULL["wan"], work, Plan())["denoise"]
    if case["frames"] == 1:
        # What does not grow with the film; no matter beside decoding it.
        reckoned += 6e6
    assert_covers(reckoned, case)


@pytest.mark.parametrize("case", [case for case in of_phase("wan vae decode") if not case.values[0]["tiled"]])
def test_decoding_films(case: dict[str, Any]) -> None:
    work = Work(role="wan", width=case["width"], height=case["height"], frames=case["frames"])
    assert_covers(activations(decoding_at(case["dtype"], "wan"), work, Plan())["decode"], case)


@pytest.mark.parametrize("case", [case for case in of_phase("wan vae decode") if case.values[0]["tiled"]])
def test_decoding_films_in_tiles(case: dict[str, Any]) -> None:
    work = Work(role="wan", width=case["width"], height=case["height"], frames=case["frames"])
    reckoned = activations(decoding_at(case["dtype"], "wan"), work, Plan(tiled=True))["decode"]
    # More for a long film in half precision: making bytes of it takes more than decoding it.
    bytes_of_it = 36 * work.width * work.height * work.frames
    assert case["peak_bytes"] * 0.98 <= reckoned <= max(case["peak_bytes"] * 1.12, bytes_of_it)


@pytest.mark.parametrize("role", ["sdxl", "wan"])
def test_encoding_the_picture_to_start_from_takes_less_than_decoding_the_result(role: str) -> None:
    encoded = {key: case["peak_bytes"] for key, case in COUNTED.items() if case["phase"] == f"{role} vae encode"}
    assert encoded
    for name, peak_bytes in encoded.items():
        assert peak_bytes < COUNTED[name.replace("encode", "decode")]["peak_bytes"]


def test_encoding_prompts_and_writing() -> None:
    umt5 = COUNTED["wan text_encoder encode bfloat16 batch=1 tokens=512"]
    assert_covers(activations(FULL["wan"], FILM, Plan())["encode"], umt5)
    second_clip = COUNTED["sdxl text_encoder_2 encode float16 batch=1 tokens=77"]
    assert_covers(activations(FULL["sdxl"], PICTURES, Plan())["encode"], second_clip)
    qwen = COUNTED["qwen model write bfloat16 batch=1 tokens=1024"]
    assert_covers(activations(FULL["qwen"], Work(role="qwen"), Plan())["write"], qwen)


def test_a_resident_run_keeps_all_it_uses() -> None:
    found = footprint(FULL["wan"], FILM, Plan())
    assert found.parts == FULL["wan"].parts
    assert found.working_bytes > max(activations(FULL["wan"], FILM, Plan()).values())


def test_encoding_first_leaves_the_text_encoder_out_afterwards_and_needs_the_larger_of_both() -> None:
    parts = FULL["wan"].parts
    found = footprint(FULL["wan"], FILM, Plan(residency="encode_first"))
    assert found.parts == {name: parts[name] for name in ("transformer", "vae")}
    assert found.working_bytes > parts["text_encoder"]
    assert found.total_bytes < footprint(FULL["wan"], FILM, Plan()).total_bytes
    large = Work(role="wan", width=1280, height=720, frames=121, film=True)
    decoding = activations(FULL["wan"], large, Plan())["decode"]
    assert footprint(FULL["wan"], large, Plan(residency="encode_first")).working_bytes > decoding


def test_offloading_keeps_nothing_and_needs_the_largest_part_with_its_work() -> None:
    parts = FULL["sdxl"].parts
    found = footprint(FULL["sdxl"], PICTURES, Plan(tiled=True, sub_batch=1, residency="offload"))
    assert not found.parts
    assert parts["unet"] < found.working_bytes < parts["unet"] + 1e9


def test_a_fast_job_needs_the_distilled_weights_and_not_the_others(tiny_folder: Path) -> None:
    checkpoint = resolve("sdxl", tiny_folder, few_step=tiny_folder / "unet")
    shapes = shapes_of(checkpoint, Precision(device_kind="cpu"))
    fast = Work(role="sdxl", width=64, height=64, few_step=True)
    assert set(footprint(shapes, fast, Plan()).parts) == {"text_encoders", "few_step_unet", "vae"}


def test_every_part_has_a_rank(tiny_folder: Path, image_folder: Path, wan_folder: Path) -> None:
    checkpoints = [
        resolve("sdxl", tiny_folder, few_step=tiny_folder / "unet"),
        resolve("wan", image_folder, few_step=wan_folder / "transformer"),
        resolve("qwen"),
    ]
    named = {(each.role, name) for each in checkpoints for name in shapes_of(each, Precision(device_kind="cuda")).parts}
    assert named == set(RANK)


@pytest.mark.parametrize("work", [PICTURES, FILM, Work(role="qwen")], ids=lambda work: work.role)
def test_more_of_anything_never_needs_less(work: Work) -> None:
    shapes = FULL[work.role]
    for plan in ladder(work.role, work):
        least = footprint(shapes, work, plan).total_bytes
        for name, value in (("width", 2048), ("height", 2048), ("frames", 161), ("count", 9)):
            more = Work(**{**vars(work), name: value})
            assert footprint(shapes, more, plan).total_bytes >= least
