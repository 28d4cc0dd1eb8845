"""A parent that starts a computing worker, prints the worker's id and waits to be killed."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from queue_backend.messages import WorkerSpec
from queue_backend.orchestrator import Orchestrator


async def main(log_dir: Path) -> None:
    environment = {"PYTHONPATH": str(Path(__file__).parent)}
    spec = WorkerSpec(lane="lane", factory="runnables:Waits", environment=environment)
    orchestrator = Orchestrator({"lane": spec}, log_dir)

    async def on_progress(progress: Any) -> None:
        if progress == "running":
            print(orchestrator.status()[0].pid, flush=True)

    await orchestrator.run("lane", "run", "deaf", on_progress)


asyncio.run(main(Path(sys.argv[1])))
