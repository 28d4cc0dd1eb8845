"""Loading WAN: the weights that arrive are the ones that were written, in the precision each part needs."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
import torch

from pipelines.checkpoints import resolve
from pipelines.contract import ModelMissing
from pipelines.loading import LoadOptions
from pipelines.wan_loading import described, load_wan
from tests.unit.pipelines.tiny_wan import build

CPU = LoadOptions(device=torch.device("cpu"), dtype=torch.float32, offline=True)
HALF = dataclasses.replace(CPU, dtype=torch.bfloat16)


def test_a_folder_arrives_as_it_was_written(wan_folder: Path) -> None:
    pipe, written = load_wan(resolve("wan", wan_folder), CPU), build()
    for part in ("transformer", "vae", "text_encoder"):
        mine, theirs = getattr(pipe, part).state_dict(), getattr(written, part).state_dict()
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(mine[name], theirs[name]) for name in mine), part
        assert not getattr(pipe, part).training
        assert not any(parameter.requires_grad for parameter in getattr(pipe, part).parameters())


def test_what_needs_full_precision_keeps_it(wan_folder: Path, image_folder: Path) -> None:
    pipe = load_wan(resolve("wan", wan_folder), HALF)
    block = pipe.transformer.blocks[0]
    assert block.attn1.to_q.weight.dtype == pipe.text_encoder.dtype == torch.bfloat16
    assert {pipe.vae.dtype, block.scale_shift_table.dtype, block.norm2.weight.dtype} == {torch.float32}
    assert pipe.transformer.condition_embedder.time_embedder.linear_1.weight.dtype == torch.float32
    assert load_wan(resolve("wan", image_folder), HALF).image_encoder.dtype == torch.float32


def test_a_hub_id_comes_from_the_download_cache_and_is_known_by_its_parts(wan_folder: Path, tmp_path: Path) -> None:
    repository = tmp_path / "models--some-one--i2v-or-so"
    shutil.copytree(wan_folder, repository / "snapshots" / ("0" * 40))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    guessed = resolve("wan", "some-one/i2v-or-so")
    assert guessed.starts_from == {"image"}
    pipe = load_wan(guessed, dataclasses.replace(CPU, cache_dir=str(tmp_path)))
    assert described(guessed, pipe).starts_from == {"text", "video"}
    assert described(guessed, pipe) == dataclasses.replace(guessed, starts_from=frozenset({"text", "video"}))


def test_a_hub_id_that_is_not_cached_says_so_offline(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match=r"not in the download cache.*STUDIO_WAN_MODEL"):
        load_wan(resolve("wan", "full"), dataclasses.replace(CPU, cache_dir=str(tmp_path)))


def test_an_encoder_too_large_for_the_device_stays_off_it(wan_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    placed: list[str] = []
    to = torch.nn.Module.to

    def noted(module: torch.nn.Module, *args: object, **kwargs: object) -> torch.nn.Module:
        placed.append(type(module).__name__)
        return to(module, *args, **kwargs)

    monkeypatch.setattr(torch.nn.Module, "to", noted)
    monkeypatch.setattr("pipelines.wan_loading.available_bytes", lambda device: 0)
    load_wan(resolve("wan", wan_folder), CPU)
    assert "UMT5EncoderModel" not in placed
