"""A worker's runnable for tests: paints its pictures in milliseconds. The prompt says what goes wrong."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np
from PIL import Image

from pipelines.contract import (
    Artifact,
    Cancelled,
    GenerationRequest,
    GenerationResult,
    InvalidRequest,
    Occupied,
    Progress,
    RewriteRequest,
    RewriteResult,
    Stage,
)
from pipelines.films import write_film

STEP_S = 0.01
HEAVY = Path(os.environ["PAINTER_HEAVY"])
"""While this file exists, loading goes on."""
RECEIPT = {"model": "painter"}
RICH_WORDS = ("in", "soft", "light,", "with", "a", "calm", "camera", "and", "a", "wide", "view")


class Painter:
    """One flat picture a seed. "slow" in the prompt never ends by itself, "impossible" fails. Loads for as long as
    HEAVY exists."""

    def load(self, report: Callable[[Progress], None]) -> None:
        report(Progress(stage=Stage.LOADING, fraction=0.0))
        while HEAVY.exists():
            time.sleep(STEP_S)

    def generate(
        self, request: GenerationRequest, report: Callable[[Progress], None], is_cancelled: Callable[[], bool]
    ) -> GenerationResult:
        if "impossible" in request.prompt:
            raise InvalidRequest("This cannot be painted.")
        step = 0
        while step < request.steps or "slow" in request.prompt:
            if is_cancelled():
                raise Cancelled("stopped")
            time.sleep(STEP_S)
            step += 1
            report(
                Progress(stage=Stage.DENOISING, fraction=min(step / request.steps, 0.9), step=step, steps=request.steps)
            )
        if request.fps is not None:
            return GenerationResult(artifacts=(_film(request, report, is_cancelled),), timings_s={}, receipt=RECEIPT)
        artifacts = []
        for index, seed in enumerate(request.seeds):
            path = request.scratch / f"{index}.png"
            Image.new("RGB", (request.width, request.height), (seed % 256, 64, 128)).save(path)
            artifacts.append(
                Artifact(
                    path=path,
                    index=index,
                    mime_type="image/png",
                    width=request.width,
                    height=request.height,
                    seed=seed,
                )
            )
        return GenerationResult(artifacts=tuple(artifacts), timings_s={"denoising": 0.1}, receipt=RECEIPT)

    def give_way(self, parts: Collection[str]) -> None:
        """Nothing is held."""

    def occupied(self) -> Occupied:
        return Occupied(parts={}, now_bytes=0, peak_bytes=0)

    def release(self) -> None:
        """Nothing is held."""


def _film(request: GenerationRequest, report: Callable[[Progress], None], is_cancelled: Callable[[], bool]) -> Artifact:
    """A square that moves to the right, in the colour of the seed. "lingering" in the prompt never ends encoding."""
    assert request.fps is not None
    assert request.max_bytes is not None

    def encoding(share: float) -> None:
        report(Progress(stage=Stage.ENCODING, fraction=0.9 + share / 10))

    while "lingering" in request.prompt and not is_cancelled():
        encoding(0.0)
        time.sleep(STEP_S)
    frames = np.full((request.frames, request.height, request.width, 3), 40, dtype=np.uint8)
    for index, frame in enumerate(frames):
        left = index * (request.width - 16) // request.frames
        frame[8:24, left : left + 16] = (request.seeds[0] % 256, 200, 90)
    film = write_film(
        frames,
        request.scratch / "000.mp4",
        request.fps,
        max_bytes=request.max_bytes,
        report=encoding,
        is_cancelled=is_cancelled,
    )
    return Artifact(
        path=film.path,
        index=0,
        mime_type="video/mp4",
        width=film.width,
        height=film.height,
        frames=film.frames,
        fps=film.fps,
        seed=request.seeds[0],
    )


class Writer:
    """Adds words to a prompt, one at a time. "slow" in it never ends by itself, "impossible" fails, "unusable" is."""

    def load(self, report: Callable[[Progress], None]) -> None:
        report(Progress(stage=Stage.LOADING, fraction=0.0))

    def generate(
        self, request: RewriteRequest, report: Callable[[Progress], None], is_cancelled: Callable[[], bool]
    ) -> RewriteResult:
        if "impossible" in request.prompt:
            raise InvalidRequest("This cannot be written.")
        words = [request.prompt, *RICH_WORDS]
        step = 0
        while step < len(words) or "slow" in request.prompt:
            if is_cancelled():
                raise Cancelled("stopped")
            time.sleep(STEP_S)
            step += 1
            text = " ".join(words[:step])
            report(Progress(stage=Stage.ENHANCING, fraction=min(step / len(words), 0.9), step=step, text=text))
        if "unusable" in request.prompt:
            note = "The prompt was used as written: the rewriting had lost its subject."
            return RewriteResult(prompt=None, note=note, timings_s={"enhancing_s": 0.1}, receipt={"model": "writer"})
        return RewriteResult(prompt=" ".join(words), timings_s={"enhancing_s": 0.1}, receipt={"model": "writer"})

    def give_way(self, parts: Collection[str]) -> None:
        """Nothing is held."""

    def occupied(self) -> Occupied:
        return Occupied(parts={}, now_bytes=0, peak_bytes=0)

    def release(self) -> None:
        """Nothing is held."""


def create() -> Painter:
    return Painter()


def create_writer() -> Writer:
    return Writer()
