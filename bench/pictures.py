"""What the studio adds to a bare diffusers call, and what a batch saves."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.measure import Row, stopwatch
from pipelines.checkpoints import DEMO_FOLDER
from tests.live import StudioServer

PROMPT = "a red balloon over the sea at sunset"
ROUNDS = 7
COUNT = 6


def measure(folder: Path) -> Iterator[Row]:
    studio = StudioServer(folder / "data")
    try:
        studio.start()
        yield from compare(studio)
    finally:
        studio.stop()


def compare(studio: StudioServer) -> Iterator[Row]:
    warm_up = studio.wait_completed(studio.submit(PROMPT, count=1)["id"])
    bare = BarePipeline(warm_up["receipt"]["dtype"])
    for job_type in ("sdxl_image_fast", "sdxl_image_high"):
        job = studio.wait_completed(studio.submit(PROMPT, job_type=job_type, count=COUNT, seed=1)["id"])
        steps, guidance = job["config"]["steps"], job["config"]["guidance"]
        bare.run(steps, guidance, COUNT)
        ours, theirs, singles = [], [], []
        for _ in range(ROUNDS):
            with stopwatch() as elapsed:
                studio.wait_ended(studio.submit(PROMPT, job_type=job_type, count=COUNT, seed=1)["id"])
            ours.append(elapsed())
            theirs.append(bare.time(steps, guidance, COUNT))
            singles.append(sum(bare.time(steps, guidance, 1) for _ in range(COUNT)))
        mine, base = statistics.median(ours), statistics.median(theirs)
        aim = base * 1.05 + 0.15
        yield Row(name=f"{job_type}: bare diffusers call, six, {steps} steps", value=base, unit="s")
        yield Row(name=f"{job_type}: studio, submit to completed", value=mine, unit="s", note=f"aim: {aim:.3f}")
        yield Row(name=f"{job_type}: studio / bare", value=mine / base, unit="x")
        yield Row(name=f"{job_type}: six singles / one batch of six", value=statistics.median(singles) / base, unit="x")


class BarePipeline:
    """The same checkpoint in the same precision, called as diffusers' documentation does, in this process."""

    def __init__(self, dtype: str) -> None:
        import torch  # noqa: PLC0415 (slow; only this suite needs it)
        from diffusers import StableDiffusionXLPipeline  # noqa: PLC0415

        self.torch = torch
        loader: Any = StableDiffusionXLPipeline
        self.pipeline = loader.from_pretrained(DEMO_FOLDER["sdxl"], dtype=getattr(torch, dtype))
        self.pipeline.set_progress_bar_config(disable=True)

    def run(self, steps: int, guidance: float, count: int) -> None:
        generators = [self.torch.Generator().manual_seed(seed) for seed in range(1, count + 1)]
        self.pipeline(
            PROMPT,
            num_inference_steps=steps,
            guidance_scale=guidance,
            num_images_per_prompt=count,
            generator=generators,
        )

    def time(self, steps: int, guidance: float, count: int) -> float:
        with stopwatch() as elapsed:
            self.run(steps, guidance, count)
        return elapsed()
