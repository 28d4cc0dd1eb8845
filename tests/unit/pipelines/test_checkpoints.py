"""Finding a checkpoint, on folders and files in every state people leave them in."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipelines import checkpoints
from pipelines.checkpoints import DEMO_FOLDER, Kind, resolve
from pipelines.contract import ModelMissing


@pytest.fixture
def folder_copy(tiny_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_folder, tmp_path / "copy"))


def test_a_folder_tells_its_sizes_from_its_configs(tiny_folder: Path) -> None:
    checkpoint = resolve("sdxl", tiny_folder)
    assert (checkpoint.kind, checkpoint.name, checkpoint.demo) == (Kind.FOLDER, "tiny", False)
    assert (checkpoint.native_width_px, checkpoint.native_height_px, checkpoint.size_multiple_px) == (32, 32, 8)
    assert checkpoint.starts_from == {"text", "image"}
    assert checkpoint.has_full_files
    assert not checkpoint.has_half_files


def test_a_half_precision_folder_is_known_as_one(half_folder: Path) -> None:
    checkpoint = resolve("sdxl", str(half_folder))
    assert checkpoint.has_half_files
    assert not checkpoint.has_full_files


def test_a_single_file_is_sized_as_published(single_file: Path) -> None:
    checkpoint = resolve("sdxl", str(single_file))
    assert (checkpoint.kind, checkpoint.name) == (Kind.SINGLE_FILE, "fine-tune")
    assert (checkpoint.native_width_px, checkpoint.native_height_px, checkpoint.size_multiple_px) == (1024, 1024, 64)


@pytest.mark.parametrize("setting", ["stabilityai/stable-diffusion-xl-base-1.0", "full"])
def test_a_hub_id_needs_no_network(setting: str) -> None:
    checkpoint = resolve("sdxl", setting)
    assert (checkpoint.kind, checkpoint.location) == (Kind.HUB, "stabilityai/stable-diffusion-xl-base-1.0")


@pytest.mark.parametrize("setting", [None, "", "demo"])
def test_no_setting_is_the_demo(setting: str | None, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "DEMO_FOLDER", {"sdxl": tiny_folder})
    checkpoint = resolve("sdxl", setting)
    assert checkpoint.demo
    assert checkpoint.name == "Tiny World (demo)"


def test_an_absent_demo_says_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "DEMO_FOLDER", {"sdxl": tmp_path / "none"})
    with pytest.raises(ModelMissing, match="STUDIO_SDXL_MODEL"):
        resolve("sdxl", "demo")
    assert DEMO_FOLDER["sdxl"].parts[-3:] == ("pipelines", "tiny_world", "sdxl")


@pytest.mark.parametrize("setting", ["/no/such/folder", "./nowhere", "missing/model.safetensors", "a/b/c", "oneword"])
def test_an_absent_path_says_what_to_set(setting: str) -> None:
    with pytest.raises(ModelMissing, match=r"no checkpoint at .*STUDIO_SDXL_MODEL"):
        resolve("sdxl", setting)


def test_a_pickle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.ckpt"
    path.write_bytes(b"x")
    with pytest.raises(ModelMissing, match="can run code"):
        resolve("sdxl", path)


def test_the_fingerprint_is_stable_and_follows_the_weights(tiny_folder: Path, folder_copy: Path) -> None:
    assert resolve("sdxl", folder_copy).fingerprint == resolve("sdxl", tiny_folder).fingerprint
    weights = folder_copy / "unet" / "diffusion_pytorch_model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    changed = resolve("sdxl", folder_copy).fingerprint
    assert changed != resolve("sdxl", tiny_folder).fingerprint
    config = folder_copy / "scheduler" / "scheduler_config.json"
    config.write_text(config.read_text() + " ")
    assert resolve("sdxl", folder_copy).fingerprint != changed


def test_a_half_copied_file_is_found(folder_copy: Path) -> None:
    weights = folder_copy / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(ModelMissing, match="only partly copied"):
        resolve("sdxl", folder_copy)


@pytest.mark.parametrize("content", [b"", b"\xff" * 100, b"\x10" + b"\0" * 7 + b"not json, 16 byt"])
def test_a_file_that_is_no_checkpoint_is_found(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelMissing, match="damaged"):
        resolve("sdxl", path)


def test_a_git_lfs_pointer_says_what_to_run(folder_copy: Path) -> None:
    weights = folder_copy / "vae" / "diffusion_pytorch_model.safetensors"
    weights.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(ModelMissing, match="git lfs pull"):
        resolve("sdxl", folder_copy)


def test_an_incomplete_folder_names_what_it_lacks(folder_copy: Path) -> None:
    shutil.rmtree(folder_copy / "tokenizer_2")
    with pytest.raises(ModelMissing, match="lacks tokenizer_2"):
        resolve("sdxl", folder_copy)


def test_a_folder_without_weights_names_the_part(folder_copy: Path) -> None:
    (folder_copy / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(ModelMissing, match=r"no \.safetensors weights in unet"):
        resolve("sdxl", folder_copy)


def test_a_checkpoint_in_shards_needs_all_of_them(tiny_pipe: Any, tmp_path: Path) -> None:
    folder = tmp_path / "sharded"
    tiny_pipe.save_pretrained(folder, max_shard_size="100KB")
    assert resolve("sdxl", folder).has_full_files
    shards = sorted((folder / "unet").glob("*.safetensors"))
    assert len(shards) > 2
    shards[1].unlink()
    with pytest.raises(ModelMissing, match=f"lacks unet/{shards[1].name}"):
        resolve("sdxl", folder)


def test_another_kind_of_model_is_refused(folder_copy: Path) -> None:
    index = folder_copy / "model_index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | {"_class_name": "FluxPipeline"}))
    with pytest.raises(ModelMissing, match="FluxPipeline"):
        resolve("sdxl", folder_copy)


def test_a_broken_config_is_told(folder_copy: Path) -> None:
    (folder_copy / "unet" / "config.json").write_text("{")
    with pytest.raises(ModelMissing, match="cannot be read"):
        resolve("sdxl", folder_copy)


def test_absent_few_step_weights_are_told(tiny_folder: Path) -> None:
    with pytest.raises(ModelMissing, match="few-step"):
        resolve("sdxl", tiny_folder, few_step="/no/lightning.safetensors")


def test_the_web_process_stays_free_of_torch() -> None:
    code = (
        "import sys, pipelines.recipes, pipelines.references; sys.exit(bool({'torch', 'diffusers'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(checkpoints.__file__).parents[1])
