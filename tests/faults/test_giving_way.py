"""Three families of real demo models on a device that cannot hold them together: thirty mixed jobs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from statistics import mean
from typing import Any

import psutil
import pytest

from tests.live import ENDED, StudioServer

pytestmark = pytest.mark.faults

MakeStudio = Callable[..., StudioServer]

BUDGET_GB = 1.25
"""Room for two worker processes of the demo models beside each other, and not for three."""
JOBS = 30
TYPES = ("sdxl_image_fast", "image_fast", "video7b_fast_enhanced", "sdxl_image_high", "image7b_fast_enhanced")
TOLERANCE = 0.10
SAMPLE_INTERVAL_S = 0.05
PATIENCE_MIN = 9


@pytest.mark.timeout(60 * (PATIENCE_MIN + 1))
def test_thirty_mixed_jobs_on_a_device_too_small_for_all_families(make_studio: MakeStudio) -> None:
    server = make_studio(STUDIO_DEVICE_BUDGET_GB=str(BUDGET_GB))
    with watching(server) as most:
        jobs = [
            server.submit(f"a red boat sails left, view {nth}", job_type=job_type, count=1)
            for nth, job_type in enumerate(islice(cycle(TYPES), JOBS))
        ]
        ended = [when_ended(server, job["id"]) for job in jobs]

    assert [job["status"] for job in ended] == ["completed"] * JOBS
    assert [job["attempt"] for job in ended] == [1] * JOBS
    device = server.client.get("/api/system").raise_for_status().json()["devices"][0]
    assert device["budget_bytes"] == BUDGET_GB * 1e9
    assert device["working_bytes"] == 0
    assert device["last_given_way"]
    log = server.log_path.read_text()
    for gone in device["last_given_way"]:
        assert gone["reason"] in log
    assert most[0] <= device["budget_bytes"] * (1 + TOLERANCE)
    shares: dict[str, list[float]] = {}
    for job in ended:
        memory = job["receipt"]["memory"]
        shares.setdefault(job["type"], []).append(memory["peak_bytes"] / memory["planned_bytes"])
    assert set(shares) == set(TYPES)
    for job_type, taken in shares.items():
        assert mean(taken) == pytest.approx(1.0, abs=TOLERANCE), (job_type, taken)


def when_ended(server: StudioServer, job_id: str) -> dict[str, Any]:
    """The job once it has ended: its worker may have to start, and others to leave before."""
    for _ in range(PATIENCE_MIN):
        job: dict[str, Any] = server.client.get(f"/api/jobs/{job_id}/wait", params={"timeout_s": 60}).json()
        if job["status"] in ENDED:
            return job
    raise AssertionError(f"The job has not ended within {PATIENCE_MIN} minutes: {job}")


@contextmanager
def watching(server: StudioServer) -> Iterator[list[int]]:
    """The most resident memory that all workers had together, in bytes."""
    most = [0]
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(SAMPLE_INTERVAL_S):
            most[0] = max(most[0], sum(resident_bytes(child) for child in server.children()))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield most
    finally:
        ended.set()
        thread.join()


def resident_bytes(process: psutil.Process) -> int:
    """0 where it has just ended."""
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0
