"""The studio as it is put together: its own tasks, which nothing waits for while it runs."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from studio.bootstrap import build
from studio.services.sweeper import Sweeper
from studio.settings import Settings


class BrokenSweeper(Sweeper):
    async def run(self) -> None:
        raise RuntimeError("a fault that nobody foresaw")


async def test_a_task_of_the_studio_that_fails_is_told_and_the_studio_still_stops(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    studio = build(Settings(data_dir=tmp_path, models="demo"))
    sweeper = BrokenSweeper(studio.leases, studio.announcer, tmp_path / "scratch")
    async with replace(studio, sweeper=sweeper, lanes={}).running():
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert "The studio's sweeper has failed." in caplog.text
    assert "a fault that nobody foresaw" in caplog.text
