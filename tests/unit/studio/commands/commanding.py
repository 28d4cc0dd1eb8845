"""The program's commands, as processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from studio.settings import Settings
from tests.live import ROOT

TOKEN = "hf_of_the_tests"


class Commands:
    """Runs `python app.py` with a hub and a data folder; ends what still runs in the end."""

    def __init__(self, hub_url: str, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.settings = Settings(data_dir=data_dir, models="full")
        ours = ("STUDIO_", "GRADIO_", "HF_", "HUGGING", "SPACE_", "RUNPOD_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        self.environment = kept | {
            "HF_ENDPOINT": hub_url,
            "HF_HOME": str(data_dir.with_name("hf")),
            "HF_TOKEN": TOKEN,
            "NO_PROXY": "127.0.0.1",
            "OMP_NUM_THREADS": "1",
            "STUDIO_DATA_DIR": str(data_dir),
            "STUDIO_MODELS": "full",
        }
        self._started: list[subprocess.Popen[str]] = []

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "app.py", *arguments],
            cwd=ROOT,
            env=self.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._started.append(process)
        return process

    def run(self, *arguments: str, **environment: str) -> tuple[int, str, str]:
        """The exit code, what was printed, and what was complained of."""
        process = self.start(*arguments, **environment)
        output, complaint = process.communicate(timeout=50)
        return process.returncode, output, complaint

    def end(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.communicate()
