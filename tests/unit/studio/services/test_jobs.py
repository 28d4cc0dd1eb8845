from __future__ import annotations

import logging
import threading
import time
from datetime import datetime

import pytest

from pipelines.contract import Progress, Stage
from studio.database.schema import Project, Upload
from studio.errors import Conflict, InvalidInput, NotFound, PolicyRefused

UNKNOWN = "01890000-0000-7000-8000-000000000000"


def test_a_new_job_has_the_contracts_shape(desk):
    job = desk.submit(desk.alice, prompt="a red boat", seed=7)

    assert set(job) >= {
        *("id", "type", "status", "stage", "prompt", "negative_prompt", "enhanced_prompt", "config", "user_id"),
        *("project_id", "attempt", "created_at", "started_at", "finished_at", "progress", "timings", "error", "assets"),
    }
    assert (job["type"], job["status"], job["stage"], job["attempt"]) == ("sdxl_image_fast", "pending", "queued", 0)
    config = job["config"]
    assert (config["width"], config["height"], config["steps"], config["guidance"]) == (64, 64, 4, 0.0)
    assert (config["seed"], config["count"], config["scheduler"]) == (7, 1, "euler")
    assert job["user_id"] == desk.alice.id
    assert job["progress"] == {"fraction": 0.0, "step": 0, "steps": 0, "queue_position": 0, "eta_s": 4.0}
    assert (job["error"], job["assets"], job["timings"], job["started_at"]) == (None, [], {}, None)
    created = datetime.fromisoformat(job["created_at"])
    assert abs(created.timestamp() - time.time()) < 60
    assert job["created_at"].endswith("Z")


def test_orders_are_announced_after_they_can_be_seen(desk):
    seen = []
    desk.jobs._announce = lambda lane: seen.append((lane, desk.leases.claim(lane)))
    job = desk.submit(desk.alice)

    assert [(lane, claim.job_id) for lane, claim in seen] == [("sdxl", job["id"])]


def test_a_seed_is_chosen_where_none_is_given(desk):
    seeds = {desk.submit(desk.alice)["config"]["seed"] for _ in range(3)}

    assert len(seeds) == 3
    assert all(0 <= seed < 2**32 for seed in seeds)


def test_the_policy_reads_both_prompts(desk):
    for fields in (
        {"prompt": "a forbiddenword"},
        {"prompt": "a child on a beach", "negative_prompt": "clothes"},
    ):
        with pytest.raises(PolicyRefused):
            desk.submit(desk.alice, **fields)
    assert desk.jobs.list(desk.alice)["items"] == []
    assert desk.announced == []


def test_references_must_be_ones_own(desk):
    with desk.database.as_system() as session:
        shelf = Project(user_id=desk.bob.id, name="shelf", created_at=0.0)
        upload = Upload(user_id=desk.bob.id, storage_key="x", width=64, height=64, bytes=1, created_at=0.0)
        session.add_all([shelf, upload])
    made = desk.submit(desk.bob)
    desk.deliver(desk.claim())
    asset = desk.asset_rows(made["id"])[0].id

    for fields, field in (
        ({"project": shelf.id}, "project"),
        ({"project": UNKNOWN}, "project"),
        ({"image": upload.id}, "image"),
        ({"image": asset}, "image"),
        ({"image": UNKNOWN}, "image"),
    ):
        with pytest.raises(NotFound) as refused:
            desk.submit(desk.alice, **fields)
        assert refused.value.field == field
    with pytest.raises(NotFound) as refused:
        desk.submit(desk.bob, image=upload.id, mask=UNKNOWN)
    assert refused.value.field == "mask"

    job = desk.submit(desk.bob, project=shelf.id, image=asset, mask=upload.id)
    assert (job["project_id"], job["config"]["image"], job["config"]["mask"]) == (shelf.id, asset, upload.id)


def test_the_same_key_gives_the_first_job(desk):
    first = desk.submit(desk.alice, key="k", prompt="one")

    assert desk.submit(desk.alice, key="k", prompt="two")["id"] == first["id"]
    assert desk.submit(desk.bob, key="k")["id"] != first["id"]
    assert desk.submit(desk.alice, key="l")["id"] != first["id"]
    assert len(desk.announced) == 3


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_a_key_has_a_sensible_length(desk, key):
    with pytest.raises(InvalidInput):
        desk.submit(desk.alice, key=key)


