"""Find the checkpoint a setting names and say what it is, without loading it.

Torch-free and quick (it reads JSON configs, safetensors headers and a few sampled blocks), so that the web process
can ask for a model's native size, its fingerprint and whether it is there at all.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from pipelines.contract import ModelMissing
from pipelines.weights import check_safetensors, sampled_digest

DEMO_FOLDER: Mapping[str, Path] = {"sdxl": Path(__file__).parent / "tiny_world" / "sdxl"}
FULL_MODEL: Mapping[str, str] = {"sdxl": "stabilityai/stable-diffusion-xl-base-1.0"}
ENVIRONMENT_VARIABLE: Mapping[str, str] = {"sdxl": "STUDIO_SDXL_MODEL"}

# What is assumed of a checkpoint whose configs are not at hand: SDXL as published, arXiv:2307.01952.
PUBLISHED_NATIVE_SIZE_PX = 1024
PUBLISHED_SIZE_MULTIPLE_PX = 64

_PIPELINE_CLASS = "StableDiffusionXLPipeline"
_WEIGHT_FOLDERS = ("text_encoder", "text_encoder_2", "unet", "vae")
_COMPONENTS = (*_WEIGHT_FOLDERS, "tokenizer", "tokenizer_2", "scheduler")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


class Kind(StrEnum):
    """How a checkpoint is stored."""

    FOLDER = "folder"
    SINGLE_FILE = "single_file"
    HUB = "hub"


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """One model, found but not loaded.

    `location` is an absolute path, or a hub id. `fingerprint` is 16 hex digits that change when the weights or
    configs do; of a hub id, only when the id does. Sizes are pixels: `native_size_px` is the side the model was trained
    at, `size_multiple_px` what a width and a height must be a multiple of. `demo` marks the checkpoint in this
    repository. `has_half_files` and `has_full_files` say whether a folder holds its UNet as
    `*.fp16.safetensors` and as plain files; most half-sized downloads hold the former only.
    `few_step` is an optional distilled UNet (a folder, or a .safetensors file in diffusers' key layout) for fast jobs.
    """

    role: str
    kind: Kind
    location: str
    name: str
    fingerprint: str
    native_size_px: int = PUBLISHED_NATIVE_SIZE_PX
    size_multiple_px: int = PUBLISHED_SIZE_MULTIPLE_PX
    demo: bool = False
    has_half_files: bool = False
    has_full_files: bool = True
    few_step: str | None = None


def resolve(role: str, setting: str | Path | None = None, *, few_step: str | Path | None = None) -> Checkpoint:
    """Return the checkpoint that `setting` names for `role`.

    `setting` is None or "demo" (the checkpoint in this repository), "full" (the published model), a folder in the
    diffusers layout, a single .safetensors file, or a hub id `owner/name`. Raises ModelMissing, whose message says
    what to set, where a local checkpoint is absent or incomplete.
    """
    few_step_path = _few_step(few_step) if few_step else None
    text = str(setting or "demo").strip()
    if text == "full":
        text = FULL_MODEL[role]
    path = DEMO_FOLDER[role] if text == "demo" else Path(text).expanduser()
    if path.is_dir():
        return _folder(role, path.resolve(), few_step_path)
    if path.is_file():
        return _single_file(role, path.resolve(), few_step_path)
    if text == "demo":
        raise ModelMissing(f"The demo checkpoint is not in this installation. {_what_to_set(role)}")
    if not _HUB_ID.fullmatch(text) or path.suffix in {".safetensors", ".ckpt"}:
        raise ModelMissing(f"There is no checkpoint at {text!r}. {_what_to_set(role)}")
    fingerprint = hashlib.sha256(f"hub:{text}".encode()).hexdigest()[:16]
    return Checkpoint(
        role=role, kind=Kind.HUB, location=text, name=text, fingerprint=fingerprint, few_step=few_step_path
    )


def _what_to_set(role: str) -> str:
    return (
        f"Set {ENVIRONMENT_VARIABLE[role]} to a diffusers folder, a single .safetensors file or a hub id "
        f"such as {FULL_MODEL[role]}."
    )


def _few_step(setting: str | Path) -> str:
    path = Path(setting).expanduser()
    if not path.exists():
        raise ModelMissing(
            f"There are no few-step weights at {str(setting)!r}. Set a UNet folder or .safetensors file."
        )
    for weights in [path] if path.is_file() else path.glob("*.safetensors"):
        check_safetensors(weights)
    return str(path.resolve())


def _folder(role: str, folder: Path, few_step: str | None) -> Checkpoint:
    index = _read_json(folder / "model_index.json", role)
    if index.get("_class_name") != _PIPELINE_CLASS:
        raise ModelMissing(
            f"{folder.name} is a {index.get('_class_name')} and not a {_PIPELINE_CLASS}. {_what_to_set(role)}"
        )
    absent = [name for name in _COMPONENTS if not (folder / name).is_dir()]
    if absent:
        raise ModelMissing(f"The checkpoint {folder.name} lacks {', '.join(absent)}. Copy it again, or set another.")
    for name in _WEIGHT_FOLDERS:
        _check_weights(role, folder, name)
    unet = _read_json(folder / "unet" / "config.json", role)
    vae = _read_json(folder / "vae" / "config.json", role)
    try:
        vae_scale = 2 ** (len(vae["block_out_channels"]) - 1)
        native_size_px = int(unet["sample_size"]) * vae_scale
        size_multiple_px = vae_scale * 2 ** (len(unet["down_block_types"]) - 1)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelMissing(f"The configs of {folder.name} are not those of an SDXL model. Copy it again.") from error
    unet_files = [path.name for path in (folder / "unet").glob("*.safetensors")]
    demo = folder == DEMO_FOLDER[role].resolve()
    return Checkpoint(
        role=role,
        kind=Kind.FOLDER,
        location=str(folder),
        name="Tiny World (demo)" if demo else folder.name,
        fingerprint=sampled_digest(_identity_files(folder), folder),
        native_size_px=native_size_px,
        size_multiple_px=size_multiple_px,
        demo=demo,
        has_half_files=any(".fp16." in name or ".fp16-" in name for name in unet_files),
        has_full_files=not all(".fp16." in name or ".fp16-" in name for name in unet_files),
        few_step=few_step,
    )


def _single_file(role: str, path: Path, few_step: str | None) -> Checkpoint:
    if path.suffix != ".safetensors":
        raise ModelMissing(f"{path.name} is not a .safetensors file; pickled checkpoints can run code. Convert it.")
    check_safetensors(path)
    return Checkpoint(
        role=role,
        kind=Kind.SINGLE_FILE,
        location=str(path),
        name=path.stem,
        fingerprint=sampled_digest([path], path.parent),
        few_step=few_step,
    )


def _check_weights(role: str, folder: Path, component: str) -> None:
    weights = list((folder / component).glob("*.safetensors"))
    if not weights:
        raise ModelMissing(f"The checkpoint {folder.name} has no .safetensors weights in {component}. Copy it again.")
    for path in weights:
        check_safetensors(path)
    present = {path.name for path in weights}
    for index in (folder / component).glob("*.safetensors.index*.json"):
        absent = sorted(set(_read_json(index, role).get("weight_map", {}).values()) - present)
        if absent:
            raise ModelMissing(f"The checkpoint {folder.name} lacks {component}/{absent[0]}. Copy it again.")


def _identity_files(folder: Path) -> Iterator[Path]:
    yield folder / "model_index.json"
    for component in _COMPONENTS:
        yield from sorted(
            path for path in (folder / component).iterdir() if path.suffix in {".json", ".safetensors", ".txt"}
        )


def _read_json(path: Path, role: str) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelMissing(
            f"{path.parent} is not a diffusers checkpoint: {path.name} is missing. {_what_to_set(role)}"
        ) from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ModelMissing(f"{path} cannot be read. Copy the checkpoint again. {_what_to_set(role)}") from error
    if not isinstance(content, dict):
        raise ModelMissing(f"{path} is not a config. Copy the checkpoint again. {_what_to_set(role)}")
    return content
