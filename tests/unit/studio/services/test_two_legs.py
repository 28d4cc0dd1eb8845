"""Jobs whose prompt is rewritten first: one leg in the lane of Qwen, one in the lane of WAN."""

from __future__ import annotations

import pytest

from studio.database.schema import Upload
from studio.errors import InvalidInput
from studio.orders import JobConfig
from studio.services.claims import LeaseLost
from studio.services.leases import MAX_ATTEMPTS

TYPE = "video7b_fast_enhanced"


@pytest.fixture
def job(desk):
    return desk.submit(desk.alice, job_type=TYPE)


def test_a_rewritten_job_waits_in_the_lane_of_its_engine(desk, job):
    assert desk.leases.claim("wan") is None
    desk.rewrite(desk.claim("qwen"))

    shown = desk.jobs.get(desk.alice, job["id"])
    assert (shown["status"], shown["stage"], shown["lane"], shown["attempt"]) == ("pending", "queued", "wan", 0)
    assert (shown["prompt"], shown["enhanced_prompt"]) == ("a red boat", "a red boat in soft light")
    assert shown["receipt"]["enhancement"]["model"] == "tiny"
    assert desk.leases.claim("qwen") is None
    second = desk.claim("wan")
    assert (second.attempt, second.enhanced_prompt) == (1, "a red boat in soft light")


def test_the_rewriting_of_the_next_job_begins_while_the_first_is_made(desk):
    first, second = (desk.submit(desk.alice, job_type=TYPE)["id"] for _ in range(2))
    desk.rewrite(desk.claim("qwen"))

    assert desk.claim("wan").job_id == first
    assert desk.claim("qwen").job_id == second


def test_a_delivered_job_keeps_what_both_legs_said(desk, job):
    desk.rewrite(desk.claim("qwen"))
    desk.deliver(desk.claim("wan"))

    shown = desk.jobs.get(desk.alice, job["id"])
    assert shown["status"] == "completed"
    assert set(shown["receipt"]) == {"enhancement", "model"}
    assert {"queued_s", "enhancing_s", "denoising_s"} <= set(shown["timings"])
    assert desk.asset_rows(job["id"])[0].enhanced_prompt == "a red boat in soft light"


def test_a_failed_second_leg_is_tried_again_without_rewriting(desk, job):
    desk.rewrite(desk.claim("qwen"))
    for attempt in range(1, MAX_ATTEMPTS + 1):
        claim = desk.claim("wan")
        assert claim.attempt == attempt
        assert claim.enhanced_prompt == "a red boat in soft light"
        desk.leases.fail(claim, "internal", "It broke.", transient=True)
        desk.make_due(job["id"])

    assert desk.row(job["id"]).status == "failed"
    again = desk.jobs.retry(desk.alice, job["id"])
    assert (again["lane"], again["enhanced_prompt"]) == ("wan", "a red boat in soft light")
    assert desk.announced[-1] == "wan"
    assert desk.leases.claim("qwen") is None
    assert again["timings"] == {"enhancing_s": 1.0}


def test_attempts_at_the_rewriting_do_not_count_against_the_film(desk, job):
    desk.leases.fail(desk.claim("qwen"), "internal", "It broke.", transient=True)
    desk.make_due(job["id"])
    desk.rewrite(desk.claim("qwen"))

    assert desk.claim("wan").attempt == 1


def test_a_job_that_fails_while_it_is_rewritten_starts_there_again(desk, job):
    desk.leases.fail(desk.claim("qwen"), "model_missing", "There is no model.", transient=False)

    assert desk.jobs.retry(desk.alice, job["id"])["lane"] == "qwen"
    assert desk.claim("qwen").job_id == job["id"]


@pytest.mark.parametrize("where", ["rewriting", "waiting", "making"])
def test_a_job_cancelled_in_any_leg_never_runs_again(desk, job, where):
    claim = desk.claim("qwen")
    if where != "rewriting":
        desk.rewrite(claim)
    if where == "making":
        claim = desk.claim("wan")
    desk.jobs.cancel(desk.alice, job["id"])
    if where == "rewriting":
        desk.rewrite(claim)  # the answer came all the same
    if where == "making":
        desk.leases.cancelled(claim)

    assert desk.row(job["id"]).status == "cancelled"
    assert desk.leases.claim("qwen") is None
    assert desk.leases.claim("wan") is None
    assert desk.leases.sweep() == []
    assert desk.asset_rows(job["id"]) == []


def test_an_answer_after_the_lease_is_lost_changes_nothing(desk, job):
    claim = desk.claim("qwen")
    desk.expire(job["id"])
    desk.leases.sweep()

    with pytest.raises(LeaseLost):
        desk.rewrite(claim)
    assert desk.row(job["id"]).lane == "qwen"
    assert desk.row(job["id"]).enhanced_prompt is None


def test_an_unusable_rewriting_leaves_the_prompt_and_says_so(desk, job):
    desk.rewrite(desk.claim("qwen"), text=None)

    shown = desk.jobs.get(desk.alice, job["id"])
    assert (shown["lane"], shown["enhanced_prompt"], shown["note"]) == ("wan", None, "It was used as written.")


def test_a_studio_that_stops_gives_the_second_leg_back_to_its_lane(desk, job):
    desk.rewrite(desk.claim("qwen"))
    desk.leases.hand_back(desk.claim("wan"))

    assert desk.claim("wan").attempt == 1


def test_turns_in_the_second_lane_are_fair_too(desk):
    films = [desk.submit(desk.alice, job_type=TYPE)["id"] for _ in range(3)]
    for _ in films:
        desk.rewrite(desk.claim("qwen"))
    picture = desk.submit(desk.bob, job_type="image_fast")["id"]

    assert [desk.claim("wan").job_id for _ in range(4)] == [picture, *films]


def test_a_first_leg_costs_its_own_lane_only(desk, job):
    config = JobConfig.model_validate(job["config"])
    assert desk.row(job["id"]).cost_s == 1.0
    assert config.frames == 9
    desk.rewrite(desk.claim("qwen"))

    assert desk.row(job["id"]).cost_s == 4.0


def test_what_the_checkpoint_cannot_begin_with_is_refused_before_it_is_queued(desk):
    with desk.database.as_system() as session:
        upload = Upload(user_id=desk.alice.id, storage_key="x", width=64, height=64, bytes=1, created_at=0.0)
        session.add(upload)
        session.flush()
        upload_id = upload.id

    with pytest.raises(InvalidInput, match="not from a picture"):
        desk.submit(desk.alice, job_type=TYPE, image=upload_id)
    assert desk.jobs.list(desk.alice)["items"] == []
