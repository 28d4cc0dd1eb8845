"""A worker's runnable for tests: paints its pictures in milliseconds. The prompt says what goes wrong."""

from __future__ import annotations

import time
from collections.abc import Callable

from PIL import Image

from pipelines.contract import (
    Artifact,
    Cancelled,
    GenerationRequest,
    GenerationResult,
    InvalidRequest,
    Progress,
    Stage,
)

STEP_S = 0.01


class Painter:
    """One flat picture a seed. "slow" in the prompt never ends by itself, "impossible" fails."""

    def load(self, report: Callable[[Progress], None]) -> None:
        report(Progress(stage=Stage.LOADING, fraction=0.0))

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
        return GenerationResult(artifacts=tuple(artifacts), timings_s={"denoising": 0.1}, receipt={"model": "painter"})

    def release(self) -> None:
        """Nothing is held."""


def create() -> Painter:
    return Painter()
