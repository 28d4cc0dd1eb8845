"""The running program: start, memory, submitting and cancelling."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil

from bench.measure import Row, stopwatch
from tests.live import StudioServer

SUBMITS = 200
CANCELS = 5
POLL_INTERVAL_S = 0.005


def measure(folder: Path) -> Iterator[Row]:
    studio = StudioServer(folder / "data")
    try:
        with stopwatch() as elapsed:
            studio.start()
            httpx.get(studio.url, timeout=30).raise_for_status()
        yield Row(name="start to first page", value=elapsed(), unit="s")
        with httpx.Client(base_url=studio.url, timeout=60) as client:
            yield page_time(client)
            studio.wait_completed(studio.submit(count=1)["id"])
            yield web_memory(studio)
            yield cancel_latency(studio, client)
            yield submits_per_second(client)
    finally:
        studio.stop()


def page_time(client: httpx.Client) -> Row:
    times = []
    for _ in range(10):
        with stopwatch() as elapsed:
            client.get("/").raise_for_status()
        times.append(elapsed())
    return Row(name="first page, warm (median of 10)", value=statistics.median(times) * 1000, unit="ms")


def web_memory(studio: StudioServer) -> Row:
    assert studio.process is not None
    rss = psutil.Process(studio.process.pid).memory_info().rss
    return Row(name="web process after a job, resident", value=rss / 2**20, unit="MiB", note="aim: under 350")


def cancel_latency(studio: StudioServer, client: httpx.Client) -> Row:
    """From the cancel request to the job standing at `cancelled`, mid-denoising."""
    times = []
    for _ in range(CANCELS):
        job_id = studio.submit(steps=100)["id"]
        studio.wait_until(job_id, lambda job: job["progress"]["step"] >= 2)
        with stopwatch() as elapsed:
            client.post(f"/api/jobs/{job_id}/cancel").raise_for_status()
            while client.get(f"/api/jobs/{job_id}").json()["status"] != "cancelled":
                time.sleep(POLL_INTERVAL_S)
        times.append(elapsed())
    return Row(
        name=f"cancel to cancelled, six pictures (median of {CANCELS})", value=statistics.median(times), unit="s"
    )


def submits_per_second(client: httpx.Client) -> Row:
    with stopwatch() as elapsed:
        jobs = [
            client.post("/api/queue-job", json={"prompt": "a red boat", "count": 1}).raise_for_status().json()["id"]
            for _ in range(SUBMITS)
        ]
    for job_id in jobs:
        client.post(f"/api/jobs/{job_id}/cancel")
    return Row(name="jobs submitted over REST, one client", value=SUBMITS / elapsed(), unit="1/s")
