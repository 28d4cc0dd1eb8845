"""One device for three families: starting workers, switching between them, and what each job type takes."""

from __future__ import annotations

import asyncio
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from bench.measure import Row, stopwatch
from queue_backend.worker_process import WorkerProcess
from studio.models import lanes_of, worker_spec
from studio.settings import Settings
from tests.live import StudioServer

SWITCHES = 5
SAMPLE_INTERVAL_S = 0.005
IDLE_EXIT_S = 4.0
TIGHT_BUDGET_GB = 0.8
"""Room for one worker process of the demo models and its run, and not for two."""
MIB = 2**20
JOBS: dict[str, dict[str, Any]] = {"sdxl": {"job_type": "sdxl_image_fast"}, "wan": {"job_type": "image_fast"}}


def measure(folder: Path) -> Iterator[Row]:
    yield from starts(folder)
    yield from switching(folder)
    yield from per_job_type(folder)


def starts(folder: Path) -> Iterator[Row]:
    """From the start of a worker process to its being ready for work, without a model."""
    settings = Settings(data_dir=folder / "starts", models="demo")
    for lane in lanes_of(settings):
        yield Row(name=f"{lane} worker: start to ready", value=asyncio.run(_start_s(settings, lane, folder)), unit="s")


async def _start_s(settings: Settings, lane: str, folder: Path) -> float:
    with stopwatch() as elapsed:
        worker = await WorkerProcess.start(worker_spec(settings, lane), folder / f"{lane}.log")
        await worker.settled.wait()
    await worker.shutdown(10.0, "was only measured")
    return elapsed()


def switching(folder: Path) -> Iterator[Row]:
    """A picture by SDXL, then one by WAN, and again: with both in memory, and where each has to make room."""
    medians = {}
    for name, budget in (("warm", {}), ("cold", {"STUDIO_DEVICE_BUDGET_GB": str(TIGHT_BUDGET_GB)})):
        studio = StudioServer(folder / name, **budget)
        try:
            studio.start()
            times: dict[str, list[float]] = {lane: [] for lane in JOBS}
            for nth in range(SWITCHES + 1):
                for lane, fields in JOBS.items():
                    with stopwatch() as elapsed:
                        studio.wait_completed(studio.submit(f"a red boat {nth}", count=1, **fields)["id"])
                    if nth:
                        times[lane].append(elapsed())
            gone = studio.client.get("/api/system").json()["devices"][0]["last_given_way"]
            assert bool(gone) == bool(budget), "what was to give way did not, or the other way round"
        finally:
            studio.stop()
        for lane, taken in times.items():
            medians[lane, name] = statistics.median(taken)
            yield Row(name=f"switch to {lane}, {name} (median of {SWITCHES})", value=medians[lane, name], unit="s")
    for lane in JOBS:
        yield Row(name=f"switch to {lane}: cold / warm", value=medians[lane, "cold"] / medians[lane, "warm"], unit="x")


def per_job_type(folder: Path) -> Iterator[Row]:
    """Resident memory of the worker that makes each type, and of all workers after they were idle."""
    studio = StudioServer(folder / "types", STUDIO_WORKER_IDLE_EXIT_S="600")
    try:
        studio.start()
        for job_type in studio.client.get("/api/job-types").json():
            yield from _memory_of(studio, job_type["type"], job_type["lanes"][-1])
    finally:
        studio.stop()
    yield _after_idle_exit(folder)


def _memory_of(studio: StudioServer, job_type: str, lane: str) -> Iterator[Row]:
    before = _worker(studio, lane)
    with _peak_of(before["pid"]) as peak:
        job = studio.wait_completed(studio.submit("a red boat sails left", job_type=job_type)["id"])
    after = _worker(studio, lane)
    assert job["status"] == "completed"
    for when, value in (("before", before["rss"]), ("peak", peak[0]), ("after", after["rss"])):
        yield Row(name=f"{job_type}: {lane} worker {when}", value=value / MIB, unit="MiB")


def _after_idle_exit(folder: Path) -> Row:
    studio = StudioServer(folder / "idle", STUDIO_WORKER_IDLE_EXIT_S=str(IDLE_EXIT_S))
    try:
        studio.start()
        studio.wait_completed(studio.submit("a red boat", count=1)["id"])
        end = time.monotonic() + 60
        while time.monotonic() < end and any(worker["pid"] for worker in _workers(studio)):
            time.sleep(0.2)
        assert studio.process is not None
        children = psutil.Process(studio.process.pid).children(recursive=True)
        left = sum(child.memory_info().rss for child in children)
        return Row(name="workers after the idle exit, resident", value=left / MIB, unit="MiB", note="aim: 0")
    finally:
        studio.stop()


def _workers(studio: StudioServer) -> list[dict[str, Any]]:
    workers: list[dict[str, Any]] = studio.client.get("/api/system").raise_for_status().json()["workers"]
    return workers


def _worker(studio: StudioServer, lane: str) -> dict[str, Any]:
    """The lane's worker once it is idle, with its resident memory as the system says."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        worker = next(worker for worker in _workers(studio) if worker["lane"] == lane)
        if worker["state"] == "idle":
            return worker | {"rss": psutil.Process(worker["pid"]).memory_info().rss}
        time.sleep(0.05)
    raise TimeoutError(f"The {lane} worker is not ready.")


@contextmanager
def _peak_of(pid: int) -> Iterator[list[int]]:
    """The most resident memory that the process had while this lasted, in bytes."""
    peak = [0]
    ended = threading.Event()

    def watch() -> None:
        process = psutil.Process(pid)
        while not ended.wait(SAMPLE_INTERVAL_S):
            peak[0] = max(peak[0], process.memory_info().rss)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        ended.set()
        thread.join()
