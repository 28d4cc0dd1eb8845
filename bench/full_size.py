"""Checkpoints of the published models at full size with random weights, in the layouts that the hub serves.

Tokenizers and schedulers are the demo checkpoints': they change neither the work nor the memory.
"""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from bench.building import build
from bench.original_names import single_file
from bench.published_models import HUB_IDS, PUBLISHED, PublishedPart
from pipelines.checkpoints import DEMO_FOLDER
from pipelines.loading import quiet_libraries

_SHARD = "5GB"
_SEED = 0


def write_sdxl(folder: Path) -> dict[str, Path]:
    """Write SDXL base below `folder`, as a folder of half-precision files and as one file. Returns both by name."""
    checkpoint = _copy_demo("sdxl", folder)
    for name, part in PUBLISHED["sdxl"].items():
        _write_part(part, torch.float16, checkpoint / name, variant="fp16")
    tensors = {name: load_file(next((checkpoint / name).glob("*.safetensors"))) for name in PUBLISHED["sdxl"]}
    one_file = folder / f"{checkpoint.name}.safetensors"
    save_file(single_file(**tensors), one_file)
    return {"fp16 folder": checkpoint, "single file": one_file}


def write_wan(folder: Path, *, whole_text_encoder: bool) -> dict[str, Path]:
    """Write WAN 1.3B below `folder`: the transformer and the VAE in float32 and in shards, as published.

    The text encoder is UMT5-XXL in bfloat16, or of one layer and the demo's words, as wide as the transformer reads.
    """
    checkpoint = _copy_demo("wan", folder)
    parts = PUBLISHED["wan"]
    _write_part(parts["transformer"], torch.float32, checkpoint / "transformer", max_shard_size=_SHARD)
    _write_part(parts["vae"], torch.float32, checkpoint / "vae")
    encoder = parts["text_encoder"]
    if not whole_text_encoder:
        words = json.loads((DEMO_FOLDER["wan"] / "text_encoder" / "config.json").read_text(encoding="utf-8"))[
            "vocab_size"
        ]
        encoder = replace(encoder, parameters=None, config={**encoder.config, "num_layers": 1, "vocab_size": words})
    _write_part(encoder, torch.bfloat16, checkpoint / "text_encoder", max_shard_size=_SHARD)
    return {"folder in shards": checkpoint}


def _copy_demo(role: str, folder: Path) -> Path:
    """Copy what holds no weights from the demo checkpoint, under the published name: recipes go by it."""
    checkpoint = folder / HUB_IDS[role].rpartition("/")[2]
    weights = shutil.ignore_patterns("*.safetensors", "*.safetensors.index.json", "*.md", "*.jsonl")
    shutil.copytree(DEMO_FOLDER[role], checkpoint, ignore=weights)
    return checkpoint


def _write_part(part: PublishedPart, dtype: torch.dtype, folder: Path, **layout: Any) -> None:
    model = build(part, dtype)
    model.to_empty(device="cpu")
    if part.library == "transformers":
        # What was one tensor under two names has become two.
        model.tie_weights()
    torch.manual_seed(_SEED)
    for name, parameter in model.named_parameters():
        _fill(name, parameter)
    shutil.rmtree(folder)
    quiet_libraries()
    model.save_pretrained(folder, safe_serialization=True, **layout)


def _fill(name: str, parameter: torch.nn.Parameter) -> None:
    """Give random values that keep the numbers of a deep model near one."""
    if name.endswith("bias"):
        parameter.zero_()
    elif parameter.ndim == 1 or name.endswith("gamma"):
        parameter.fill_(1.0)
    else:
        parameter.normal_(0.0, 1.0 / math.sqrt(parameter[0].numel()))
