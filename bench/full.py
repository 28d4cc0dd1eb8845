"""`make bench-full`: the published models at full size, with random weights, through the studio's own pipelines.

Each is written in the layouts that the hub serves, loaded, and used; on a CPU for one step of a small job, on a GPU for
the jobs that people order. One family at a time, and each layout in a process of its own, so that the memory measured
is that of one. The text encoder of WAN and Qwen take more than a CPU's memory and patience: they are left to a GPU.
Needs 22 GB of memory and 20 GB of disk (40 on a GPU). `python -m bench.full sdxl` measures that family alone.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import platform
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import ParamSpec, TypeVar

import torch

from bench import full_size
from bench.measure import Row, stopwatch
from pipelines import sdxl, wan
from pipelines.checkpoints import resolve
from pipelines.contract import GenerationRequest, Pipeline, Progress, Stage
from pipelines.recipes import QUALITIES, recipe

RESULTS = Path(__file__).parent / "full.json"
FAMILIES = ("sdxl", "wan")
Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")

_GB = 1e9
_PROMPT = "a lighthouse on a cliff above a stormy sea at dusk, waves breaking on the rocks, warm light in the windows"


class StepClock:
    """Hears what a run reports, and times its denoising steps."""

    def __init__(self) -> None:
        self._began: float | None = None
        self._seconds = 0.0
        self._steps = 0

    def report(self, progress: Progress) -> None:
        if progress.stage is not Stage.DENOISING:
            return
        if self._began is None:
            self._began = time.perf_counter()
        self._seconds, self._steps = time.perf_counter() - self._began, progress.step

    @property
    def step_s(self) -> float:
        """The mean over the steps so far, in seconds."""
        return self._seconds / self._steps


@dataclass(frozen=True, kw_only=True)
class FullJob:
    """One job to measure, under the name that its rows get."""

    name: str
    request: GenerationRequest


def main(families: Sequence[str]) -> None:
    """Measure `families`, print a table and write their part of RESULTS."""
    for family in families:
        rows: list[Row] = []
        with tempfile.TemporaryDirectory(prefix="bench-full-") as folder:
            layouts = _in_own_process(write, family, Path(folder))
            for layout, location in layouts.items():
                rows += _in_own_process(measure, family, layout, location)
        _note(family, rows)


def _note(family: str, rows: Sequence[Row]) -> None:
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    results[family] = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.machine()}, {platform.python_version()}",
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "threads": torch.get_num_threads(),
        "rows": [row.as_json() for row in rows],
    }
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def _in_own_process(work: Callable[Arguments, Answer], *arguments: Arguments.args, **named: Arguments.kwargs) -> Answer:
    """Return what `work` does in a fresh process, whose memory goes with it."""
    with ProcessPoolExecutor(max_workers=1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(work, *arguments, **named).result()


def write(family: str, folder: Path) -> dict[str, Path]:
    """Write the checkpoint of `family` below `folder` and return where each of its layouts is."""
    if family == "sdxl":
        return full_size.write_sdxl(folder)
    return full_size.write_wan(folder, whole_text_encoder=torch.cuda.is_available())


def measure(family: str, layout: str, location: Path) -> list[Row]:
    """Load the checkpoint at `location`, run its jobs, print their rows and return them."""
    # A single file is read with the configs and tokenizers of the folder beside it.
    config = {"single_file_config": str(location.with_suffix(""))} if location.is_file() else {}
    create = {"sdxl": sdxl.create, "wan": wan.create}[family]
    pipeline = create(checkpoint=str(location), dtype="bfloat16", offline=True, **config)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as scratch:
        on_gpu = torch.cuda.is_available()
        jobs = _real_jobs(family, location, Path(scratch)) if on_gpu else _small_jobs(family, Path(scratch))
        for measured in _measured(pipeline, jobs):
            row = replace(measured, name=f"{family}, {layout}: {measured.name}")
            print(f"{row.name:<76} {row.value:>9.2f} {row.unit:<4} {row.note}", flush=True)
            rows.append(row)
    return rows


def _measured(pipeline: Pipeline, jobs: Iterable[FullJob]) -> Iterator[Row]:
    with stopwatch() as elapsed:
        pipeline.load(lambda _: None)
    yield Row(name="loading", value=elapsed(), unit="s", note="files just written, so from the page cache")
    held = pipeline.occupied()
    parts = ", ".join(f"{name} {size / _GB:.2f}" for name, size in held.parts.items())
    yield Row(name="loaded", value=held.now_bytes / _GB, unit="GB", note=parts)
    yield Row(name="peak while loading", value=held.peak_bytes / _GB, unit="GB")
    for job in jobs:
        clock = StepClock()
        with stopwatch() as elapsed:
            result = pipeline.generate(job.request, clock.report, lambda: False)
        decoding_s = result.timings_s["decoding_s"]
        yield Row(name=f"{job.name}: one step", value=clock.step_s, unit="s", note=f"{job.request.steps} steps")
        yield Row(name=f"{job.name}: whole job", value=elapsed(), unit="s", note=f"decoding {decoding_s:.1f}")
        yield Row(name=f"{job.name}: peak", value=pipeline.occupied().peak_bytes / _GB, unit="GB")


def _small_jobs(family: str, scratch: Path) -> Iterator[FullJob]:
    """Single unguided steps, that a CPU is done with in minutes."""
    size = (1024, 1024) if family == "sdxl" else (832, 480)
    picture = GenerationRequest(
        job_id="full-size",
        quality="fast",
        prompt=_PROMPT,
        width=size[0],
        height=size[1],
        steps=1,
        guidance=1.0,
        seeds=(1,),
        scratch=scratch,
    )
    yield FullJob(name=f"picture of {size[0]} x {size[1]}", request=picture)
    if family == "wan":
        # Of half the native size: decoding one of the native size in one piece takes 8 GB in a CPU's float32.
        film = replace(picture, width=416, height=240, frames=9, fps=16.0)
        yield FullJob(name="film of 416 x 240 x 9", request=film)


def _real_jobs(family: str, location: Path, scratch: Path) -> Iterator[FullJob]:
    """What people order, after the recipes: six pictures or one film of the native size."""
    checkpoint = resolve(family, location)
    film = family == "wan"
    for quality in QUALITIES:
        advised = recipe(checkpoint, quality)
        request = GenerationRequest(
            job_id=f"full-size-{quality}",
            quality=quality,
            prompt=_PROMPT,
            width=checkpoint.native_width_px,
            height=checkpoint.native_height_px,
            steps=advised.steps,
            guidance=advised.guidance,
            seeds=(1,) if film else tuple(range(1, 7)),
            frames=checkpoint.native_frames,
            fps=checkpoint.native_fps if film else None,
            scratch=scratch,
        )
        yield FullJob(name=f"{quality} {'film' if film else 'x 6'}", request=request)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.full", description="Measure the models at full size.")
    parser.add_argument("families", nargs="*", choices=FAMILIES, default=FAMILIES, metavar="|".join(FAMILIES))
    main(parser.parse_args().families)
