"""Nothing that was asked for is lost: not by a dead worker, a dead server or a clean stop."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.live import StudioServer, wait_for

pytestmark = pytest.mark.faults
LONG: dict[str, Any] = {"width": 64, "height": 64, "steps": 60, "count": 3}
"""An order with enough steps that there is time to kill somebody before it is done, small enough not to take long."""
SHORT: dict[str, Any] = {"width": 64, "height": 64, "steps": 4, "count": 1}
MakeStudio = Callable[..., StudioServer]


def mid_denoising(job: dict[str, object]) -> bool:
    progress = job["progress"]
    assert isinstance(progress, dict)
    return job["stage"] == "denoising" and progress["step"] >= 2


def assets_of(server: StudioServer, job_id: str) -> list[dict[str, object]]:
    items = httpx.get(f"{server.url}/api/assets", params={"limit": 200}).raise_for_status().json()["items"]
    return [item for item in items if item["job_id"] == job_id]


def worker_pids(server: StudioServer) -> list[int]:
    return [child.pid for child in server.children() if "queue_backend.worker" in " ".join(child.cmdline())]


def worker_of(server: StudioServer, lane: str) -> int:
    """The process id of the lane's only worker."""
    workers = server.client.get("/api/system").raise_for_status().json()["workers"]
    (pid,) = [worker["pid"] for worker in workers if worker["lane"] == lane]
    return int(pid)


def test_a_killed_worker_costs_one_attempt_and_no_picture(make_studio: MakeStudio) -> None:
    server = make_studio()
    job_id = server.submit(**LONG)["id"]
    server.wait_until(job_id, mid_denoising)

    os.kill(worker_of(server, "sdxl"), signal.SIGKILL)
    job = server.wait_completed(job_id)

    assert job["attempt"] == 2
    assert len(job["assets"]) == LONG["count"]
    assert sorted(asset["index"] for asset in assets_of(server, job_id)) == list(range(LONG["count"]))
    assert "signal 9" in server.log_path.read_text()


def test_a_film_whose_worker_and_server_are_killed_is_made_without_rewriting_again(make_studio: MakeStudio) -> None:
    server = make_studio()
    job_id = server.submit("boat at night", job_type="video7b_high_enhanced", steps=30)["id"]
    server.wait_until(job_id, lambda job: job["lane"] == "wan" and mid_denoising(job))
    written = server.job(job_id)["enhanced_prompt"]
    os.kill(worker_of(server, "wan"), signal.SIGKILL)
    server.wait_until(job_id, lambda job: job["attempt"] == 2 and mid_denoising(job))
    server.stop(signal.SIGKILL)
    server.start()
    job = server.wait_completed(job_id)

    assert (job["lane"], job["attempt"], job["enhanced_prompt"]) == ("wan", 3, written)
    assert len(job["assets"]) == len(assets_of(server, job_id)) == 1
    assert server.log_path.read_text().count(f"Job {job_id} goes on to lane wan") == 1


def test_twenty_pending_jobs_survive_a_killed_server(make_studio: MakeStudio) -> None:
    server = make_studio()
    ids = [server.submit(f"a blue boat, number {number}", **SHORT)["id"] for number in range(20)]
    server.wait_completed(ids[0])
    server.stop(signal.SIGKILL)

    server.start()
    jobs = [server.wait_completed(job_id) for job_id in ids]

    assert [len(job["assets"]) for job in jobs] == [1] * 20
    assert len({asset for job in jobs for asset in job["assets"]}) == 20
    stored = list((server.data_dir / "media" / "sdxl_image_fast").rglob("*.png"))
    assert len(stored) == 20


def test_workers_die_with_their_server(make_studio: MakeStudio) -> None:
    server = make_studio()
    job_id = server.submit(**LONG)["id"]
    server.wait_until(job_id, mid_denoising)
    pids = worker_pids(server)

    server.stop(signal.SIGKILL)

    assert pids
    wait_for(lambda: not any(psutil.pid_exists(pid) for pid in pids), 20, lambda: f"one of {pids} is still there")


def test_a_clean_stop_hands_back_what_runs(make_studio: MakeStudio) -> None:
    server = make_studio(STUDIO_STOP_GRACE_S="0.1")
    job_id = server.submit(**LONG)["id"]
    server.wait_until(job_id, mid_denoising)
    pids = worker_pids(server)

    assert server.stop(signal.SIGTERM) == 0
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert "Traceback" not in server.log_path.read_text()

    server.start()
    job = server.wait_completed(job_id)
    assert job["attempt"] == 1, "a stop of the studio must not cost the job an attempt"
    assert len(job["assets"]) == LONG["count"]


def test_no_scratch_files_are_left(make_studio: MakeStudio) -> None:
    server = make_studio()
    server.wait_completed(server.submit(**SHORT)["id"])
    assert [path for path in (server.data_dir / "scratch").rglob("*") if path.is_file()] == []


def test_the_web_process_is_small_and_holds_no_torch(make_studio: MakeStudio) -> None:
    server = make_studio()
    server.wait_completed(server.submit(**SHORT)["id"])
    assert server.process is not None
    process = psutil.Process(server.process.pid)
    assert "libtorch" not in Path(f"/proc/{process.pid}/maps").read_text()
    assert process.memory_info().rss < 350 * 2**20
