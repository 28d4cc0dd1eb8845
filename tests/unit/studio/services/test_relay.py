from __future__ import annotations

import asyncio
import time

import pytest

from pipelines.contract import Progress, Stage
from studio.services import relay as relay_module
from studio.services.relay import Relay, StageClock
from tests.unit.studio.desk import until


class Line:
    """A relay between one claimed job and a run that only counts how often it was stopped."""

    def __init__(self, desk) -> None:
        self.job = desk.submit(desk.alice)
        self.claim = desk.claim()
        self.pokes = 0
        self.stops = 0
        self.relay = Relay(desk.leases, self.claim, self.poke, self.stop)

    def poke(self) -> None:
        self.pokes += 1

    async def stop(self) -> None:
        self.stops += 1


@pytest.fixture
def line(desk) -> Line:
    return Line(desk)


def _denoising(step: int, preview: bytes | None = None) -> Progress:
    return Progress(stage=Stage.DENOISING, fraction=step / 10, step=step, steps=10, preview=preview)


async def test_of_fast_reports_the_last_of_each_stage_is_written(desk, line):
    for step in range(1, 9):
        await line.relay.report(_denoising(step))
    await line.relay.report(Progress(stage=Stage.DECODING, fraction=0.9))
    written = []
    renew = desk.leases.renew
    desk.leases.renew = lambda claim, progress, timings: (written.append(progress), renew(claim, progress, timings))[1]
    await line.relay.flush()

    assert [(progress.stage, progress.step) for progress in written] == [(Stage.DENOISING, 8), (Stage.DECODING, 0)]
    assert line.pokes == 2
    await line.relay.flush()
    assert len(written) == 2, "nothing is written twice"


async def test_a_preview_is_not_lost_to_a_later_report_without_one(desk, line):
    await line.relay.report(_denoising(1, preview=b"first"))
    await line.relay.report(_denoising(2))
    await line.relay.flush()

    assert desk.jobs.preview(desk.alice, line.job["id"]) == b"first"
    assert desk.row(line.job["id"]).step == 2


async def test_a_report_never_waits_for_the_database(desk, line):
    with desk.database.as_system():
        async with asyncio.timeout(5):
            for step in range(100):
                await line.relay.report(_denoising(step))


async def test_without_progress_the_lease_is_renewed_and_a_wish_to_stop_heard_once(desk, line, monkeypatch):
    monkeypatch.setattr(relay_module, "RENEW_INTERVAL_S", 0.02)
    monkeypatch.setattr(relay_module, "WRITE_INTERVAL_S", 0.0)
    desk.expire(line.job["id"])
    task = asyncio.create_task(line.relay.run())
    await until(lambda: (desk.row(line.job["id"]).lease_expires_at or 0) > time.time())
    assert line.stops == 0
    desk.jobs.cancel(desk.alice, line.job["id"])
    await until(lambda: line.stops)
    await asyncio.sleep(0.2)
    task.cancel()
    await asyncio.wait([task])

    assert line.stops == 1
    assert line.relay.cancel_requested
    assert line.pokes == 0


async def test_a_hurried_relay_hears_the_wish_at_once(desk, line, monkeypatch):
    monkeypatch.setattr(relay_module, "RENEW_INTERVAL_S", 600.0)
    monkeypatch.setattr(relay_module, "WRITE_INTERVAL_S", 600.0)
    task = asyncio.create_task(line.relay.run())
    await line.relay.report(_denoising(1))
    await until(lambda: desk.row(line.job["id"]).step == 1)
    desk.jobs.cancel(desk.alice, line.job["id"])
    assert desk.hurried == [line.job["id"]]
    line.relay.hurry()
    await until(lambda: line.stops)
    task.cancel()
    await asyncio.wait([task])

    assert line.relay.cancel_requested


async def test_a_lost_lease_stops_the_run_once_and_is_logged(desk, line, caplog):
    desk.leases.hand_back(line.claim)
    await line.relay.report(_denoising(1))
    await line.relay.run()
    await line.relay.report(_denoising(2))
    await line.relay.flush()

    assert (line.stops, line.relay.lost) == (1, True)
    assert line.job["id"] in caplog.text
    assert desk.row(line.job["id"]).fraction == 0


async def test_a_database_that_is_away_for_a_moment_does_not_stop_the_run(desk, line, caplog):
    with desk.database.engine.begin() as connection:
        connection.exec_driver_sql("alter table change_counter rename to hidden")
    await line.relay.report(_denoising(1))
    await line.relay.flush()
    assert line.job["id"] in caplog.text
    with desk.database.engine.begin() as connection:
        connection.exec_driver_sql("alter table hidden rename to change_counter")
    await line.relay.report(_denoising(2))
    await line.relay.flush()

    assert (line.stops, desk.row(line.job["id"]).step) == (0, 2)


def test_the_stage_clock_adds_up_what_each_stage_took():
    now = [100.0]
    clock = StageClock(lambda: now[0])
    assert clock.timings() == {}
    for stage, seconds in (("loading", 2.0), ("denoising", 3.0), ("denoising", 1.0), ("loading", 0.5)):
        clock.enter(stage)
        now[0] += seconds

    assert clock.timings() == {"loading_s": 2.5, "denoising_s": 4.0}
