"""How large a checkpoint is in memory and how wide its models are, from headers and configs. Torch-free and quick.

Where the files of a hub id are not on this machine yet, the published figures stand in, scaled by the size in its name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from huggingface_hub import try_to_load_from_cache

from pipelines.acceleration import DeviceKind, DtypeSwitch, dtype_of
from pipelines.checkpoint_files import read_json
from pipelines.checkpoints import Checkpoint, Kind
from pipelines.weights import read_header

ELEMENT_BYTES: Mapping[str, int] = {"float16": 2, "bfloat16": 2, "float32": 4}
QUANTIZED_BYTES: Mapping[str, float] = {"8bit": 1.0, "4bit": 0.5 + 0.127 / 8}
"""Bytes of a quantised weight: LLM.int8() (arXiv:2208.07339), and NF4 with doubly quantised scales of 0.127 bits a
weight (arXiv:2305.14314, section 3)."""
PUBLISHED_PARAMETERS: Mapping[str, Mapping[str, Mapping[str, int]]] = {
    "sdxl": {
        "text_encoder": {"": 123_060_480},
        "text_encoder_2": {"": 694_659_840},
        "unet": {"": 2_567_463_684},
        "vae": {"": 83_653_863},
    },
    "wan": {
        "text_encoder": {"": 5_680_910_336},
        "transformer": {"": 1_415_865_856, "time_embedder": 3_130_944},
        "vae": {"": 126_892_531},
    },
    "qwen": {"": {"": 6_525_621_760, "embed_tokens": 544_997_376, "lm_head": 544_997_376}},
}
"""Parameters by folder and kind of tensor of SDXL base 1.0, WAN 2.1 T2V 1.3B and Qwen2.5 7B."""
NOMINAL_BILLIONS: Mapping[str, float] = {"wan": 1.3, "qwen": 7.0}
"""The size that these have in their names."""
KEPT_IN_FLOAT32 = ("time_embedder", "scale_shift_table", "norm1", "norm2", "norm3")
"""Modules that WanTransformer3DModel of diffusers 0.42 keeps in float32 whatever precision is asked for."""
NOT_QUANTIZED = ("embed_tokens", "lm_head", "norm", "bias")
PART_OF: Mapping[str, str] = {"text_encoder_2": "text_encoders", "": "model", "transformer_2": "transformer"}
"""The part that a folder belongs to where it is not called the same."""

_SINGLE_FILE_PARTS = (
    ("model.diffusion_model.", "unet"),
    ("first_stage_model.", "vae"),
    ("conditioner.", "text_encoder"),
)
_WEIGHTS = {
    "sdxl": ("text_encoder", "text_encoder_2", "unet", "vae"),
    "wan": ("text_encoder", "transformer", "transformer_2", "image_encoder", "vae"),
    "qwen": ("",),
}
_BILLIONS = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)b(?![a-z])", re.IGNORECASE)
# What widths are relative to: those of the published models, which `pipelines.footprint` was measured on.
_UNET_CHANNELS, _VAE_CHANNELS, _WAN_FEATURES, _WAN_VAE_CHANNELS, _QWEN_FEATURES = 320, 128, 1536, 96, 3584
_CLIP_FEATURES, _UMT5_FEATURES = 1280, 4096


@dataclass(frozen=True, kw_only=True)
class Precision:
    """How a checkpoint is loaded: the kind of device, what the dtype switch says, and the quantisation of a language
    model."""

    device_kind: DeviceKind
    dtype: DtypeSwitch = "auto"
    quantization: str | None = None


@dataclass(frozen=True, kw_only=True)
class Shapes:
    """What footprints are reckoned from. `parts` are the bytes of the weights on the device; `element_bytes` and
    `vae_element_bytes` those of one number among the activations of the denoiser and of the VAE.

    `width`, `text_width` and `vae_width` are the channels of the denoiser (of Qwen: the model), the text encoder and
    the VAE relative to the published ones: activations grow with them. A latent is `scale_px` pixels wide.
    """

    role: str
    device_kind: DeviceKind
    parts: Mapping[str, int]
    element_bytes: int
    vae_element_bytes: int
    width: float = 1.0
    text_width: float = 1.0
    vae_width: float = 1.0
    scale_px: int = 8


@dataclass(frozen=True, kw_only=True)
class _Model:
    """The parameters of one folder's tensors by name, and its config."""

    parameters: Mapping[str, int]
    config: Mapping[str, Any] = field(default_factory=dict)


