"""The whole program, started as a person starts it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from gradio_client import Client

from tests.postgres import chosen_database_url

ROOT = Path(__file__).parent.parent
START_TIMEOUT_S = 90
JOB_TIMEOUT_S = 180
CLIENT_TIMEOUT_S = 60
"""For a request of the Python client, which gives a server 5 s by itself: too little on a machine full of tests."""
ENDED = {"completed", "failed", "cancelled"}


class StudioServer:
    """`python app.py` as a process of its own with a data folder of its own, which can be killed and started again.

    `environment` is added to its settings. Where it names no database, it is one of the kind that the run is for.
    """

    def __init__(self, data_dir: Path, **environment: str) -> None:
        self.data_dir = data_dir
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("STUDIO_", "GRADIO_"))}
        database_url = environment.get("STUDIO_DATABASE_URL") or chosen_database_url()
        self.environment = kept | {
            "STUDIO_PORT": str(self.port),
            "STUDIO_DATA_DIR": str(data_dir),
            "STUDIO_MODELS": "demo",
            **({"STUDIO_DATABASE_URL": database_url} if database_url else {}),
            **environment,
        }
        self.log_path = data_dir.with_suffix(".log")
        self.process: subprocess.Popen[bytes] | None = None
        self.client = httpx.Client(base_url=self.url, timeout=90)

    def start(self) -> StudioServer:
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "app.py"], cwd=ROOT, env=self.environment, stdout=log, stderr=log
            )
        wait_for(self.is_ready, START_TIMEOUT_S, lambda: "the studio did not start:\n" + self.log_tail())
        return self

    def is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log_tail()
        try:
            return self.client.get("/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def stop(self, how: signal.Signals = signal.SIGTERM, timeout_s: float = 60) -> int:
        """Send a signal, wait for the end and return the exit code."""
        assert self.process is not None
        self.client.close()
        self.client = httpx.Client(base_url=self.url, timeout=90)  # connections die with the server
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(timeout_s)

    def children(self) -> list[psutil.Process]:
        """The worker processes."""
        assert self.process is not None
        children: list[psutil.Process] = psutil.Process(self.process.pid).children(recursive=True)
        return children

    def log_tail(self, lines: int = 40) -> str:
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])

    # The REST client that most tests need.

    def submit(self, prompt: str = "a red balloon over the sea at sunset", **fields: Any) -> dict[str, Any]:
        answer = self.client.post("/api/queue-job", json={"prompt": prompt, **fields})
        assert answer.status_code == 201, answer.text
        job: dict[str, Any] = answer.json()
        return job

    def job(self, job_id: str) -> dict[str, Any]:
        job: dict[str, Any] = self.client.get(f"/api/jobs/{job_id}").raise_for_status().json()
        return job

    def wait_until(self, job_id: str, done: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Poll the job until `done(job)`; fails when the job ends without it or takes too long."""
        seen: dict[str, Any] = {}

        def reached() -> bool:
            seen.update(self.job(job_id))
            assert done(seen) or seen["status"] not in ENDED, seen
            return done(seen)

        wait_for(reached, JOB_TIMEOUT_S, lambda: f"the job stands at {seen}\n{self.log_tail()}")
        return seen

    def wait_ended(self, job_id: str) -> dict[str, Any]:
        """The job once it has ended, as soon as the studio says so."""
        answer = self.client.get(f"/api/jobs/{job_id}/wait", params={"timeout_s": 60})
        job: dict[str, Any] = answer.raise_for_status().json()
        assert job["status"] in ENDED, job
        return job

    def wait_completed(self, job_id: str) -> dict[str, Any]:
        return self.wait_until(job_id, lambda job: job["status"] == "completed")


def client_of(url: str, **options: Any) -> Client:
    """Gradio's Python client of the studio at `url`, with `options` of `Client`."""
    return Client(url, verbose=False, httpx_kwargs={"timeout": CLIENT_TIMEOUT_S}, **options)


def wait_for(ready: Callable[[], bool], timeout_s: float, explain: Callable[[], str] = lambda: "timed out") -> None:
    """Ask `ready` ten times a second until it says yes; fail with `explain()` after `timeout_s` seconds."""
    deadline = time.monotonic() + timeout_s
    while not ready():
        if time.monotonic() > deadline:
            pytest.fail(explain())
        time.sleep(0.1)
