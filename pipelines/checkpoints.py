"""Find the checkpoint a setting names and say what it is, without loading it.

Torch-free and quick (it reads JSON configs, safetensors headers and a few sampled blocks), so that the web process
can ask for a model's native size, its fingerprint and whether it is there at all.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pipelines.checkpoint_roles import FULL_MODEL, IMAGE, ROLES, TEXT, WAN_DEMO, what_to_set
from pipelines.contract import ModelMissing
from pipelines.weights import check_safetensors, sampled_digest

DEMO_FOLDER: Mapping[str, Path] = {
    role: Path(__file__).parent / "tiny_world" / role for role in ("sdxl", "wan", "qwen")
}

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
    configs do; of a hub id, only when the id does. Sizes are pixels: `native_width_px` x `native_height_px` is what the
    model was trained at, `size_multiple_px` what a width and a height must be a multiple of. `starts_from` says what
    pictures (SDXL) or films (WAN) can be made from: "text" alone, an "image", a "video". Films natively have
    `native_frames` frames at `native_fps` a second, and always `frame_multiple` x n + 1. `demo` marks the checkpoint in
    this repository. `has_half_files` and `has_full_files` say whether a folder holds its UNet or transformer as
    `*.fp16.safetensors` and as plain files; most half-sized downloads hold the former only.
    `few_step` is an optional distillation for fast jobs: a denoiser's folder, or a .safetensors file of one in
    diffusers' key layout; of WAN, a LoRA too.
    """

    role: str
    kind: Kind
    location: str
    name: str
    fingerprint: str
    native_width_px: int = 0
    native_height_px: int = 0
    size_multiple_px: int = 1
    starts_from: frozenset[str] = frozenset({TEXT, IMAGE})
    native_frames: int = 1
    native_fps: float = 0.0
    frame_multiple: int = 1
    demo: bool = False
    has_half_files: bool = False
    has_full_files: bool = True
    few_step: str | None = None


def resolve(role: str, setting: str | Path | None = None, *, few_step: str | Path | None = None) -> Checkpoint:
    """Return the checkpoint that `setting` names for `role` ("sdxl", "wan" or "qwen").

    `setting` is None or "demo" (the checkpoint in this repository), "full" (the published model), a folder in the
    layout of diffusers (of Qwen: of transformers), a single .safetensors file (SDXL only), or a hub id `owner/name`.
    Raises ModelMissing, whose message says what to set, where a local checkpoint is absent or incomplete.
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
        raise ModelMissing(f"The demo checkpoint is not in this installation. {what_to_set(role)}")
    if not _HUB_ID.fullmatch(text) or path.suffix in {".safetensors", ".ckpt"}:
        raise ModelMissing(f"There is no checkpoint at {text!r}. {what_to_set(role)}")
    return Checkpoint(
        role=role,
        kind=Kind.HUB,
        location=text,
        name=text,
        fingerprint=hashlib.sha256(f"hub:{text}".encode()).hexdigest()[:16],
        few_step=few_step_path,
        **ROLES[role].published(text),
    )


def _few_step(setting: str | Path) -> str:
    path = Path(setting).expanduser()
    if not path.exists():
        raise ModelMissing(f"There are no few-step weights at {str(setting)!r}. Set a folder or a .safetensors file.")
    for weights in [path] if path.is_file() else path.glob("*.safetensors"):
        check_safetensors(weights)
    return str(path.resolve())


def _folder(role: str, folder: Path, few_step: str | None) -> Checkpoint:
    facts = ROLES[role].read(folder)
    demo = folder == DEMO_FOLDER[role].resolve()
    fields = {**facts.fields, **(WAN_DEMO if demo and role == "wan" else {})}
    return Checkpoint(
        role=role,
        kind=Kind.FOLDER,
        location=str(folder),
        name="Tiny World (demo)" if demo else folder.name,
        fingerprint=sampled_digest(facts.files, folder),
        demo=demo,
        few_step=few_step,
        **fields,
    )


def _single_file(role: str, path: Path, few_step: str | None) -> Checkpoint:
    if not ROLES[role].single_file:
        raise ModelMissing(f"{path.name} is a single file, which holds only a part of this model. {what_to_set(role)}")
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
        **ROLES[role].published(path.stem),
    )
