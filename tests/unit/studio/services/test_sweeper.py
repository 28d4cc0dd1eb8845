from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from studio.errors import StorageFailed
from studio.services import sweeper as sweeper_module
from studio.services.sweeper import SCRATCH_KEPT_S, Sweeper
from tests.unit.studio.desk import until


async def test_the_sweep_announces_lanes_whose_tickets_were_lost(desk, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(sweeper_module, "SWEEP_INTERVAL_S", 0.01)
    desk.submit(desk.alice)
    announced: list[str] = []
    task = asyncio.create_task(Sweeper(desk.leases, announced.append, tmp_path / "none").run())
    await until(lambda: announced)
    task.cancel()
    await asyncio.wait([task])

    assert set(announced) == {"sdxl"}


async def test_at_the_start_every_waiting_job_gets_a_ticket(desk, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(sweeper_module, "SWEEP_INTERVAL_S", 60)
    for _ in range(3):
        desk.submit(desk.alice)
    desk.claim()
    announced: list[str] = []
    task = asyncio.create_task(Sweeper(desk.leases, announced.append, tmp_path / "none").run())
    await until(lambda: len(announced) >= 2)
    task.cancel()
    await asyncio.wait([task])

    assert announced == ["sdxl", "sdxl"]


async def test_a_failed_sweep_is_logged_and_the_next_one_tries_again(desk, tmp_path: Path, monkeypatch, caplog):
    monkeypatch.setattr(sweeper_module, "SWEEP_INTERVAL_S", 0.01)
    desk.submit(desk.alice)
    with desk.database.engine.begin() as connection:
        connection.exec_driver_sql("alter table jobs rename to hidden")
    announced: list[str] = []
    task = asyncio.create_task(Sweeper(desk.leases, announced.append, tmp_path / "none").run())
    await until(lambda: "sweep failed" in caplog.text)
    with desk.database.engine.begin() as connection:
        connection.exec_driver_sql("alter table hidden rename to jobs")
    await until(lambda: announced)
    task.cancel()
    await asyncio.wait([task])


async def test_cleaning_goes_on_after_a_failure_and_beside_the_sweep(desk, tmp_path: Path, monkeypatch, caplog):
    monkeypatch.setattr(sweeper_module, "SWEEP_INTERVAL_S", 0.01)
    monkeypatch.setattr(sweeper_module, "CLEAN_INTERVAL_S", 0.01)
    desk.submit(desk.alice)
    announced: list[str] = []
    rounds: list[int] = []

    def clean() -> None:
        rounds.append(len(rounds))
        if len(rounds) == 1:
            raise StorageFailed("No answer.")

    task = asyncio.create_task(Sweeper(desk.leases, announced.append, tmp_path / "none", clean).run())
    await until(lambda: len(rounds) >= 2 and announced)
    task.cancel()
    await asyncio.wait([task])

    assert task.cancelled()
    assert "No answer." in caplog.text


def test_tidying_removes_old_scratch_folders_of_no_running_attempt(desk, tmp_path: Path):
    desk.submit(desk.alice)
    running = desk.claim().lease_token
    old = time.time() - SCRATCH_KEPT_S - 10
    for name, changed in ((running, old), ("left-behind", old), ("fresh", time.time())):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.png").write_bytes(b"x")
        os.utime(tmp_path / name, (changed, changed))

    Sweeper(desk.leases, lambda lane: None, tmp_path).tidy()

    assert {folder.name for folder in tmp_path.iterdir() if folder.suffix != ".db"} >= {running, "fresh"}
    assert not (tmp_path / "left-behind").exists()
