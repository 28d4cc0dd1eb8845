"""WAN and Qwen checkpoints found on disk and by name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from pipelines import checkpoints
from pipelines.checkpoints import DEMO_FOLDER, Kind, resolve
from pipelines.contract import ModelMissing


@pytest.fixture
def wan_copy(wan_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(wan_folder, tmp_path / "copy"))


@pytest.fixture
def language_model(wan_folder: Path, tmp_path: Path) -> Path:
    """What `resolve` looks at of a Qwen folder; the weights are whole, and another model's."""
    folder = tmp_path / "qwen"
    folder.mkdir()
    shutil.copy(wan_folder / "text_encoder" / "model.safetensors", folder)
    (folder / "config.json").write_text(json.dumps({"architectures": ["Qwen2ForCausalLM"]}))
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": "{{ messages }}"}))
    (folder / "tokenizer.json").write_text("{}")
    return folder


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_text_to_video_folder_tells_its_grid_and_what_it_starts_from(wan_folder: Path) -> None:
    checkpoint = resolve("wan", wan_folder)
    assert (checkpoint.kind, checkpoint.demo, checkpoint.has_full_files) == (Kind.FOLDER, False, True)
    assert checkpoint.starts_from == {"text", "video"}
    # The VAE and the patches need 8, WanPipeline 16.
    assert (checkpoint.size_multiple_px, checkpoint.frame_multiple) == (16, 4)
    assert (checkpoint.native_width_px, checkpoint.native_height_px) == (832, 480)
    assert (checkpoint.native_frames, checkpoint.native_fps) == (81, 16.0)


@pytest.mark.parametrize(("factor", "multiple"), [(8, 8), (2, 4), (1, 4)])
def test_the_grid_and_the_frames_follow_the_configs(factor: int, multiple: int, wan_copy: Path) -> None:
    """The frames in groups of four at least: so many the VAE encodes at once, and drops what is left over."""
    edit(wan_copy / "vae" / "config.json", scale_factor_spatial=16, scale_factor_temporal=factor)
    checkpoint = resolve("wan", wan_copy)
    assert (checkpoint.size_multiple_px, checkpoint.frame_multiple) == (32, multiple)


def test_the_published_configs_leave_the_factors_out(wan_copy: Path) -> None:
    path = wan_copy / "vae" / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({k: v for k, v in config.items() if not k.startswith("scale_factor")}))
    checkpoint = resolve("wan", wan_copy)
    assert (checkpoint.size_multiple_px, checkpoint.frame_multiple) == (16, 4)


@pytest.mark.parametrize(
    ("name", "starts_from"), [("image_folder", {"image"}), ("vace_folder", {"text", "image", "video"})]
)
def test_other_layouts_start_from_other_things(
    name: str, starts_from: set[str], request: pytest.FixtureRequest
) -> None:
    assert resolve("wan", request.getfixturevalue(name)).starts_from == starts_from


def test_wan_2_2_does_not_start_from_a_film(wan_copy: Path) -> None:
    edit(wan_copy / "model_index.json", boundary_ratio=0.9)
    assert resolve("wan", wan_copy).starts_from == {"text"}


@pytest.mark.parametrize(
    ("name", "starts_from", "size"),
    [
        ("Wan-AI/Wan2.1-T2V-1.3B-Diffusers", {"text", "video"}, (832, 480)),
        ("full", {"text", "video"}, (832, 480)),
        ("Wan-AI/Wan2.1-I2V-14B-720P-Diffusers", {"image"}, (1280, 720)),
        ("Wan-AI/Wan2.1-VACE-1.3B-diffusers", {"text", "image", "video"}, (832, 480)),
    ],
)
def test_a_hub_id_is_known_by_its_name(name: str, starts_from: set[str], size: tuple[int, int]) -> None:
    checkpoint = resolve("wan", name)
    assert checkpoint.kind is Kind.HUB
    assert checkpoint.starts_from == starts_from
    assert (checkpoint.native_width_px, checkpoint.native_height_px) == size
    assert (checkpoint.size_multiple_px, checkpoint.frame_multiple, checkpoint.native_frames) == (16, 4, 81)


