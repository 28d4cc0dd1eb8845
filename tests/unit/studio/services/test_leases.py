from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any

import pytest

from pipelines.contract import Progress, Stage
from studio.errors import NotFound
from studio.services.claims import Claim, LeaseLost
from studio.services.leases import BACKOFF_BASE_S, BACKOFF_JITTER, JobLeases, backoff_s
from studio.services.owners import this_process

WRITES: dict[str, Callable[[Any, Claim], object]] = {
    "renew": lambda desk, claim: desk.leases.renew(claim, Progress(stage=Stage.DENOISING, fraction=0.9), {}),
    "renew without progress": lambda desk, claim: desk.leases.renew(claim, None, {}),
    "deliver": lambda desk, claim: desk.deliver(claim),
    "fail": lambda desk, claim: desk.leases.fail(claim, "internal", "No.", transient=False),
    "fail for now": lambda desk, claim: desk.leases.fail(claim, "worker_lost", "Gone.", transient=True),
    "cancelled": lambda desk, claim: desk.leases.cancelled(claim),
    "hand back": lambda desk, claim: desk.leases.hand_back(claim),
}


def _everything(desk: Any, job_id: str) -> tuple[dict[str, Any], int]:
    row = desk.row(job_id)
    columns = {column.key: getattr(row, column.key) for column in row.__table__.columns if column.key != "preview"}
    return columns, len(desk.asset_rows(job_id))


def test_a_claim_carries_the_order_and_marks_the_job(desk):
    job = desk.submit(desk.alice, prompt="a lighthouse", negative_prompt="fog", seed=7, count=2)

    claim = desk.claim()

    assert (claim.job_id, claim.user_id, claim.attempt, claim.lane) == (job["id"], desk.alice.id, 1, "sdxl")
    assert (claim.prompt, claim.negative_prompt, claim.config.seeds) == ("a lighthouse", "fog", (7, 8))
    shown = desk.jobs.get(desk.alice, job["id"])
    assert (shown["status"], shown["attempt"]) == ("processing", 1)
    assert shown["timings"]["queued_s"] >= 0
    assert desk.row(job["id"]).lease_owner == "elsewhere:1:1.0"


def test_an_empty_lane_gives_no_claim(desk):
    desk.submit(desk.alice)

    assert desk.leases.claim("wan") is None
    desk.claim()
    assert desk.leases.claim("sdxl") is None


def test_every_claim_has_a_token_of_its_own(desk):
    job = desk.submit(desk.alice)
    first = desk.claim()
    desk.leases.hand_back(first)

    assert desk.claim().lease_token != first.lease_token
    assert desk.row(job["id"]).attempt == 1


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_worker_that_was_overtaken_writes_nothing(desk, write):
    job = desk.submit(desk.alice)
    stale = desk.claim()
    desk.expire(job["id"])
    desk.leases.sweep()
    fresh = desk.claim()
    before = _everything(desk, job["id"])

    with pytest.raises(LeaseLost):
        write(desk, stale)

    assert _everything(desk, job["id"]) == before
    desk.deliver(fresh)
    assert desk.row(job["id"]).status == "completed"


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_worker_whose_job_went_back_to_the_queue_writes_nothing(desk, write):
    job = desk.submit(desk.alice)
    stale = desk.claim()
    desk.expire(job["id"])
    desk.leases.sweep()
    before = _everything(desk, job["id"])

    with pytest.raises(LeaseLost):
        write(desk, stale)

    assert _everything(desk, job["id"]) == before


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_nothing_is_written_to_an_ended_job(desk, write):
    job = desk.submit(desk.alice)
    claim = desk.claim()
    desk.leases.fail(claim, "internal", "No.", transient=False)
    before = _everything(desk, job["id"])

    with pytest.raises(LeaseLost):
        write(desk, claim)

    assert _everything(desk, job["id"]) == before


def test_renewing_writes_progress_and_keeps_the_lease(desk):
    job = desk.submit(desk.alice)
    claim = desk.claim()
    desk.expire(job["id"])

    progress = Progress(stage=Stage.DENOISING, fraction=0.5, step=2, steps=4, preview=b"webp")
    assert desk.leases.renew(claim, progress, {"loading_s": 1.5}) is False
    assert desk.leases.sweep() == []

    shown = desk.jobs.get(desk.alice, job["id"])
    assert shown["stage"] == "denoising"
    assert (shown["progress"]["fraction"], shown["progress"]["step"], shown["progress"]["steps"]) == (0.5, 2, 4)
    assert shown["timings"]["loading_s"] == 1.5
    assert "queued_s" in shown["timings"]
    assert shown["preview_url"] == f"/api/jobs/{job['id']}/preview?n=1"
    assert desk.jobs.preview(desk.alice, job["id"]) == b"webp"


def test_the_fraction_never_falls(desk):
    job = desk.submit(desk.alice)
    claim = desk.claim()
    for fraction in (0.6, 0.2, 1.7):
        desk.leases.renew(claim, Progress(stage=Stage.DENOISING, fraction=fraction), {})
        if fraction < 1:
            assert desk.row(job["id"]).fraction == 0.6

    assert desk.row(job["id"]).fraction == 1.0


