"""What a worker process holds in these tests: paints flat pictures, and fails in the way that the prompt asks for."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Collection
from dataclasses import asdict
from pathlib import Path

from PIL import Image

from pipelines.contract import (
    Artifact,
    Cancelled,
    GenerationRequest,
    GenerationResult,
    Occupied,
    OutOfMemory,
    PipelineError,
    Progress,
    RewriteRequest,
    RewriteResult,
    Stage,
)

PREVIEW = b"RIFF\x00\x00\x00\x00WEBP"


class Hiccup(PipelineError):
    transient = True


class TinyPainter:
    """`marks` is a folder that outlives the process: it notes how often each job was run."""

    def __init__(self, marks: Path) -> None:
        self._marks = marks

    def load(self, report: Callable[[Progress], None]) -> None:
        report(Progress(stage=Stage.LOADING, fraction=0.0))

    def generate(
        self, request: GenerationRequest, report: Callable[[Progress], None], is_cancelled: Callable[[], bool]
    ) -> GenerationResult:
        stumble(request.prompt, note(self._marks, request.job_id))
        for step in range(request.steps):
            report(
                Progress(
                    stage=Stage.DENOISING,
                    fraction=0.8 * step / request.steps,
                    step=step,
                    steps=request.steps,
                    preview=PREVIEW if step == 0 else None,
                )
            )
        while "endless" in request.prompt:
            if is_cancelled():
                raise Cancelled("Stopped on request.")
            time.sleep(0.01)
        report(Progress(stage=Stage.ENCODING, fraction=0.95))
        return GenerationResult(
            artifacts=tuple(self._paint(request, index) for index in range(len(request.seeds))),
            timings_s={"denoising": 1.25, "decoding_s": 0.5},
            receipt={
                "checkpoint": "tiny",
                "steps": request.steps,
                "prompt": request.prompt,
                "plan": asdict(request.plan),
            },
        )

    def give_way(self, parts: Collection[str]) -> None:
        """Nothing is held."""

    def occupied(self) -> Occupied:
        return Occupied(parts={}, now_bytes=0, peak_bytes=0)

    def release(self) -> None:
        """Nothing is held."""

    def _paint(self, request: GenerationRequest, index: int) -> Artifact:
        path = request.scratch / f"{index}.png"
        colour = (request.seeds[index] % 256, 64, 128)
        if request.image is not None:
            colour = Image.open(request.image).convert("RGB").getpixel((0, 0))
        size = (request.width, request.height)
        Image.new("RGB", size if "liar" not in request.prompt else (8, 8), colour).save(path)
        return Artifact(
            path=path,
            index=index,
            mime_type="image/png",
            width=request.width,
            height=request.height,
            seed=request.seeds[index],
        )


class Scribe:
    """Adds words to prompts. A "sly" one is rewritten into what the policy forbids, an "unusable" one into nothing."""

    def __init__(self, marks: Path) -> None:
        self._marks = marks

    def load(self, report: Callable[[Progress], None]) -> None:
        report(Progress(stage=Stage.LOADING, fraction=0.0))

    def generate(
        self, request: RewriteRequest, report: Callable[[Progress], None], is_cancelled: Callable[[], bool]
    ) -> RewriteResult:
        stumble(request.prompt, note(self._marks, request.job_id))
        report(Progress(stage=Stage.ENHANCING, fraction=0.5, text=request.prompt))
        while "endless" in request.prompt:
            if is_cancelled():
                raise Cancelled("Stopped on request.")
            time.sleep(0.01)
        added = ", with a forbiddenword" if "sly" in request.prompt else ", in soft light"
        usable = "unusable" not in request.prompt
        return RewriteResult(
            prompt=request.prompt + added if usable else None,
            note=None if usable else "The prompt was used as written: the rewriting had lost its subject.",
            timings_s={"enhancing_s": 0.5},
            receipt={"checkpoint": "tiny scribe"},
        )

    def give_way(self, parts: Collection[str]) -> None:
        """Nothing is held."""

    def occupied(self) -> Occupied:
        return Occupied(parts={}, now_bytes=0, peak_bytes=0)

    def release(self) -> None:
        """Nothing is held."""


def note(marks: Path, job_id: str) -> int:
    """Note a run of the job and return how many there were."""
    with (marks / job_id).open("a") as file:
        file.write("x")
    return (marks / job_id).stat().st_size


def stumble(prompt: str, runs: int) -> None:
    """Fail as `prompt` asks for."""
    if "deadly" in prompt or ("mortal" in prompt and runs == 1):
        os.kill(os.getpid(), signal.SIGKILL)
    if "hiccup" in prompt and runs == 1:
        raise Hiccup("The device hiccuped.")
    if "greedy" in prompt or ("peckish" in prompt and runs == 1):
        raise OutOfMemory("Too little memory. Try a smaller picture.")
    if "buggy" in prompt:
        raise KeyError("a bug")


def create_scribe(marks: str) -> Scribe:
    return Scribe(Path(marks))


def create(marks: str) -> TinyPainter:
    return TinyPainter(Path(marks))
