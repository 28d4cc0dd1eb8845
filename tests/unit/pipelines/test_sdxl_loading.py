"""Loading from every layout: the weights that arrive are the ones that were written."""

from __future__ import annotations

import dataclasses
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
from pipelines.sdxl_loading import load_few_step_unet, load_sdxl

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


def test_a_hub_id_of_plain_files_is_downloaded_once_and_told(tiny_folder: Path, tmp_path: Path) -> None:
    hub_cache(tiny_folder, tmp_path)
    told: list[tuple[str, int, int]] = []
    options = dataclasses.replace(CPU, cache_dir=str(tmp_path), on_part=lambda *part: told.append(part))
    load_sdxl(resolve("sdxl", "some-one/tiny-xl"), options)
    assert told == [("download", 0, 4), ("text_encoders", 1, 4), ("unet", 2, 4), ("vae", 3, 4)]


def test_parts_are_told_before_they_are_read(tiny_folder: Path, single_file: Path) -> None:
    told: list[tuple[str, int, int]] = []
    options = dataclasses.replace(CPU, on_part=lambda *part: told.append(part))
    load_sdxl(resolve("sdxl", tiny_folder), options)
    assert told == [("text_encoders", 0, 3), ("unet", 1, 3), ("vae", 2, 3)]
    told.clear()
    load_sdxl(resolve("sdxl", single_file), options)
    assert told == [("checkpoint", 0, 1)]


@pytest.mark.parametrize("layout", ["folder", "single file"])
def test_few_step_weights_are_the_last_part(
    layout: str, tiny_folder: Path, single_file: Path, tiny_pipe: Any, tmp_path: Path
) -> None:
    told: list[tuple[str, int, int]] = []
    options = dataclasses.replace(CPU, on_part=lambda *part: told.append(part))
    tiny_pipe.unet.save_pretrained(tmp_path / "distilled")
    folder = tiny_folder if layout == "folder" else single_file
    checkpoint = resolve("sdxl", folder, few_step=tmp_path / "distilled")
    unet = load_few_step_unet(checkpoint, options, load_sdxl(checkpoint, options))
    assert unet is not None
    assert all(
        torch.equal(mine, theirs) for mine, theirs in zip(unet.parameters(), tiny_pipe.unet.parameters(), strict=True)
    )
    count = 4 if layout == "folder" else 2
    assert told[-1] == ("few_step_unet", count - 1, count)
    assert [done for _, done, _ in told] == list(range(count))
    assert load_few_step_unet(resolve("sdxl", folder), options, tiny_pipe) is None


def test_weights_stay_on_the_host_where_that_is_wanted(tiny_folder: Path) -> None:
    """The meta device stands for a card: whatever is moved there is recognised."""
    card = dataclasses.replace(CPU, device=torch.device("meta"))
    for on_host, device in ((True, "cpu"), (False, "meta")):
        pipe = load_sdxl(resolve("sdxl", tiny_folder), dataclasses.replace(card, on_host=on_host))
        assert {getattr(pipe, part).device.type for part in PARTS} == {device}


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
