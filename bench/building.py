"""Build a published model from its configuration, with no weights to download."""

from __future__ import annotations

from typing import Any

import diffusers
import torch
import transformers

from bench.published_models import PublishedPart


def build(part: PublishedPart, dtype: torch.dtype) -> Any:
    """Return the model of `part` in evaluation mode, on the "meta" device: with shapes and no values.

    What the class keeps in float32 stays so, as when its weights are read from files. Raises ValueError where the
    configuration does not give the published number of parameters.
    """
    with torch.device("meta"):
        if part.library == "diffusers":
            model: Any = getattr(diffusers, part.class_name).from_config(dict(part.config))
        else:
            model_class: Any = getattr(transformers, part.class_name)
            model = model_class(model_class.config_class(**part.config))
    parameters = sum(parameter.numel() for parameter in model.parameters())
    if part.parameters is not None and parameters != part.parameters:
        raise ValueError(f"{part.class_name} has {parameters} parameters, published are {part.parameters}")
    # transformers keeps such modules only where the rest is float16.
    narrow = part.library == "diffusers" or dtype == torch.float16
    wide = (getattr(model, "_keep_in_fp32_modules", None) or ()) if narrow else ()
    for name, parameter in model.named_parameters():
        kept = any(module in name.split(".") for module in wide)
        parameter.data = parameter.data.to(torch.float32 if kept else dtype)
    return model.eval().requires_grad_(False)