def test_the_demo_films_are_small_and_short(wan_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "DEMO_FOLDER", {"wan": wan_folder})
    checkpoint = resolve("wan")
    assert checkpoint.demo
    assert (checkpoint.native_width_px, checkpoint.native_height_px) == (96, 64)
    assert (checkpoint.native_frames, checkpoint.native_fps) == (17, 8.0)


@pytest.mark.parametrize(("role", "variable"), [("wan", "STUDIO_WAN_MODEL"), ("qwen", "STUDIO_QWEN_MODEL")])
def test_an_absent_demo_says_what_to_set(
    role: str, variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "DEMO_FOLDER", {role: tmp_path / "none"})
    with pytest.raises(ModelMissing, match=variable):
        resolve(role, "demo")
    assert DEMO_FOLDER[role].parts[-3:] == ("pipelines", "tiny_world", role)


@pytest.mark.parametrize("part", ["vae", "tokenizer", "scheduler"])
def test_an_incomplete_folder_names_what_it_lacks(part: str, wan_copy: Path) -> None:
    shutil.rmtree(wan_copy / part)
    with pytest.raises(ModelMissing, match=f"lacks {part}"):
        resolve("wan", wan_copy)


def test_an_image_encoder_is_needed_only_where_it_is_listed(image_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(image_folder, tmp_path / "copy"))
    shutil.rmtree(folder / "image_encoder")
    with pytest.raises(ModelMissing, match="lacks image_encoder"):
        resolve("wan", folder)
    edit(folder / "model_index.json", image_encoder=[None, None])
    assert resolve("wan", folder).starts_from == {"image"}


def test_another_kind_of_film_model_is_refused(wan_copy: Path) -> None:
    edit(wan_copy / "model_index.json", _class_name="LTXPipeline")
    with pytest.raises(ModelMissing, match=r"LTXPipeline.*WanVACEPipeline.*STUDIO_WAN_MODEL"):
        resolve("wan", wan_copy)


def test_configs_of_another_model_are_told(wan_copy: Path) -> None:
    edit(wan_copy / "transformer" / "config.json", patch_size=2)
    with pytest.raises(ModelMissing, match="not those of a WAN model"):
        resolve("wan", wan_copy)


def test_the_fingerprint_follows_every_part(wan_folder: Path, wan_copy: Path) -> None:
    before = resolve("wan", wan_folder).fingerprint
    assert resolve("wan", wan_copy).fingerprint == before
    edit(wan_copy / "tokenizer" / "tokenizer_config.json", model_max_length=9)
    assert resolve("wan", wan_copy).fingerprint != before


@pytest.mark.parametrize("role", ["wan", "qwen"])
def test_a_single_file_is_only_a_part_of_these(role: str, tmp_path: Path) -> None:
    path = tmp_path / "wan.safetensors"
    path.write_bytes(b"x")
    with pytest.raises(ModelMissing, match="only a part"):
        resolve(role, path)


def test_a_language_model_needs_its_tokenizer_its_template_and_its_weights(language_model: Path) -> None:
    checkpoint = resolve("qwen", language_model)
    assert (checkpoint.kind, checkpoint.name, checkpoint.starts_from) == (Kind.FOLDER, "qwen", {"text"})
    (language_model / "model.safetensors").rename(language_model / "away")
    with pytest.raises(ModelMissing, match=r"no \.safetensors weights\. "):
        resolve("qwen", language_model)
    edit(language_model / "tokenizer_config.json", chat_template=None)
    with pytest.raises(ModelMissing, match="no chat template"):
        resolve("qwen", language_model)
    (language_model / "tokenizer.json").unlink()
    with pytest.raises(ModelMissing, match="lacks its tokenizer"):
        resolve("qwen", language_model)
    edit(language_model / "config.json", architectures=["BertModel"])
    with pytest.raises(ModelMissing, match=r"BertModel.*STUDIO_QWEN_MODEL"):
        resolve("qwen", language_model)


def test_a_language_model_in_shards_needs_all_of_them(language_model: Path) -> None:
    index = language_model / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "model-00001-of-00002.safetensors"}}))
    with pytest.raises(ModelMissing, match="lacks model-00001-of-00002"):
        resolve("qwen", language_model)
