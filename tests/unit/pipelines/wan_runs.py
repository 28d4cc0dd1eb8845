"""Running a WAN pipeline in tests and looking at what came out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from pipelines.contract import GenerationRequest, GenerationResult
from pipelines.films import read_film


def run(pipeline: Any, request: GenerationRequest) -> GenerationResult:
    result: GenerationResult = pipeline.generate(request, lambda progress: None, lambda: False)
    return result


def pixels(result: GenerationResult) -> list[NDArray[np.int16]]:
    """Each picture [height, width, 3], each film [frames, height, width, 3]."""
    return [_pixels(artifact) for artifact in result.artifacts]


def _pixels(artifact: Any) -> NDArray[np.int16]:
    if artifact.frames is None:
        return np.asarray(Image.open(artifact.path).convert("RGB")).astype(np.int16)
    film = read_film(artifact.path, width=artifact.width, height=artifact.height, frames=artifact.frames)
    return film.astype(np.int16)


def difference(one: NDArray[np.int16], other: NDArray[np.int16]) -> int:
    return int(np.abs(one - other).max())


def loaded_pipe(pipeline: Any) -> Any:
    """The diffusers pipeline that `pipeline` holds."""
    return pipeline._holder.load(lambda progress: None).pipe


@contextlib.contextmanager
def counted(module: torch.nn.Module) -> Iterator[list[int]]:
    """A list with the batch size of every forward of `module`, while this lasts."""
    sizes: list[int] = []

    def note(_module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        first = args[0] if args else kwargs["hidden_states"]
        sizes.append(int(first.shape[0]))

    handle = module.register_forward_pre_hook(note, with_kwargs=True)
    try:
        yield sizes
    finally:
        handle.remove()