def test_two_orders_with_one_key_at_once_make_one_job(desk):
    start = threading.Barrier(8)
    ids = []

    def order() -> None:
        start.wait()
        ids.append(desk.submit(desk.alice, key="k")["id"])

    threads = [threading.Thread(target=order) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(ids) == 8
    assert len(set(ids)) == 1
    assert len(desk.jobs.list(desk.alice)["items"]) == 1


def test_pages_hold_every_job_once_newest_first(desk):
    ids = [desk.submit(desk.alice)["id"] for _ in range(7)]
    desk.submit(desk.bob)

    pages, cursor = [], None
    while True:
        page = desk.jobs.list(desk.alice, limit=3, cursor=cursor)
        pages.append([job["id"] for job in page["items"]])
        desk.submit(desk.alice)  # what arrives meanwhile shifts nothing
        cursor = page["next"]
        if cursor is None:
            break

    assert [len(page) for page in pages] == [3, 3, 1]
    assert [job_id for page in pages for job_id in page] == ids[::-1]


def test_a_full_last_page_has_no_next(desk):
    for _ in range(3):
        desk.submit(desk.alice)

    assert desk.jobs.list(desk.alice, limit=3)["next"] is None


def test_lists_can_be_filtered(desk):
    waiting = desk.submit(desk.alice, job_type="sdxl_image_high")["id"]
    cancelled = desk.submit(desk.alice)["id"]
    desk.jobs.cancel(desk.alice, cancelled)

    def ids(**filters):
        return [job["id"] for job in desk.jobs.list(desk.alice, **filters)["items"]]

    assert ids(status="pending") == [waiting]
    assert ids(job_type="sdxl_image_fast") == [cancelled]
    assert ids(status="completed") == []


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"status": "done"}, "status"),
        ({"job_type": "paint"}, "job_type"),
        ({"limit": 0}, "limit"),
        ({"limit": 201}, "limit"),
        ({"cursor": "' or 1=1"}, "cursor"),
        ({"cursor": ""}, "cursor"),
    ],
)
def test_a_wrong_filter_is_named(desk, fields, field):
    with pytest.raises(InvalidInput) as refused:
        desk.jobs.list(desk.alice, **fields)

    assert refused.value.field == field
    assert refused.value.message.endswith(".")


def test_a_list_takes_the_same_statements_however_long(desk, count_statements):
    for _ in range(3):
        desk.submit(desk.alice)
        desk.submit(desk.alice, job_type="sdxl_image_high")
    desk.deliver(desk.claim())
    desk.claim()
    desk.jobs.list(desk.alice)
    with count_statements() as few:
        desk.jobs.list(desk.alice, limit=4)
    for _ in range(30):
        desk.submit(desk.alice)
    with count_statements() as many:
        assert len(desk.jobs.list(desk.alice)["items"]) == 36

    assert len(many) <= len(few) + 1
    assert len(many) <= 8


def test_cancelling_a_waiting_job_ends_it_at_once(desk):
    job = desk.submit(desk.alice)
    shown = desk.jobs.cancel(desk.alice, job["id"])

    assert shown["status"] == "cancelled"
    assert shown["finished_at"] is not None
    assert desk.leases.claim("sdxl") is None
    revision = desk.row(job["id"]).revision
    assert desk.jobs.cancel(desk.alice, job["id"]) == shown
    assert desk.row(job["id"]).revision == revision


def test_cancelling_a_running_job_asks_it_to_stop(desk):
    job = desk.submit(desk.alice)
    claim = desk.claim()
    shown = desk.jobs.cancel(desk.alice, job["id"])

    assert (shown["status"], shown["cancel_requested"]) == ("processing", True)
    assert desk.leases.renew(claim, None, {}) is True


def test_an_ended_job_cannot_be_cancelled(desk):
    job = desk.submit(desk.alice)
    desk.deliver(desk.claim())

    with pytest.raises(Conflict, match="already completed"):
        desk.jobs.cancel(desk.alice, job["id"])


def test_a_retried_job_starts_over_with_the_same_seed(desk):
    job = desk.submit(desk.alice)
    claim = desk.claim()
    desk.leases.renew(claim, Progress(stage=Stage.DENOISING, fraction=0.7, preview=b"x"), {})
    desk.leases.fail(claim, "internal", "Broken.", transient=False)
    before = desk.row(job["id"])
    shown = desk.jobs.retry(desk.alice, job["id"])

    assert (shown["status"], shown["stage"], shown["attempt"], shown["error"]) == ("pending", "queued", 0, None)
    assert (shown["config"], shown["finished_at"], shown["progress"]["fraction"]) == (job["config"], None, 0.0)
    assert desk.row(job["id"]).revision > before.revision
    assert desk.announced == ["sdxl", "sdxl"]
    again = desk.claim()
    assert (again.job_id, again.attempt) == (job["id"], 1)
    desk.deliver(again)
    assert desk.jobs.get(desk.alice, job["id"])["timings"]["queued_s"] < 60


def test_a_retried_job_goes_to_the_end_of_its_persons_jobs(desk):
    first = desk.submit(desk.alice)["id"]
    desk.jobs.cancel(desk.alice, first)
    second = desk.submit(desk.alice)["id"]
    desk.jobs.retry(desk.alice, first)

    assert [desk.claim().job_id, desk.claim().job_id] == [second, first]


def test_a_cancelled_running_job_can_be_retried_and_is_not_cancelled_again(desk):
    job = desk.submit(desk.alice)
    claim = desk.claim()
    desk.jobs.cancel(desk.alice, job["id"])
    desk.leases.cancelled(claim)
    desk.jobs.retry(desk.alice, job["id"])

    assert desk.leases.renew(desk.claim(), None, {}) is False


