"""What a checkpoint of each role looks like: which parts it needs, and what its configs say of it. Torch-free."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.checkpoint_files import check_folders, check_weights, identity_files, read_json
from pipelines.contract import ModelMissing

FULL_MODEL: Mapping[str, str] = {
    "sdxl": "stabilityai/stable-diffusion-xl-base-1.0",
    "wan": "Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
    "qwen": "Qwen/Qwen2.5-7B-Instruct",
}
ENVIRONMENT_VARIABLE: Mapping[str, str] = {
    "sdxl": "STUDIO_SDXL_MODEL",
    "wan": "STUDIO_WAN_MODEL",
    "qwen": "STUDIO_QWEN_MODEL",
}
TEXT, IMAGE, VIDEO = "text", "image", "video"

_SDXL_CLASS = "StableDiffusionXLPipeline"
_SDXL_WEIGHTS = ("text_encoder", "text_encoder_2", "unet", "vae")
_SDXL_PARTS = (*_SDXL_WEIGHTS, "tokenizer", "tokenizer_2", "scheduler")

WAN_CLASSES: Mapping[str, frozenset[str]] = {
    "WanPipeline": frozenset({TEXT, VIDEO}),
    "WanImageToVideoPipeline": frozenset({IMAGE}),
    "WanVACEPipeline": frozenset({TEXT, IMAGE, VIDEO}),
}
_WAN_PARTS = ("text_encoder", "tokenizer", "transformer", "vae", "scheduler")
_WAN_WEIGHTS = ("text_encoder", "transformer", "vae", "image_encoder", "transformer_2")
# WanPipeline refuses sides that are not multiples of this, whatever the checkpoint (diffusers 0.42, check_inputs).
WAN_GRID_PX = 16
# AutoencoderKLWan encodes the frames after the first in groups of this, whatever its factor, and drops the rest.
WAN_FRAME_GROUP = 4
_WAN_480P: Mapping[str, Any] = {
    "native_width_px": 832,
    "native_height_px": 480,
    "native_frames": 81,
    "native_fps": 16.0,
}
_WAN_720P: Mapping[str, Any] = {**_WAN_480P, "native_width_px": 1280, "native_height_px": 720}
# What the tiny Wan of this repository was trained on: no file of a diffusers folder has room for it.
WAN_DEMO: Mapping[str, Any] = {"native_width_px": 96, "native_height_px": 64, "native_frames": 17, "native_fps": 8.0}

_QWEN_TOKENIZERS = (("tokenizer.json",), ("vocab.json", "merges.txt"))


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a folder says of itself: `fields` of a Checkpoint, and the `files` that its fingerprint is taken from."""

    fields: Mapping[str, Any]
    files: tuple[Path, ...]


@dataclass(frozen=True, kw_only=True)
class Role:
    """One family of models.

    `read` looks at a folder and raises ModelMissing; `published` are the fields of a Checkpoint that follow from its
    name alone, its configs not being at hand; `single_file` says whether one can be loaded.
    """

    read: Callable[[Path], Facts]
    published: Callable[[str], Mapping[str, Any]]
    single_file: bool = False


def what_to_set(role: str) -> str:
    """Return the sentence that ends every message about an absent checkpoint."""
    kinds = "a diffusers folder, a single .safetensors file" if ROLES[role].single_file else "a folder"
    return f"Set {ENVIRONMENT_VARIABLE[role]} to {kinds} or a hub id such as {FULL_MODEL[role]}."


def _read_sdxl(folder: Path) -> Facts:
    advice = what_to_set("sdxl")
    index = read_json(folder / "model_index.json", advice)
    if index.get("_class_name") != _SDXL_CLASS:
        raise ModelMissing(f"{folder.name} is a {index.get('_class_name')} and not a {_SDXL_CLASS}. {advice}")
    check_folders(folder, _SDXL_PARTS)
    for name in _SDXL_WEIGHTS:
        check_weights(folder, name, advice)
    unet = read_json(folder / "unet" / "config.json", advice)
    vae = read_json(folder / "vae" / "config.json", advice)
    try:
        vae_scale = 2 ** (len(vae["block_out_channels"]) - 1)
        side_px = int(unet["sample_size"]) * vae_scale
        multiple_px = vae_scale * 2 ** (len(unet["down_block_types"]) - 1)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelMissing(f"The configs of {folder.name} are not those of an SDXL model. Copy it again.") from error
    fields = {"native_width_px": side_px, "native_height_px": side_px, "size_multiple_px": multiple_px}
    return Facts(fields=fields | _precisions(folder / "unet"), files=_files_of(folder, _SDXL_PARTS))


def _published_sdxl(_name: str) -> Mapping[str, Any]:
    """SDXL as published, arXiv:2307.01952."""
    return {"native_width_px": 1024, "native_height_px": 1024, "size_multiple_px": 64}


