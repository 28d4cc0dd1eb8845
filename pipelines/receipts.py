"""The facts about a run that every family of checkpoints tells, as JSON values."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any

import torch

from pipelines.checkpoints import Checkpoint
from pipelines.contract import GenerationRequest
from pipelines.loading import LoadOptions

_LIBRARIES = ("torch", "diffusers", "transformers")


def receipt_of(
    checkpoint: Checkpoint, options: LoadOptions, request: GenerationRequest, *, few_step: bool
) -> dict[str, Any]:
    """Return what is needed to make the work again, beside what its family adds. `few_step`: the distillation drew."""
    device = options.device
    weights = Path(checkpoint.few_step).name if few_step and checkpoint.few_step else None
    return {
        "checkpoint": checkpoint.name,
        "fingerprint": checkpoint.fingerprint,
        "few_step_weights": weights,
        "steps": request.steps,
        "guidance": request.guidance,
        "seeds": list(request.seeds),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "dtype": str(options.dtype).removeprefix("torch."),
        "versions": {name: importlib.metadata.version(name) for name in _LIBRARIES},
    }
