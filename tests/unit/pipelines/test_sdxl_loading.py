"""Loading from every layout: the weights that arrive are the ones that were written."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from pipelines.checkpoints import resolve
from pipelines.contract import ModelMissing
from pipelines.loading import LoadOptions
from pipelines.sdxl_loading import load_sdxl

CPU = LoadOptions(device=torch.device("cpu"), dtype=torch.float32, offline=True)
HALF = LoadOptions(device=torch.device("cpu"), dtype=torch.float16, offline=True)
PARTS = ("unet", "vae", "text_encoder", "text_encoder_2")


def same_weights(one: Any, other: Any, tolerance: float = 0.0) -> bool:
    for part in PARTS:
        mine, theirs = getattr(one, part).state_dict(), getattr(other, part).state_dict()
        if mine.keys() != theirs.keys():
            return False
        if not all(torch.allclose(mine[k].float(), theirs[k].float(), rtol=0, atol=tolerance) for k in mine):
            return False
    return True


def test_a_folder(tiny_folder: Path, tiny_pipe: Any) -> None:
    pipe = load_sdxl(resolve("sdxl", tiny_folder), CPU)
    assert same_weights(pipe, tiny_pipe)
    assert not pipe.unet.training
    assert not any(p.requires_grad for p in pipe.unet.parameters())
    assert pipe.unet.dtype == torch.float32


def test_a_folder_of_half_precision_files_only(half_folder: Path, tiny_pipe: Any) -> None:
    pipe = load_sdxl(resolve("sdxl", half_folder), CPU)
    assert same_weights(pipe, tiny_pipe, tolerance=1e-3)
    assert pipe.unet.dtype == torch.float32


def test_a_single_file_in_the_original_layout(single_file: Path, tiny_pipe: Any) -> None:
    pipe = load_sdxl(resolve("sdxl", single_file), CPU)
    assert same_weights(pipe, tiny_pipe)
    assert pipe.scheduler.config.prediction_type == "v_prediction"


def test_a_hub_id_from_the_download_cache(tiny_folder: Path, tiny_pipe: Any, tmp_path: Path) -> None:
    hub_cache(tiny_folder, tmp_path)
    options = LoadOptions(device=CPU.device, dtype=CPU.dtype, cache_dir=str(tmp_path), offline=True)
    assert same_weights(load_sdxl(resolve("sdxl", "some-one/tiny-xl"), options), tiny_pipe)


def test_a_hub_id_prefers_half_precision_files(half_folder: Path, tiny_pipe: Any, tmp_path: Path) -> None:
    hub_cache(half_folder, tmp_path)
    options = LoadOptions(device=CPU.device, dtype=CPU.dtype, cache_dir=str(tmp_path), offline=True)
    assert same_weights(load_sdxl(resolve("sdxl", "some-one/tiny-xl"), options), tiny_pipe, tolerance=1e-3)


def hub_cache(folder: Path, cache: Path) -> None:
    """Lay `folder` out as huggingface_hub caches the repository some-one/tiny-xl."""
    repository = cache / "models--some-one--tiny-xl"
    shutil.copytree(folder, repository / "snapshots" / ("0" * 40))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)


def test_a_vae_that_overflows_in_half_precision_stays_in_full(tiny_folder: Path) -> None:
    pipe = load_sdxl(resolve("sdxl", tiny_folder), HALF)
    assert (pipe.unet.dtype, pipe.text_encoder.dtype) == (torch.float16, torch.float16)
    assert pipe.vae.config.force_upcast
    assert pipe.vae.dtype == torch.float32


def test_a_vae_known_to_be_safe_is_halved(tiny_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_folder, tmp_path / "fixed"))
    config = folder / "vae" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"force_upcast": False}))
    assert load_sdxl(resolve("sdxl", folder), HALF).vae.dtype == torch.float16


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("unet", {"in_channels": 9}),
        ("unet", {"cross_attention_dim": 96}),
        ("text_encoder_2", {"hidden_size": 40}),
        ("vae", {"block_out_channels": [16, 16, 48]}),
    ],
)
def test_parts_that_do_not_fit_are_told_in_a_sentence(
    part: str, change: dict[str, Any], tiny_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = Path(shutil.copytree(tiny_folder, tmp_path / "odd"))
    config = folder / part / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | change))
    with caplog.at_level(logging.ERROR), pytest.raises(ModelMissing, match="odd does not fit together"):
        load_sdxl(resolve("sdxl", folder), CPU)
    assert caplog.records[-1].exc_info


def test_a_hub_id_that_is_not_cached_says_so_offline(tmp_path: Path) -> None:
    options = LoadOptions(device=CPU.device, dtype=CPU.dtype, cache_dir=str(tmp_path), offline=True)
    with pytest.raises(ModelMissing, match="not in the download cache"):
        load_sdxl(resolve("sdxl", "some-one/tiny-xl"), options)


def test_a_single_file_of_something_else_is_told(half_folder: Path, single_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "vae-only.safetensors"
    shutil.copy(half_folder / "vae" / "diffusion_pytorch_model.fp16.safetensors", path)
    options = LoadOptions(
        device=CPU.device, dtype=CPU.dtype, offline=True, single_file_config=str(single_file.with_suffix(""))
    )
    with pytest.raises(ModelMissing, match="vae-only could not be read"):
        load_sdxl(resolve("sdxl", path), options)