def shapes_of(checkpoint: Checkpoint, precision: Precision, *, cache_dir: Path | None = None) -> Shapes:
    """Return the shapes of `checkpoint` loaded in `precision`. `cache_dir` is where hub downloads are looked for.

    Raises ModelMissing where a file that is there cannot be read.
    """
    models = _models(checkpoint, cache_dir)
    element_bytes = ELEMENT_BYTES[_dtype(checkpoint.role, precision)]
    parts: dict[str, int] = {}
    for folder, model in models.items():
        name = _part_name(checkpoint.role, folder)
        parts[name] = parts.get(name, 0) + _weight_bytes(checkpoint.role, folder, model, precision)
    if checkpoint.few_step and checkpoint.role in _DENOISERS:
        parts[f"few_step_{_DENOISERS[checkpoint.role]}"] = parts[_DENOISERS[checkpoint.role]]
    vae = models.get("vae")
    return Shapes(
        role=checkpoint.role,
        device_kind=precision.device_kind,
        parts=parts,
        element_bytes=element_bytes,
        vae_element_bytes=_vae_element_bytes(checkpoint.role, vae.config, precision) if vae else element_bytes,
        width=_width(checkpoint.role, models),
        text_width=_text_width(models),
        vae_width=_vae_width(vae.config) if vae else 1.0,
        scale_px=_scale_px(vae.config) if vae else 1,
    )


_DENOISERS: Mapping[str, str] = {"sdxl": "unet", "wan": "transformer"}


def _part_name(role: str, folder: str) -> str:
    return "text_encoders" if role == "sdxl" and folder == "text_encoder" else PART_OF.get(folder, folder)


def _models(checkpoint: Checkpoint, cache_dir: Path | None) -> Mapping[str, _Model]:
    if checkpoint.kind is Kind.SINGLE_FILE:
        return _single_file(Path(checkpoint.location))
    folder = Path(checkpoint.location)
    if checkpoint.kind is Kind.HUB:
        index = "config.json" if checkpoint.role == "qwen" else "model_index.json"
        found = try_to_load_from_cache(checkpoint.location, index, cache_dir=cache_dir)
        if not isinstance(found, str):
            return _published(checkpoint)
        folder = Path(found).parent
    models = {name: model for name in _WEIGHTS[checkpoint.role] if (model := _folder(folder / name)) is not None}
    # A download that has not come to its end lacks some.
    return models if models.keys() >= PUBLISHED_PARAMETERS[checkpoint.role].keys() else _published(checkpoint)


def _published(checkpoint: Checkpoint) -> Mapping[str, _Model]:
    """The published model of the role, its own part scaled by the size that the checkpoint has in its name."""
    found = _BILLIONS.search(checkpoint.name)
    nominal = NOMINAL_BILLIONS.get(checkpoint.role)
    ratio = float(found.group(1)) / nominal if found and nominal else 1.0
    scaled = {"transformer", ""}
    return {
        folder: _Model(parameters={key: round(n * (ratio if folder in scaled else 1.0)) for key, n in counts.items()})
        for folder, counts in PUBLISHED_PARAMETERS[checkpoint.role].items()
    }


def _folder(folder: Path) -> _Model | None:
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        return None
    # A folder may hold the same weights twice, in half and in full precision.
    halved = [path for path in files if ".fp16." in path.name or ".fp16-" in path.name]
    parameters = {name: count for path in halved or files for name, count in _tensors(path).items()}
    return _Model(parameters=parameters, config=read_json(folder / "config.json", "Copy the checkpoint again."))


def _single_file(path: Path) -> Mapping[str, _Model]:
    parameters: dict[str, dict[str, int]] = {folder: {} for _, folder in _SINGLE_FILE_PARTS}
    for name, count in _tensors(path).items():
        for prefix, folder in _SINGLE_FILE_PARTS:
            if name.startswith(prefix):
                parameters[folder][name] = count
    return {folder: _Model(parameters=tensors) for folder, tensors in parameters.items()}