def test_a_report_without_a_preview_keeps_the_last_one(desk):
    job = desk.submit(desk.alice)
    claim = desk.claim()
    desk.leases.renew(claim, Progress(stage=Stage.DENOISING, fraction=0.1, preview=b"one"), {})
    desk.leases.renew(claim, Progress(stage=Stage.DENOISING, fraction=0.2), {})

    assert desk.jobs.preview(desk.alice, job["id"]) == b"one"
    assert desk.row(job["id"]).preview_number == 1


def test_renewing_without_progress_tells_followers_nothing(desk):
    job = desk.submit(desk.alice)
    claim = desk.claim()
    before = desk.row(job["id"])

    desk.leases.renew(claim, None, {})

    after = desk.row(job["id"])
    assert after.revision == before.revision
    assert after.lease_expires_at >= before.lease_expires_at


def test_delivery_completes_the_job_and_its_assets_appear_in_order(desk):
    job = desk.submit(desk.alice, count=3, seed=10)
    claim = desk.claim()
    desk.leases.renew(claim, Progress(stage=Stage.DENOISING, fraction=0.5, preview=b"webp"), {})
    desk.deliver(claim)

    shown = desk.jobs.get(desk.alice, job["id"])
    rows = desk.asset_rows(job["id"])
    assert (shown["status"], shown["progress"]["fraction"], shown["error"]) == ("completed", 1.0, None)
    assert shown["finished_at"] >= shown["started_at"]
    assert shown["assets"] == [row.id for row in rows]
    assert [(row.index, row.seed, row.user_id) for row in rows] == [(i, 10 + i, desk.alice.id) for i in range(3)]
    assert shown["receipt"] == {"model": "tiny"}
    assert shown["preview_url"] is None
    assert set(shown["timings"]) == {"queued_s", "denoising_s"}
    with pytest.raises(NotFound):
        desk.jobs.preview(desk.alice, job["id"])


def test_delivering_twice_is_delivering_once(desk):
    job = desk.submit(desk.alice, count=2)
    claim = desk.claim()
    desk.deliver(claim)
    before = _everything(desk, job["id"])

    desk.deliver(claim)

    assert _everything(desk, job["id"]) == before
    assert len(desk.asset_rows(job["id"])) == 2


def test_a_delivery_of_too_few_pictures_is_refused_whole(desk):
    job = desk.submit(desk.alice, count=2)
    claim = desk.claim()

    with pytest.raises(ValueError, match="wants 2 assets; got 1"):
        desk.leases.deliver(claim, desk.assets(claim)[:1], {}, {})

    assert desk.row(job["id"]).status == "processing"
    assert desk.asset_rows(job["id"]) == []


def test_the_source_picture_becomes_the_parent_of_what_is_made_from_it(desk):
    source = desk.submit(desk.alice)
    desk.deliver(desk.claim())
    picture = desk.asset_rows(source["id"])[0].id
    child = desk.submit(desk.alice, image=picture, strength=0.4)
    desk.deliver(desk.claim())

    assert [row.parent_id for row in desk.asset_rows(child["id"])] == [picture]


def test_a_permanent_failure_ends_the_job(desk):
    job = desk.submit(desk.alice)
    desk.leases.fail(desk.claim(), "out_of_memory", "Too little memory. Try a smaller picture.", transient=False)

    shown = desk.jobs.get(desk.alice, job["id"])
    assert shown["status"] == "failed"
    assert shown["error"] == {"code": "out_of_memory", "message": "Too little memory. Try a smaller picture."}
    assert shown["finished_at"] is not None


def test_a_passing_failure_is_tried_three_times_in_all(desk):
    job = desk.submit(desk.alice)
    for attempt in (1, 2, 3):
        claim = desk.claim()
        assert claim.attempt == attempt
        desk.leases.fail(claim, "storage_error", "The storage did not answer.", transient=True)
        row = desk.row(job["id"])
        if attempt < 3:
            assert row.status == "pending"
            assert desk.leases.claim("sdxl") is None, "it must wait before the next attempt"
            desk.make_due(job["id"])

    assert (row.status, row.error_code) == ("failed", "storage_error")
    assert desk.leases.claim("sdxl") is None


def test_a_job_that_went_back_shows_nothing_of_its_last_attempt(desk):
    job = desk.submit(desk.alice)
    claim = desk.claim()
    desk.leases.renew(
        claim, Progress(stage=Stage.DECODING, fraction=0.9, step=4, steps=4, preview=b"x"), {"loading_s": 1}
    )
    desk.leases.fail(claim, "worker_lost", "Gone.", transient=True)

    shown = desk.jobs.get(desk.alice, job["id"])
    assert (shown["stage"], shown["started_at"], shown["timings"]) == ("queued", None, {})
    assert (shown["progress"]["fraction"], shown["progress"]["step"], shown["progress"]["steps"]) == (0.0, 0, 0)
    assert shown["preview_url"] is None
    with pytest.raises(NotFound):
        desk.jobs.preview(desk.alice, job["id"])


