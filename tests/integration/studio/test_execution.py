"""Execution with everything real but the pipeline: database, storage, orchestrator and worker processes."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from queue_backend.messages import WorkerSpec
from queue_backend.orchestrator import Orchestrator
from studio.database.engine import Database
from studio.media.storage import MediaStorage
from studio.services import leases as leases_module
from studio.services import relay as relay_module
from studio.services.announcing import Announcer
from studio.services.delivery import Delivery
from studio.services.enhancing import PromptRewriting
from studio.services.execution import Execution
from studio.services.leases import JobLeases
from studio.services.memory_notes import MemoryNotes
from studio.services.owners import this_process
from studio.services.planned_runs import TRIED_SMALLER, PlannedRuns
from studio.services.policy import ContentPolicy
from studio.services.uploads import UploadService
from tests.planners import LADDER, WeightlessPlanner
from tests.unit.studio.desk import Desk, small_types, until


class Tickets:
    """Issues none: these tests run the lanes by hand."""

    async def issue(self, lane: str) -> None:
        """Nothing waits for it."""


class Shop:
    """A desk with workers behind it."""

    def __init__(self, folder: Path, desk: Desk) -> None:
        marks = folder / "marks"
        marks.mkdir()
        self.desk = desk
        self.marks = marks
        self.scratch = folder / "scratch"
        self.storage = MediaStorage((folder / "media").as_uri())
        self.uploads = UploadService(desk.database, self.storage, desk.limits)
        desk.leases = JobLeases(desk.database, this_process())
        specs = {
            lane: WorkerSpec(
                lane=lane,
                factory=f"tiny_painter:{factory}",
                options={"marks": str(marks)},
                environment={"PYTHONPATH": str(Path(__file__).parent)},
            )
            for lane, factory in {"sdxl": "create", "wan": "create", "qwen": "create_scribe"}.items()
        }
        self.orchestrator = Orchestrator(specs, folder / "logs")
        self.planner = WeightlessPlanner()
        self.pokes = 0
        self.tickets = Tickets()
        self.execution = Execution(
            leases=desk.leases,
            runs=PlannedRuns(self.orchestrator, self.planner, MemoryNotes(None)),
            delivery=Delivery(self.storage, "0.0"),
            references=self.uploads,
            catalog=desk.catalog,
            rewriting=PromptRewriting(ContentPolicy(("forbiddenword",)), "en"),
            scratch_root=self.scratch,
            announcer=Announcer(self.tickets, self),
        )

    def poke(self) -> None:
        self.pokes += 1

    async def run(self, lane: str = "sdxl") -> bool:
        async with asyncio.timeout(60):
            return await self.execution.run_next(lane)

    def show(self, job: dict[str, Any]) -> dict[str, Any]:
        return self.desk.jobs.get(self.desk.alice, job["id"])

    def runs_of(self, job: dict[str, Any]) -> int:
        """How often the job reached a worker."""
        mark = self.marks / job["id"]
        return mark.stat().st_size if mark.exists() else 0

    async def begin(self, job: dict[str, Any], lane: str = "sdxl") -> asyncio.Task[bool]:
        """Start the next job and wait until its worker has it."""
        task = asyncio.create_task(self.execution.run_next(lane))
        await until(lambda: self.runs_of(job))
        return task

    def scratch_folders(self) -> list[Path]:
        return list(self.scratch.iterdir()) if self.scratch.exists() else []


@pytest.fixture
async def shop(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Shop]:
    monkeypatch.setattr(leases_module, "BACKOFF_BASE_S", 0.01)
    monkeypatch.setattr(relay_module, "RENEW_INTERVAL_S", 0.1)
    monkeypatch.setattr(relay_module, "WRITE_INTERVAL_S", 0.05)
    database = Database(database_url)
    database.migrate()
    shop = Shop(tmp_path, Desk(database, small_types(), ContentPolicy()))
    yield shop
    await shop.execution.stop(0.0)
    await shop.orchestrator.stop(grace_s=0.5)
    database.close()


async def test_a_job_becomes_stored_pictures(shop: Shop):
    job = shop.desk.submit(shop.desk.alice, count=3, seed=9)
    assert await shop.run() is True

    shown = shop.show(job)
    assert (shown["status"], shown["attempt"], shown["error"]) == ("completed", 1, None)
    assert len(shown["assets"]) == 3
    for row in shop.desk.asset_rows(job["id"]):
        with Image.open(io.BytesIO(shop.storage.read(row.storage_key))) as picture:
            assert picture.size == (64, 64)
            assert picture.convert("RGB").getpixel((0, 0)) == (9 + row.index, 64, 128)
    assert shown["receipt"] == {
        "checkpoint": "tiny",
        "steps": 4,
        "prompt": "a red boat",
        "plan": asdict(LADDER[0]),
        "memory": {"planned_bytes": 0, "peak_bytes": 0, "context_bytes": 0, "working_bytes": 0},
    }
    assert shown["timings"]["denoising_s"] == 1.25
    assert shown["timings"]["decoding_s"] == 0.5
    assert {"queued_s", "loading_s", "encoding_s", "storing_s"} <= set(shown["timings"])
    assert shop.pokes >= 2
    assert shop.scratch_folders() == []


async def test_a_spare_ticket_finds_nothing(shop: Shop):
    assert await shop.run() is False


async def test_progress_is_shown_while_it_runs(shop: Shop):
    job = shop.desk.submit(shop.desk.alice, prompt="endless")
    task = await shop.begin(job)
    await until(lambda: shop.show(job)["progress"]["step"] == 3)

    shown = shop.show(job)
    assert (shown["status"], shown["stage"], shown["progress"]["fraction"]) == ("processing", "denoising", 0.6)
    assert shown["preview_url"] is not None
    assert shop.desk.jobs.preview(shop.desk.alice, job["id"]).startswith(b"RIFF")
    shop.desk.jobs.cancel(shop.desk.alice, job["id"])
    assert await task is True


async def test_a_running_job_stops_on_request_and_the_worker_lives_on(shop: Shop):
    job = shop.desk.submit(shop.desk.alice, prompt="endless")
    task = await shop.begin(job)
    pid = shop.orchestrator.status()[0].pid
    shop.desk.jobs.cancel(shop.desk.alice, job["id"])
    async with asyncio.timeout(30):
        await task

    shown = shop.show(job)
    assert (shown["status"], shown["error"], shown["assets"]) == ("cancelled", None, [])
    assert shop.scratch_folders() == []
    shop.desk.submit(shop.desk.alice)
    assert await shop.run() is True
    assert shop.orchestrator.status()[0].pid == pid


async def test_a_reference_picture_reaches_the_pipeline(shop: Shop):
    data = io.BytesIO()
    Image.new("RGB", (80, 80), (1, 2, 3)).save(data, "PNG")
    upload = shop.uploads.accept(shop.desk.alice, data.getvalue())
    job = shop.desk.submit(shop.desk.alice, image=upload["id"])
    await shop.run()

    row = shop.desk.asset_rows(job["id"])[0]
    with Image.open(io.BytesIO(shop.storage.read(row.storage_key))) as picture:
        assert picture.convert("RGB").getpixel((0, 0)) == (1, 2, 3)
    child = shop.desk.submit(shop.desk.alice, image=row.id)
    await shop.run()
    assert shop.desk.asset_rows(child["id"])[0].parent_id == row.id


async def test_a_passing_failure_is_tried_again(shop: Shop):
    job = shop.desk.submit(shop.desk.alice, prompt="hiccup")
    await shop.run()
    assert (shop.show(job)["status"], shop.show(job)["attempt"]) == ("pending", 1)
    await until(lambda: shop.desk.leases.sweep() == ["sdxl"])
    await shop.run()

    assert (shop.show(job)["status"], shop.show(job)["attempt"], shop.runs_of(job)) == ("completed", 2, 2)


async def test_a_killed_worker_costs_one_attempt(shop: Shop):
    job = shop.desk.submit(shop.desk.alice, prompt="mortal")
    await shop.run()
    assert shop.show(job)["status"] == "pending"
    await until(lambda: shop.desk.leases.sweep() == ["sdxl"])
    await shop.run()

    assert (shop.show(job)["status"], shop.runs_of(job)) == ("completed", 2)


async def test_a_job_that_always_kills_its_worker_is_poisoned_and_the_next_one_runs(shop: Shop):
    job = shop.desk.submit(shop.desk.alice, prompt="deadly")
    for _ in range(3):
        await until(lambda: shop.desk.leases.sweep() == ["sdxl"])
        assert await shop.run() is True

    shown = shop.show(job)
    assert (shown["status"], shown["error"]["code"]) == ("failed", "poisoned")
    assert "signal 9" in shown["error"]["message"]
    assert shop.scratch_folders() == []
    other = shop.desk.submit(shop.desk.alice)
    await shop.run()
    assert shop.show(other)["status"] == "completed"


async def test_a_run_out_of_memory_is_tried_once_more_under_a_smaller_plan(shop: Shop):
    job = shop.desk.submit(shop.desk.alice, prompt="a peckish fox")
    await shop.run()

    shown = shop.show(job)
    assert (shown["status"], shown["attempt"], shop.runs_of(job)) == ("completed", 1, 2)
    assert shown["receipt"]["plan"] == asdict(LADDER[1])
    assert shown["receipt"]["out_of_memory_under"] == asdict(LADDER[0])
    assert [plan for plan, _, _ in shop.planner.learned] == [LADDER[1]]


async def test_a_cancel_before_the_worker_has_heard_of_the_run_is_not_forgotten(shop: Shop):
    job = shop.desk.submit(shop.desk.alice, prompt="an endless fox")
    shop.planner.may_answer.clear()
    task = asyncio.create_task(shop.run())
    await until(shop.planner.asked.is_set)
    shop.desk.jobs.cancel(shop.desk.alice, job["id"])
    shop.execution.look_again(job["id"])
    await asyncio.sleep(0.5)  # the wish has reached the run, which nobody but its caller knows of
    shop.planner.may_answer.set()
    await task

    assert (shop.show(job)["status"], shop.runs_of(job)) == ("cancelled", 0)


async def test_a_second_time_out_of_memory_is_the_last(shop: Shop):
    job = shop.desk.submit(shop.desk.alice, prompt="a greedy fox")
    await shop.run()

    assert (shop.show(job)["status"], shop.runs_of(job)) == ("failed", 2)
    assert shop.show(job)["assets"] == []


@pytest.mark.parametrize(
    ("prompt", "code", "sentence"),
    [
        ("greedy", "out_of_memory", f"Too little memory. Try a smaller picture. {TRIED_SMALLER}"),
        ("buggy", "internal", None),
    ],
)
async def test_a_failure_reaches_the_person_in_words_and_the_log_with_the_jobs_id(
    shop: Shop, caplog: pytest.LogCaptureFixture, prompt: str, code: str, sentence: str | None
):
    job = shop.desk.submit(shop.desk.alice, prompt=prompt)
    await shop.run()

    shown = shop.show(job)
    assert (shown["status"], shown["error"]["code"]) == ("failed", code)
    assert sentence is None or shown["error"]["message"] == sentence
    assert "Traceback" not in shown["error"]["message"]
    logged = [record for record in caplog.records if job["id"] in record.getMessage()]
    assert any("Traceback" in logging.Formatter().format(record) for record in logged)


async def test_a_worker_that_delivers_something_else_fails_the_job_at_once_with_nothing_stored(shop: Shop):
    job = shop.desk.submit(shop.desk.alice, prompt="liar")
    await shop.run()

    shown = shop.show(job)
    assert shown["attempt"] == 1
    assert (shown["status"], shown["error"]["code"], shown["assets"]) == ("failed", "storage_error", [])


async def test_a_reference_that_was_deleted_meanwhile_fails_the_job_in_words(shop: Shop):
    source = shop.desk.submit(shop.desk.alice)
    await shop.run()
    picture = shop.desk.asset_rows(source["id"])[0].id
    job = shop.desk.submit(shop.desk.alice, image=picture)
    shop.storage.delete([shop.desk.asset_rows(source["id"])[0].storage_key])
    await shop.run()

    assert (shop.show(job)["status"], shop.show(job)["error"]["code"]) == ("failed", "invalid_input")
    assert shop.runs_of(job) == 0


async def test_a_worker_whose_job_was_taken_over_is_stopped_and_delivers_nothing(shop: Shop):
    job = shop.desk.submit(shop.desk.alice, prompt="endless")
    task = await shop.begin(job)
    shop.desk.expire(job["id"])
    with shop.desk.database.as_system() as session:
        session.merge(shop.desk.row(job["id"])).lease_token = "another's"
    async with asyncio.timeout(30):
        assert await task is True

    row = shop.desk.row(job["id"])
    assert (row.status, row.lease_token) == ("processing", "another's")
    assert shop.desk.asset_rows(job["id"]) == []


async def test_the_lease_is_kept_while_no_progress_arrives(shop: Shop):
    shop.desk.leases._lease_s = 1.0
    job = shop.desk.submit(shop.desk.alice, prompt="endless")
    task = await shop.begin(job)
    token = shop.desk.row(job["id"]).lease_token
    for _ in range(15):
        await asyncio.sleep(0.1)
        shop.desk.leases.sweep()
    assert shop.desk.row(job["id"]).lease_token == token
    shop.desk.jobs.cancel(shop.desk.alice, job["id"])
    await task


async def test_a_caller_that_leaves_leaves_the_job_running(shop: Shop):
    job = shop.desk.submit(shop.desk.alice)
    caller = asyncio.create_task(shop.execution.run_next("sdxl"))
    await until(lambda: shop.show(job)["status"] != "pending")
    caller.cancel()
    await until(lambda: shop.show(job)["status"] == "completed")


async def test_stopping_lets_a_short_job_finish(shop: Shop):
    job = shop.desk.submit(shop.desk.alice)
    task = await shop.begin(job)
    await shop.execution.stop(30.0)

    assert await task is True
    assert shop.show(job)["status"] == "completed"
    shop.desk.submit(shop.desk.alice)
    assert await shop.run() is False, "a studio that stops takes no more jobs"


async def test_stopping_gives_a_long_job_back_unspent(shop: Shop):
    job = shop.desk.submit(shop.desk.alice, prompt="endless")
    await shop.begin(job)
    await shop.execution.stop(0.1)

    shown = shop.show(job)
    assert (shown["status"], shown["attempt"], shown["error"], shown["stage"]) == ("pending", 0, None, "queued")
    await until(lambda: shop.scratch_folders() == [])
    assert shop.desk.leases.claim("sdxl") is not None, "it may start again at once"


async def test_a_prompt_is_rewritten_and_the_picture_made_from_it(shop: Shop):
    job = shop.desk.submit(shop.desk.alice, job_type="image7b_fast_enhanced")
    assert await shop.run("wan") is False
    assert await shop.run("qwen") is True

    between = shop.show(job)
    assert (between["status"], between["lane"]) == ("pending", "wan")
    assert between["enhanced_prompt"] == "a red boat, in soft light"
    assert 0 < between["progress"]["fraction"] < 0.5
    assert await shop.run("wan") is True
    done = shop.show(job)
    assert (done["status"], done["prompt"]) == ("completed", "a red boat")
    assert done["receipt"]["prompt"] == "a red boat, in soft light"
    assert {"queued_s", "enhancing_s", "denoising_s", "storing_s"} <= set(done["timings"])
    assert shop.scratch_folders() == []


@pytest.mark.parametrize(
    ("prompt", "words"), [("an unusable boat", "had lost its subject"), ("a sly boat", "does not allow")]
)
async def test_an_unusable_rewriting_is_not_used_and_the_job_says_so(shop: Shop, prompt: str, words: str):
    job = shop.desk.submit(shop.desk.alice, job_type="image7b_fast_enhanced", prompt=prompt)
    await shop.run("qwen")
    await shop.run("wan")

    shown = shop.show(job)
    assert (shown["status"], shown["enhanced_prompt"]) == ("completed", None)
    assert words in shown["note"]
    assert shown["receipt"]["prompt"] == prompt


async def test_a_job_cancelled_while_it_is_rewritten_ends_there(shop: Shop):
    job = shop.desk.submit(shop.desk.alice, job_type="image7b_fast_enhanced", prompt="an endless boat")
    run = await shop.begin(job, "qwen")
    shop.desk.jobs.cancel(shop.desk.alice, job["id"])
    await run

    assert shop.show(job)["status"] == "cancelled"
    assert await shop.run("wan") is False


async def test_a_writer_that_dies_is_replaced_and_the_prompt_written(shop: Shop):
    job = shop.desk.submit(shop.desk.alice, job_type="image7b_fast_enhanced", prompt="a mortal boat")
    await shop.run("qwen")
    shop.desk.make_due(job["id"])
    await shop.run("qwen")

    assert shop.show(job)["enhanced_prompt"] == "a mortal boat, in soft light"
    assert shop.show(job)["attempt"] == 0
