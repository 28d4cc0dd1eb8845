"""Weights' bytes by part, against what the loaders really bring into memory."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from bench import published_models as published
from pipelines.acceleration import DtypeSwitch
from pipelines.checkpoints import Checkpoint, resolve
from pipelines.contract import ModelMissing
from pipelines.loading import LoadOptions
from pipelines.qwen_loading import load_qwen
from pipelines.sdxl_loading import load_sdxl
from pipelines.shapes import PUBLISHED_PARAMETERS, Precision, Shapes, shapes_of
from pipelines.wan_loading import load_wan

CUDA = Precision(device_kind="cuda")
GB = 1e9


def loaded_bytes(*modules: Any) -> int:
    return sum(each.numel() * each.element_size() for module in modules for each in module.parameters())


def options(dtype: str) -> LoadOptions:
    return LoadOptions(device=torch.device("cpu"), dtype=getattr(torch, dtype))


def on_cpu(checkpoint: Checkpoint, dtype: DtypeSwitch) -> Shapes:
    return shapes_of(checkpoint, Precision(device_kind="cpu", dtype=dtype))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_the_parts_of_sdxl_weigh_what_the_loader_makes_of_them(tiny_folder: Path, dtype: DtypeSwitch) -> None:
    checkpoint = resolve("sdxl", tiny_folder)
    pipe = load_sdxl(checkpoint, options(dtype))
    assert on_cpu(checkpoint, dtype).parts == {
        "text_encoders": loaded_bytes(pipe.text_encoder, pipe.text_encoder_2),
        "unet": loaded_bytes(pipe.unet),
        "vae": loaded_bytes(pipe.vae),
    }


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_parts_of_wan_weigh_what_the_loader_makes_of_them(dtype: DtypeSwitch) -> None:
    checkpoint = resolve("wan")
    pipe = load_wan(checkpoint, options(dtype))
    # The modules that stay in float32 among them.
    assert on_cpu(checkpoint, dtype).parts == {
        name: loaded_bytes(getattr(pipe, name)) for name in ("text_encoder", "transformer", "vae")
    }


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_qwen_weighs_what_the_loader_makes_of_it(dtype: DtypeSwitch) -> None:
    checkpoint = resolve("qwen")
    model = load_qwen(checkpoint, options(dtype)).model
    assert on_cpu(checkpoint, dtype).parts == {"model": loaded_bytes(model)}


def test_a_folder_with_half_sized_files_weighs_the_same(half_folder: Path, tiny_folder: Path) -> None:
    assert shapes_of(resolve("sdxl", half_folder), CUDA) == shapes_of(resolve("sdxl", tiny_folder), CUDA)


def test_weights_that_lie_there_in_both_precisions_count_once(
    half_folder: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    both = shutil.copytree(tiny_folder, tmp_path / "both")
    shutil.copytree(half_folder, both, dirs_exist_ok=True)
    assert shapes_of(resolve("sdxl", both), CUDA).parts == shapes_of(resolve("sdxl", tiny_folder), CUDA).parts


def test_a_single_file_has_the_same_parts(single_file: Path, tiny_folder: Path) -> None:
    folder = shapes_of(resolve("sdxl", tiny_folder), CUDA)
    found = shapes_of(resolve("sdxl", single_file), CUDA)
    # The original layout has a few tensors more, such as the positions and the scale of the logits.
    assert found.parts == pytest.approx(folder.parts, rel=0.02)


def test_few_step_weights_are_a_part_of_their_own(tiny_folder: Path) -> None:
    parts = shapes_of(resolve("sdxl", tiny_folder, few_step=tiny_folder / "unet"), CUDA).parts
    assert parts["few_step_unet"] == parts["unet"]


def test_an_image_encoder_is_a_part_and_always_in_float32(image_folder: Path) -> None:
    checkpoint = resolve("wan", image_folder)
    half, full = (on_cpu(checkpoint, dtype).parts for dtype in ("bfloat16", "float32"))
    assert 0 < half["image_encoder"] == full["image_encoder"]
    assert half["text_encoder"] < full["text_encoder"]


def test_a_damaged_file_is_told(tiny_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "damaged")
    checkpoint = resolve("sdxl", folder)
    next((folder / "unet").glob("*.safetensors")).write_bytes(b"not weights")
    with pytest.raises(ModelMissing, match="damaged"):
        shapes_of(checkpoint, CUDA)


def test_the_published_parameters_are_those_of_the_published_models() -> None:
    counted = {
        ("sdxl", "text_encoder"): published.SDXL_TEXT_ENCODER,
        ("sdxl", "text_encoder_2"): published.SDXL_TEXT_ENCODER_2,
        ("sdxl", "unet"): published.SDXL_UNET,
        ("sdxl", "vae"): published.SDXL_VAE,
        ("wan", "text_encoder"): published.WAN_TEXT_ENCODER,
        ("wan", "transformer"): published.WAN_TRANSFORMER,
        ("wan", "vae"): published.WAN_VAE,
        ("qwen", ""): published.QWEN_MODEL,
    }
    known = {
        (role, folder): sum(tensors.values())
        for role, folders in PUBLISHED_PARAMETERS.items()
        for folder, tensors in folders.items()
    }
    assert known == {key: part.parameters for key, part in counted.items()}


def test_the_embeddings_of_the_published_qwen_are_known() -> None:
    config = published.QWEN_MODEL.config
    each = config["vocab_size"] * config["hidden_size"]
    tensors = PUBLISHED_PARAMETERS["qwen"][""]
    assert (tensors["embed_tokens"], tensors["lm_head"]) == (each, each)


@pytest.mark.parametrize(
    ("role", "precision", "expected_gb"),
    [
        # The design's FACTS, of which SDXL's VAE is in float32 here.
        ("sdxl", CUDA, 6.94 + 0.167),
        ("wan", CUDA, 2.84 + 0.25 + 11.36),
        ("qwen", CUDA, 15.23),
        ("qwen", Precision(device_kind="cuda", quantization="8bit"), 8.7),
        ("qwen", Precision(device_kind="cuda", quantization="4bit"), 5.55),
        ("qwen", Precision(device_kind="cpu", quantization="8bit"), 9.25),
    ],
)
def test_the_published_models_weigh_what_was_measured(role: str, precision: Precision, expected_gb: float) -> None:
    total = sum(shapes_of(resolve(role, "full"), precision).parts.values())
    assert total / GB == pytest.approx(expected_gb, rel=0.01)


def test_a_larger_model_of_the_family_is_scaled_by_its_name() -> None:
    small = shapes_of(resolve("wan", "Wan-AI/Wan2.1-T2V-1.3B-Diffusers"), CUDA).parts
    large = shapes_of(resolve("wan", "Wan-AI/Wan2.1-T2V-14B-Diffusers"), CUDA).parts
    assert large["transformer"] / small["transformer"] == pytest.approx(14 / 1.3)
    assert large["text_encoder"] == small["text_encoder"]


def hub_cache(folder: Path, cache: Path, hub_id: str) -> Path:
    """Lay `folder` down as huggingface_hub keeps the download of `hub_id`; returns where."""
    repository = cache / f"models--{hub_id.replace('/', '--')}"
    snapshot = repository / "snapshots" / "0123abcd"
    shutil.copytree(folder, snapshot)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0123abcd")
    return snapshot


def test_a_hub_id_that_was_downloaded_is_read(tiny_folder: Path, tmp_path: Path) -> None:
    hub_cache(tiny_folder, tmp_path, "someone/tiny")
    found = shapes_of(resolve("sdxl", "someone/tiny"), CUDA, cache_dir=tmp_path)
    assert found == shapes_of(resolve("sdxl", tiny_folder), CUDA)


def test_a_download_that_is_not_whole_is_taken_as_published(tiny_folder: Path, tmp_path: Path) -> None:
    snapshot = hub_cache(tiny_folder, tmp_path, "someone/tiny")
    shutil.rmtree(snapshot / "unet")
    found = shapes_of(resolve("sdxl", "someone/tiny"), CUDA, cache_dir=tmp_path)
    assert found == shapes_of(resolve("sdxl", "full"), CUDA, cache_dir=tmp_path)


def test_widths_are_relative_to_the_published_models() -> None:
    full, demo = (shapes_of(resolve("wan", name), CUDA) for name in ("full", "demo"))
    assert (full.width, full.text_width, full.vae_width, full.scale_px) == (1, 1, 1, 8)
    assert (demo.width, demo.text_width, demo.vae_width, demo.scale_px) == (192 / 1536, 128 / 4096, 24 / 96, 4)