def test_waits_double_and_vary(desk):
    for attempt in (1, 2, 3):
        waits = {backoff_s(attempt) for _ in range(50)}
        middle = BACKOFF_BASE_S * 2 ** (attempt - 1)
        assert all(middle * (1 - BACKOFF_JITTER) <= wait <= middle * (1 + BACKOFF_JITTER) for wait in waits)
        assert len(waits) > 1


def test_a_job_that_kills_three_workers_is_poisoned(desk):
    job = desk.submit(desk.alice)
    for _ in range(3):
        desk.make_due(job["id"])
        desk.leases.fail(desk.claim(), "worker_lost", "The worker was killed by signal 9.", transient=True)

    shown = desk.jobs.get(desk.alice, job["id"])
    assert (shown["status"], shown["error"]["code"]) == ("failed", "poisoned")
    assert "killed by signal 9" in shown["error"]["message"]


def test_handing_back_spends_no_attempt_and_waits_for_nothing(desk):
    job = desk.submit(desk.alice)
    for _ in range(5):
        claim = desk.claim()
        assert claim.attempt == 1
        desk.leases.hand_back(claim)

    assert desk.row(job["id"]).status == "pending"


def test_an_expired_lease_puts_the_job_back_at_most_three_times(desk):
    job = desk.submit(desk.alice)
    for attempt in (1, 2, 3):
        assert desk.claim().attempt == attempt
        assert desk.leases.sweep() == []
        desk.expire(job["id"])
        assert desk.leases.sweep() == ["sdxl"]

    row = desk.row(job["id"])
    assert (row.status, row.error_code) == ("failed", "worker_lost")


@pytest.mark.parametrize("end", ["sweep", "fail", "fail for now", "hand back", "cancelled"])
def test_a_job_asked_to_stop_ends_cancelled_however_its_attempt_ends(desk, end):
    job = desk.submit(desk.alice)
    claim = desk.claim()
    desk.jobs.cancel(desk.alice, job["id"])
    assert desk.leases.renew(claim, None, {}) is True

    if end == "sweep":
        desk.expire(job["id"])
        desk.leases.sweep()
    else:
        WRITES[end](desk, claim)

    row = desk.row(job["id"])
    assert (row.status, row.error_code) == ("cancelled", None)
    assert row.finished_at is not None


def test_the_sweep_names_lanes_with_due_work_and_a_free_worker(desk):
    assert desk.leases.sweep() == []
    first = desk.submit(desk.alice)
    desk.submit(desk.alice)
    assert desk.leases.sweep() == ["sdxl"]

    claim = desk.claim()
    assert desk.leases.sweep() == [], "its one worker is busy"
    assert JobLeases(desk.database, "a:1:1", lane_workers={"sdxl": 2}).sweep() == ["sdxl"]

    desk.deliver(desk.claim())
    desk.leases.fail(claim, "storage_error", "No answer.", transient=True)
    assert desk.leases.sweep() == [], "nothing is due yet"
    desk.make_due(first["id"])
    assert desk.leases.sweep() == ["sdxl"]


def test_orphans_of_dead_processes_of_this_host_go_back_at_once(desk):
    owners = {
        "dead": f"{socket.gethostname()}:{2**22 + 1}:1.00",
        "reused pid": f"{socket.gethostname()}:{os.getpid()}:1.00",
        "alive": this_process(),
        "elsewhere": "another-host:1:1.00",
    }
    jobs = {}
    for name, owner in owners.items():
        jobs[name] = desk.submit(desk.alice)["id"]
        assert JobLeases(desk.database, owner).claim("sdxl") is not None

    assert desk.leases.reset_orphans() == ["sdxl"]

    assert {name: desk.row(job_id).status for name, job_id in jobs.items()} == {
        "dead": "pending",
        "reused pid": "pending",
        "alive": "processing",
        "elsewhere": "processing",
    }


def test_live_tokens_are_those_of_running_attempts(desk):
    desk.submit(desk.alice)
    desk.submit(desk.alice)
    running, done = desk.claim(), desk.claim()
    desk.deliver(done)

    assert desk.leases.live_tokens() == {running.lease_token}


def test_a_job_that_cannot_be_read_fails_and_lets_the_next_one_by(desk):
    broken, sound = desk.submit(desk.alice), desk.submit(desk.alice)
    desk.set(broken["id"], config={"width": "wide"})

    assert desk.claim().job_id == sound["id"]
    failed = desk.jobs.get(desk.alice, broken["id"])
    assert (failed["status"], failed["error"]["code"]) == ("failed", "internal")
    assert "Another version" in failed["error"]["message"]


def test_the_largest_seed_is_kept(desk: Any) -> None:
    job = desk.submit(desk.alice, seed=2**32 - 1)
    desk.deliver(desk.claim())

    assert [asset.seed for asset in desk.asset_rows(job["id"])] == [2**32 - 1]