def _read_wan(folder: Path) -> Facts:
    advice = what_to_set("wan")
    index = read_json(folder / "model_index.json", advice)
    pipeline = str(index.get("_class_name"))
    if pipeline not in WAN_CLASSES:
        raise ModelMissing(f"{folder.name} is a {pipeline} and not one of {', '.join(WAN_CLASSES)}. {advice}")
    optional = [name for name in ("image_encoder", "image_processor", "transformer_2") if _is_listed(index, name)]
    parts = (*_WAN_PARTS, *optional)
    check_folders(folder, parts)
    for name in _WAN_WEIGHTS:
        if name in parts:
            check_weights(folder, name, advice)
    transformer = read_json(folder / "transformer" / "config.json", advice)
    vae = read_json(folder / "vae" / "config.json", advice)
    try:
        # The defaults are those of the classes: the published configs leave them out.
        _, patch_height, patch_width = transformer.get("patch_size", (1, 2, 2))
        scale = int(vae.get("scale_factor_spatial", 8))
        grid_px = math.lcm(WAN_GRID_PX, scale * int(patch_height), scale * int(patch_width))
        frame_multiple = math.lcm(WAN_FRAME_GROUP, int(vae.get("scale_factor_temporal", 4)))
    except (TypeError, ValueError) as error:
        raise ModelMissing(f"The configs of {folder.name} are not those of a WAN model. Copy it again.") from error
    starts_from = starts_of_wan(pipeline, index)
    fields = {"starts_from": starts_from, "size_multiple_px": grid_px, "frame_multiple": frame_multiple}
    native = _wan_size(folder.name)
    return Facts(fields={**native, **fields, **_precisions(folder / "transformer")}, files=_files_of(folder, parts))


def starts_of_wan(pipeline: str, config: Mapping[str, Any]) -> frozenset[str]:
    """Return what films of the class `pipeline` (a key of WAN_CLASSES) with this `config` can be made from."""
    if config.get("boundary_ratio") is not None or config.get("expand_timesteps"):
        # WanVideoToVideoPipeline knows neither the second transformer nor the timesteps a token of WAN 2.2.
        return WAN_CLASSES[pipeline] - {VIDEO}
    return WAN_CLASSES[pipeline]


def _published_wan(name: str) -> Mapping[str, Any]:
    """WAN 2.1 as published, arXiv:2503.20314: VAE 8x8x4, patches of 2x2."""
    kind = next((kind for kind in ("VACE", "I2V") if kind.lower() in name.lower()), "T2V")
    pipeline = {"VACE": "WanVACEPipeline", "I2V": "WanImageToVideoPipeline", "T2V": "WanPipeline"}[kind]
    return {**_wan_size(name), "starts_from": WAN_CLASSES[pipeline], "size_multiple_px": 16, "frame_multiple": 4}


def _wan_size(name: str) -> Mapping[str, Any]:
    return _WAN_720P if "720p" in name.lower() else _WAN_480P


def _read_qwen(folder: Path) -> Facts:
    advice = what_to_set("qwen")
    config = read_json(folder / "config.json", advice)
    architectures = config.get("architectures") or [None]
    if not str(architectures[0]).endswith("ForCausalLM"):
        raise ModelMissing(f"{folder.name} is a {architectures[0]} and not a language model. {advice}")
    if not any(all((folder / name).is_file() for name in names) for names in _QWEN_TOKENIZERS):
        raise ModelMissing(f"The checkpoint {folder.name} lacks its tokenizer. Copy it again, or set another.")
    settings = read_json(folder / "tokenizer_config.json", advice)
    if not settings.get("chat_template") and not (folder / "chat_template.jinja").is_file():
        raise ModelMissing(f"{folder.name} has no chat template: it does not take instructions. {advice}")
    check_weights(folder, "", advice)
    return Facts(fields=_published_qwen(folder.name), files=tuple(identity_files(folder)))


def _published_qwen(_name: str) -> Mapping[str, Any]:
    return {"starts_from": frozenset({TEXT})}


def _is_listed(index: Mapping[str, Any], name: str) -> bool:
    entry = index.get(name)
    return isinstance(entry, list) and len(entry) > 0 and entry[0] is not None


def _precisions(folder: Path) -> dict[str, bool]:
    names = [path.name for path in folder.glob("*.safetensors")]
    half = [".fp16." in name or ".fp16-" in name for name in names]
    return {"has_half_files": any(half), "has_full_files": not all(half)}


def _files_of(folder: Path, parts: tuple[str, ...]) -> tuple[Path, ...]:
    return (folder / "model_index.json", *(path for name in parts for path in identity_files(folder / name)))


ROLES: Mapping[str, Role] = {
    "sdxl": Role(read=_read_sdxl, published=_published_sdxl, single_file=True),
    "wan": Role(read=_read_wan, published=_published_wan),
    "qwen": Role(read=_read_qwen, published=_published_qwen),
}
