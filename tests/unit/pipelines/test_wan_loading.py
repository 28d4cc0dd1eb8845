"""Loading WAN: the weights that arrive are the ones that were written, in the precision each part needs."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from transformers import UMT5EncoderModel

from pipelines.checkpoints import resolve
from pipelines.contract import ModelMissing
from pipelines.loading import LoadOptions
from pipelines.wan_acceleration import load_few_step_transformer
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


def test_each_part_is_read_once(wan_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    for kind in (WanTransformer3DModel, AutoencoderKLWan, UMT5EncoderModel):
        whole = kind.from_pretrained.__func__

        def noted(cls: type, *arguments: Any, _whole: Any = whole, **how: Any) -> Any:
            read.append(cls.__name__)
            return _whole(cls, *arguments, **how)

        monkeypatch.setattr(kind, "from_pretrained", classmethod(noted))
    load_wan(resolve("wan", wan_folder), CPU)
    assert sorted(read) == ["AutoencoderKLWan", "UMT5EncoderModel", "WanTransformer3DModel"]


def test_what_keeps_full_precision_does_not_keep_its_file(wan_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "of-its-own"
    shutil.copytree(wan_folder, folder)
    pipe = load_wan(resolve("wan", folder), HALF)
    mapped = Path("/proc/self/maps").read_text()
    assert pipe.transformer.dtype == torch.bfloat16
    assert str(folder / "transformer") not in mapped


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


def test_parts_are_told_before_they_are_read(wan_folder: Path, image_folder: Path, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    options = dataclasses.replace(CPU, on_part=lambda *part: told.append(part))
    load_wan(resolve("wan", wan_folder), options)
    assert told == [("text_encoder", 0, 3), ("transformer", 1, 3), ("vae", 2, 3)]
    told.clear()
    load_wan(resolve("wan", image_folder), options)
    assert told == [("text_encoder", 0, 4), ("transformer", 1, 4), ("image_encoder", 2, 4), ("vae", 3, 4)]
    told.clear()
    build(seed=5).transformer.save_pretrained(tmp_path / "distilled")
    checkpoint = resolve("wan", wan_folder, few_step=tmp_path / "distilled")
    assert load_few_step_transformer(checkpoint, options, load_wan(checkpoint, options)) is not None
    assert [part for part, _, _ in told] == ["text_encoder", "transformer", "vae", "few_step_transformer"]
    assert told[-1] == ("few_step_transformer", 3, 4)


def test_weights_stay_on_the_host_where_that_is_wanted(wan_folder: Path) -> None:
    """The meta device stands for a card: whatever is moved there is recognised."""
    card = dataclasses.replace(CPU, device=torch.device("meta"))
    for on_host, device in ((True, "cpu"), (False, "meta")):
        pipe = load_wan(resolve("wan", wan_folder), dataclasses.replace(card, on_host=on_host))
        assert {getattr(pipe, part).device.type for part in ("transformer", "vae", "text_encoder")} == {device}
