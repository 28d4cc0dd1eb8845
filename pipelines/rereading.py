"""Weights read once more from the files they came from, for a part that gave way and is needed again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from pipelines.checkpoints import Checkpoint, Kind
from pipelines.loading import LoadOptions, failure_as_advice, half_variant
from pipelines.part_loading import let_go_of_files
from pipelines.residency import Part

logger = logging.getLogger(__name__)

Load = Callable[[Checkpoint, LoadOptions], Any]


def parts_of(
    pipe: Any, names: Mapping[str, Sequence[str]], checkpoint: Checkpoint, options: LoadOptions, load: Load
) -> dict[str, Part]:
    """Return the parts of a loaded pipeline: `names` are the components of each, those that `pipe` lacks left out.

    `load` is what read the whole of `pipe`: a single file is read so again, folders and hub ids component by component.
    """
    quiet = replace(options, on_part=None, on_host=True)

    def part(components: Mapping[str, torch.nn.Module]) -> Part:
        def read() -> list[torch.nn.Module]:
            if checkpoint.kind is Kind.SINGLE_FILE:
                whole = load(checkpoint, quiet)
                return [getattr(whole, name) for name in components]
            with failure_as_advice(checkpoint, quiet):
                fresh = [_component(checkpoint, quiet, name, module) for name, module in components.items()]
                return [let_go_of_files(module) for module in fresh]

        return Part(modules=tuple(components.values()), read=read)

    there = {
        part_name: {name: getattr(pipe, name) for name in components if getattr(pipe, name, None) is not None}
        for part_name, components in names.items()
    }
    return {part_name: part(components) for part_name, components in there.items() if components}


def _component(checkpoint: Checkpoint, options: LoadOptions, name: str, module: Any) -> Any:
    common: dict[str, Any] = {
        "subfolder": name,
        "dtype": module.dtype,
        "use_safetensors": True,
        "cache_dir": options.cache_dir,
        "local_files_only": options.offline or checkpoint.kind is not Kind.HUB,
    }
    variant = _variant(checkpoint, options.dtype)
    if variant is not None:
        try:
            return type(module).from_pretrained(checkpoint.location, variant=variant, **common)
        except (OSError, ValueError):
            logger.info("%s has no half-precision files of its %s; taking the plain ones", checkpoint.name, name)
    return type(module).from_pretrained(checkpoint.location, **common)


def _variant(checkpoint: Checkpoint, dtype: torch.dtype) -> str | None:
    """The choice of pipelines.sdxl_loading and pipelines.wan_loading, file by file."""
    if checkpoint.kind is Kind.HUB:
        return "fp16" if checkpoint.role == "sdxl" else None
    return half_variant(checkpoint, dtype)
