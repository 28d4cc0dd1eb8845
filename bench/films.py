"""What the studio adds to a bare WanPipeline call, and what its caches of prompts save."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from bench.measure import Row, stopwatch
from pipelines.checkpoints import DEMO_FOLDER
from tests.live import StudioServer

PROMPT = "a red boat sails left on the sea at sunset, seen for the {nth} time"
"""A new prompt each round: both sides then encode it."""
JOB_TYPES = ("video_fast", "video_high")
ROUNDS = 5
REPEATS = 6


def measure(folder: Path) -> Iterator[Row]:
    studio = StudioServer(folder / "data")
    try:
        studio.start()
        yield from compare(studio)
        yield encoder_calls(studio)
        yield from rewriting(studio)
    finally:
        studio.stop()


def compare(studio: StudioServer) -> Iterator[Row]:
    bare: BarePipeline | None = None
    for job_type in JOB_TYPES:
        job = _film(studio, job_type, "warm up")
        bare = bare or BarePipeline(job["receipt"]["dtype"])
        bare.time(job["config"], "warm up")
        ours, theirs, encoding = [], [], []
        for nth in range(ROUNDS):
            with stopwatch() as elapsed:
                job = _film(studio, job_type, f"{job_type} {nth}")
            ours.append(elapsed() - job["timings"]["encoding_s"])
            encoding.append(job["timings"]["encoding_s"])
            theirs.append(bare.time(job["config"], f"{job_type} {nth}"))
        mine, base = statistics.median(ours), statistics.median(theirs)
        aim = base * 1.05 + 0.3
        yield Row(name=f"{job_type}: bare WanPipeline call, {job['config']['steps']} steps", value=base, unit="s")
        yield Row(name=f"{job_type}: studio, without encoding", value=mine, unit="s", note=f"aim: {aim:.3f}")
        yield Row(name=f"{job_type}: studio / bare", value=mine / base, unit="x")
        yield Row(name=f"{job_type}: encoding as H.264", value=statistics.median(encoding), unit="s")


def encoder_calls(studio: StudioServer) -> Row:
    """The same prompt again, with another seed each time: what the cache answers in the encoder's place."""
    jobs = [_film(studio, "video_fast", "again", seed=seed) for seed in range(REPEATS)]
    texts = sum(job["receipt"]["encoder_calls"] + job["receipt"]["prompt_cache_hits"] for job in jobs)
    avoided = sum(job["receipt"]["prompt_cache_hits"] for job in jobs)
    return Row(
        name="encoder calls avoided by the embedding cache",
        value=avoided,
        unit="calls",
        note=f"of {texts} in {REPEATS} films of one prompt",
    )


def rewriting(studio: StudioServer) -> Iterator[Row]:
    """A prompt rewritten for the first time, and once more."""
    first: list[float] = []
    repeated: list[float] = []
    with httpx.Client(base_url=studio.url, timeout=60) as client:
        client.post("/api/enhance-prompt", json={"prompt": "a warm up"}).raise_for_status()
        for nth in range(ROUNDS):
            body = {"prompt": f"boat at night, number {nth}", "kind": "video"}
            for times in (first, repeated):
                with stopwatch() as elapsed:
                    client.post("/api/enhance-prompt", json=body).raise_for_status()
                times.append(elapsed())
    yield Row(name="a prompt rewritten, first time", value=statistics.median(first), unit="s")
    yield Row(name="a prompt rewritten, again", value=statistics.median(repeated), unit="s")


def _film(studio: StudioServer, job_type: str, nth: str, seed: int = 1) -> dict[str, Any]:
    return studio.wait_completed(studio.submit(PROMPT.format(nth=nth), job_type=job_type, seed=seed)["id"])


class BarePipeline:
    """The same checkpoint in the same precision, called as diffusers' documentation does, in this process."""

    def __init__(self, dtype: str) -> None:
        import torch  # noqa: PLC0415 (slow; only this suite needs it)
        from diffusers import AutoencoderKLWan, WanPipeline  # noqa: PLC0415

        self.torch = torch
        loader: Any = WanPipeline
        vae: Any = AutoencoderKLWan
        folder = DEMO_FOLDER["wan"]
        self.pipeline = loader.from_pretrained(
            folder,
            vae=vae.from_pretrained(folder, subfolder="vae", dtype=torch.float32),
            dtype=getattr(torch, dtype),
        )
        self.pipeline.set_progress_bar_config(disable=True)

    def time(self, config: dict[str, Any], nth: str) -> float:
        with stopwatch() as elapsed:
            self.pipeline(
                PROMPT.format(nth=nth),
                width=config["width"],
                height=config["height"],
                num_frames=config["frames"],
                num_inference_steps=config["steps"],
                guidance_scale=config["guidance"],
                max_sequence_length=self.pipeline.tokenizer.model_max_length,
                generator=self.torch.Generator().manual_seed(config["seed"]),
            )
        return elapsed()