def _tensors(path: Path) -> dict[str, int]:
    header = read_header(path)
    return {
        name: math.prod(tensor["shape"]) for name, tensor in header.items() if name not in {"__metadata__", "__bytes__"}
    }


def _dtype(role: str, precision: Precision) -> str:
    return dtype_of(role, precision.device_kind, precision.dtype)


def _weight_bytes(role: str, folder: str, model: _Model, precision: Precision) -> int:
    element_bytes = ELEMENT_BYTES[_dtype(role, precision)]
    if folder == "vae":
        element_bytes = _vae_element_bytes(role, model.config, precision)
    elif folder == "image_encoder":
        element_bytes = ELEMENT_BYTES["float32"]
    if role == "qwen" and precision.quantization:
        return _quantized_bytes(model, precision)
    kept = sum(n for name, n in model.parameters.items() if role == "wan" and any(k in name for k in KEPT_IN_FLOAT32))
    kept = kept if folder.startswith("transformer") else 0
    return (sum(model.parameters.values()) - kept) * element_bytes + kept * ELEMENT_BYTES["float32"]


def _quantized_bytes(model: _Model, precision: Precision) -> int:
    """By bitsandbytes the embeddings, the head and the norms stay as they were; by torch, on a CPU, in float32."""
    by_torch = precision.device_kind == "cpu" and precision.quantization == "8bit"
    full_bytes = ELEMENT_BYTES["float32" if by_torch else _dtype("qwen", precision)]
    untouched = tuple(name for name in NOT_QUANTIZED if not (by_torch and name == "lm_head"))
    plain = sum(n for name, n in model.parameters.items() if any(part in name for part in untouched))
    rest = sum(model.parameters.values()) - plain
    return round(plain * full_bytes + rest * QUANTIZED_BYTES[precision.quantization or "8bit"])


def _vae_element_bytes(role: str, config: Mapping[str, Any], precision: Precision) -> int:
    """As `sdxl_loading` and `wan_loading` place it: half a number's bytes only where that is known to be enough."""
    dtype = _dtype(role, precision)
    if role == "sdxl":
        return ELEMENT_BYTES["float16" if dtype == "float16" and not config.get("force_upcast", True) else "float32"]
    half = precision.device_kind == "cuda" and dtype == "bfloat16" and not config.get("force_upcast", False)
    return ELEMENT_BYTES["bfloat16" if half else "float32"]


def _width(role: str, models: Mapping[str, _Model]) -> float:
    config = models["" if role == "qwen" else _DENOISERS[role]].config
    if role == "sdxl":
        return float(config.get("block_out_channels", [_UNET_CHANNELS])[0]) / _UNET_CHANNELS
    if role == "qwen":
        return float(config.get("hidden_size", _QWEN_FEATURES)) / _QWEN_FEATURES
    heads, features = config.get("num_attention_heads"), config.get("attention_head_dim")
    return float(heads * features) / _WAN_FEATURES if heads and features else 1.0


def _text_width(models: Mapping[str, _Model]) -> float:
    """Of SDXL by the larger of its two text encoders, of WAN by UMT5."""
    if "text_encoder_2" in models:
        return float(models["text_encoder_2"].config.get("hidden_size", _CLIP_FEATURES)) / _CLIP_FEATURES
    encoder = models.get("text_encoder")
    return float(encoder.config.get("d_model", _UMT5_FEATURES)) / _UMT5_FEATURES if encoder else 1.0


def _vae_width(config: Mapping[str, Any]) -> float:
    if "base_dim" in config:
        return float(config.get("decoder_base_dim") or config["base_dim"]) / _WAN_VAE_CHANNELS
    return float(config.get("block_out_channels", [_VAE_CHANNELS])[0]) / _VAE_CHANNELS


def _scale_px(config: Mapping[str, Any]) -> int:
    if "block_out_channels" in config:
        return int(2 ** (len(config["block_out_channels"]) - 1))
    return int(config.get("scale_factor_spatial") or 8)