@pytest.mark.parametrize("status", ["pending", "processing", "completed"])
def test_only_failed_and_cancelled_jobs_can_be_retried(desk, status):
    job = desk.submit(desk.alice)
    if status != "pending":
        claim = desk.claim()
    if status == "completed":
        desk.deliver(claim)

    with pytest.raises(Conflict, match=status):
        desk.jobs.retry(desk.alice, job["id"])


def test_somebody_elses_job_and_an_unknown_one_are_the_same(desk):
    job = desk.submit(desk.bob)
    desk.leases.renew(desk.claim(), Progress(stage=Stage.DENOISING, fraction=0.5, preview=b"x"), {})
    calls = (desk.jobs.get, desk.jobs.cancel, desk.jobs.retry, desk.jobs.preview)
    before = desk.row(job["id"]).revision

    for call in calls:
        answers = []
        for job_id in (job["id"], UNKNOWN, "no id at all"):
            with pytest.raises(NotFound) as refused:
                call(desk.alice, job_id)
            answers.append(refused.value.as_json())
        assert answers[0] == answers[1] == answers[2], call
    assert desk.jobs.list(desk.alice)["items"] == []
    assert desk.jobs.list(desk.alice, cursor=UNKNOWN)["items"] == []
    assert desk.row(job["id"]).revision == before


def test_the_summary_counts_ones_own_jobs_and_everybodys_queue(desk):
    for _ in range(2):
        desk.submit(desk.alice)
        desk.deliver(desk.claim())
    old = desk.submit(desk.alice)["id"]
    desk.deliver(desk.claim())
    desk.set(old, finished_at=1.0)
    desk.submit(desk.alice)
    desk.leases.fail(desk.claim(), "internal", "No.", transient=False)
    desk.submit(desk.alice)
    desk.claim()
    desk.submit(desk.alice)
    desk.submit(desk.bob)

    assert desk.jobs.summary(desk.alice) == {
        "running": 1,
        "waiting": 1,
        "done_today": 2,
        "failed_today": 1,
        "waiting_all": 2,
    }
    assert desk.jobs.summary(desk.bob)["done_today"] == 0


def test_an_estimate_needs_a_known_type(desk):
    assert desk.jobs.estimate(desk.alice, "sdxl_image_high", {}) == {"run_s": 6 * 24.0, "wait_s": 0.0}
    with pytest.raises(InvalidInput):
        desk.jobs.estimate(desk.alice, "paint", {})


def test_an_estimate_follows_the_number_of_pictures_their_steps_and_size(desk):
    def run_s(**work) -> float:
        return desk.jobs.estimate(desk.alice, "sdxl_image_fast", work)["run_s"]

    assert run_s(count=1) == 4.0
    assert run_s(count=2) == 8.0
    assert run_s(count=1, steps=8) == 8.0
    assert run_s(count=1, width=128, height=128) == 16.0


@pytest.mark.parametrize(
    ("field", "value"), [("count", 0), ("count", 7), ("steps", 0), ("steps", 151), ("width", 65), ("height", 136)]
)
def test_an_estimate_is_bounded_as_an_order_is(desk, field, value):
    with pytest.raises(InvalidInput) as refusal:
        desk.jobs.estimate(desk.alice, "sdxl_image_fast", {field: value})

    assert refusal.value.field == field


def test_a_job_costs_what_is_ordered(desk):
    one, two = (desk.row(desk.submit(desk.person(str(count)), count=count)["id"]) for count in (1, 2))

    assert (one.cost_s, two.cost_s) == (4.0, 8.0)
    assert (one.turn, two.turn) == (4.0, 8.0)


def test_a_job_that_is_tried_again_costs_the_same(desk):
    job = desk.submit(desk.alice, count=3)
    desk.jobs.cancel(desk.alice, job["id"])
    desk.jobs.retry(desk.alice, job["id"])

    assert (desk.row(job["id"]).cost_s, desk.row(job["id"]).turn) == (12.0, 12.0)


def test_trashed_assets_are_not_listed_with_their_job(desk):
    job = desk.submit(desk.alice, count=2)
    desk.deliver(desk.claim())
    first, second = desk.asset_rows(job["id"])
    with desk.database.as_system() as session:
        session.merge(first).trashed_at = 1.0

    assert desk.jobs.get(desk.alice, job["id"])["assets"] == [second.id]


def test_what_people_do_reaches_the_log_with_the_jobs_id(desk, caplog):
    caplog.set_level(logging.INFO)
    job = desk.submit(desk.alice)
    desk.jobs.cancel(desk.alice, job["id"])
    desk.jobs.retry(desk.alice, job["id"])

    assert sum(job["id"] in record.getMessage() for record in caplog.records) == 3
    assert not any("red boat" in record.getMessage() for record in caplog.records), "prompts are private"
