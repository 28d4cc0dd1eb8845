from __future__ import annotations

import pytest
from sqlalchemy import select

from pipelines.contract import Progress, Stage
from studio.database.schema import Job
from studio.orders import Order, settle
from studio.services.standing import LEARNED_FOR_S, RunTimes, Standings, remaining_s


def _progress(desk, person, job_id):
    return desk.jobs.get(person, job_id)["progress"]


def _ran(desk, seconds: float, *, loading_s: float = 0.0, **fields) -> None:
    """A completed fast job unless `fields` say otherwise, of `seconds` in all."""
    job = desk.submit(desk.bob, **fields)
    desk.deliver(desk.claim())
    timings = {"loading_s": loading_s, "denoising_s": 1.0}
    desk.set(job["id"], started_at=1000.0, finished_at=1000.0 + seconds, timings=timings)


def _estimate(desk, standings: Standings, job_type: str, *, person=None, **fields) -> dict[str, float]:
    """What such a job would take if Bob, or `person`, ordered it."""
    kind, config = settle(Order.parse({"prompt": "a boat", "job_type": job_type, **fields}), desk.catalog)
    return standings.estimate(kind, config, (person or desk.bob).id)


def test_a_job_counts_those_ahead_of_it_running_ones_included(desk):
    ids = [desk.submit(desk.alice)["id"] for _ in range(3)]
    desk.claim()

    assert [_progress(desk, desk.alice, job_id)["queue_position"] for job_id in ids] == [0, 1, 2]


def test_places_follow_the_turn_across_people(desk):
    mine = [desk.submit(desk.alice)["id"] for _ in range(2)]
    theirs = desk.submit(desk.bob)["id"]

    assert _progress(desk, desk.bob, theirs)["queue_position"] == 1
    assert _progress(desk, desk.alice, mine[1])["queue_position"] == 2


def test_the_wait_is_the_time_of_those_ahead_and_ones_own(desk):
    desk.submit(desk.alice)
    desk.submit(desk.alice, job_type="sdxl_image_high")
    last = desk.submit(desk.alice)

    assert last["progress"]["eta_s"] == pytest.approx(4 + 24 + 4)


def test_ended_jobs_have_no_place(desk):
    job = desk.submit(desk.alice)
    desk.deliver(desk.claim())

    assert _progress(desk, desk.alice, job["id"])["queue_position"] == 0
    assert _progress(desk, desk.alice, job["id"])["eta_s"] is None


def test_run_times_are_learned_from_the_median_of_the_last_twenty(desk):
    for _ in range(5):
        _ran(desk, 500.0)
    for run in range(20):
        _ran(desk, 9.0 + run % 3)
        newest = desk.jobs.list(desk.bob, limit=1)["items"][0]["id"]
        desk.set(newest, started_at=2000.0 + run, finished_at=2000.0 + run + 9.0 + run % 3)

    assert _estimate(desk, Standings(desk.database, desk.catalog), "sdxl_image_fast", count=1)["run_s"] == 10.0
    assert _estimate(desk, Standings(desk.database, desk.catalog), "sdxl_image_high", count=1)["run_s"] == 24.0


def test_what_is_learned_from_one_size_applies_to_others(desk):
    _ran(desk, 12.0, count=1)
    _ran(desk, 24.0, count=2)
    _ran(desk, 48.0, steps=16)
    standings = Standings(desk.database, desk.catalog)

    assert _estimate(desk, standings, "sdxl_image_fast", count=5) == {"run_s": 60.0, "wait_s": 0.0}


def test_loading_the_model_is_left_out_of_what_is_learned(desk):
    _ran(desk, 68.0, loading_s=60.0)

    assert _estimate(desk, Standings(desk.database, desk.catalog), "sdxl_image_fast", count=1)["run_s"] == 8.0


def test_waits_count_the_size_and_the_learned_pace_of_those_ahead(desk):
    _ran(desk, 12.0)
    desk.submit(desk.alice, count=2)
    desk.submit(desk.alice, job_type="sdxl_image_high")
    row = desk.row(desk.submit(desk.alice, steps=8)["id"])
    standings = Standings(desk.database, desk.catalog)

    assert standings.of([row])[row.id].eta_s == pytest.approx(3 * 8 + 24 + 3 * 8)
    assert _estimate(desk, standings, "sdxl_image_fast", count=6, steps=150)["wait_s"] == pytest.approx(
        3 * 8 + 24 + 3 * 8
    )


def test_a_running_job_of_more_pictures_needs_longer(desk):
    row = desk.row(desk.submit(desk.alice, count=6)["id"])
    desk.claim()

    assert 4 < Standings(desk.database, desk.catalog).of([desk.row(row.id)])[row.id].eta_s <= 24


def test_a_learned_pace_is_kept_for_a_moment_and_then_learned_again(desk, count_statements):
    clock = [0.0]
    times = RunTimes(desk.catalog, now=lambda: clock[0])

    def factor() -> float:
        with desk.database.as_system(write=False) as session:
            return times.factor(session, "sdxl_image_fast", "sdxl")

    assert factor() == 1.0
    _ran(desk, 10.0)
    with count_statements() as sent:
        assert factor() == 1.0
    assert sent == []
    clock[0] += LEARNED_FOR_S
    assert factor() == 2.5


def test_a_running_jobs_remaining_time_moves_from_habit_to_its_own_speed():
    assert remaining_s(usual_s=10, elapsed_s=0, fraction=0) == 10
    assert remaining_s(usual_s=10, elapsed_s=4, fraction=0) == 6
    assert remaining_s(usual_s=10, elapsed_s=50, fraction=0) == 0
    assert remaining_s(usual_s=10, elapsed_s=50, fraction=0.5) == pytest.approx(0.5 * 0 + 0.5 * 50)
    assert remaining_s(usual_s=10, elapsed_s=5, fraction=0.5) == pytest.approx(5)
    assert remaining_s(usual_s=10, elapsed_s=10, fraction=1) == 0


def test_a_running_job_says_when_it_is_done(desk):
    job = desk.submit(desk.alice, job_type="sdxl_image_high")
    desk.leases.renew(desk.claim(), Progress(stage=Stage.DENOISING, fraction=0.5), {})

    assert 0 < _progress(desk, desk.alice, job["id"])["eta_s"] <= 24


def test_an_estimate_counts_only_jobs_that_would_come_first(desk):
    for _ in range(10):
        desk.submit(desk.alice, job_type="sdxl_image_high")

    standings = Standings(desk.database, desk.catalog)
    assert _estimate(desk, standings, "sdxl_image_fast", count=1) == {"run_s": 4.0, "wait_s": 0.0}
    assert _estimate(desk, standings, "sdxl_image_high", count=1) == {"run_s": 24.0, "wait_s": 24.0}


def test_more_workers_shorten_the_wait(desk):
    ids = [desk.submit(desk.alice)["id"] for _ in range(5)]
    row = desk.row(ids[4])

    alone = Standings(desk.database, desk.catalog).of([row])[row.id]
    shared = Standings(desk.database, desk.catalog, {"sdxl": 2}).of([row])[row.id]

    assert (alone.eta_s, shared.eta_s) == (pytest.approx(20), pytest.approx(12))


def test_an_idle_worker_takes_the_next_job_at_once(desk):
    desk.submit(desk.alice)
    desk.claim()
    row = desk.row(desk.submit(desk.alice)["id"])

    standing = Standings(desk.database, desk.catalog, {"sdxl": 2}).of([row])[row.id]

    assert standing.eta_s == pytest.approx(4)


def test_a_waiting_job_that_was_claimed_since_it_was_read_stands_first(desk):
    desk.submit(desk.alice)
    with desk.database.as_system(write=False) as session:
        (waiting,) = session.scalars(select(Job)).all()
        session.expunge(waiting)
    desk.claim()

    assert Standings(desk.database, desk.catalog).of([waiting])[waiting.id].queue_position <= 1


def test_an_estimate_counts_ones_own_waiting_jobs(desk):
    for _ in range(3):
        desk.submit(desk.bob, job_type="sdxl_image_high")
    standings = Standings(desk.database, desk.catalog)

    assert _estimate(desk, standings, "sdxl_image_fast", count=1)["wait_s"] == 3 * 24.0
    assert _estimate(desk, standings, "sdxl_image_fast", count=1, person=desk.alice)["wait_s"] == 0.0


def test_both_legs_of_a_rewritten_job_are_estimated_and_learned(desk):
    standings = Standings(desk.database, desk.catalog)
    job = desk.submit(desk.bob, job_type="video7b_fast_enhanced")

    assert _estimate(desk, standings, "video7b_fast_enhanced", person=desk.alice) == {"run_s": 5.0, "wait_s": 1.0}
    assert job["progress"]["eta_s"] == pytest.approx(1.0 + 4.0)
    desk.rewrite(desk.claim("qwen"))
    assert _progress(desk, desk.bob, job["id"])["eta_s"] == pytest.approx(4.0)
    desk.deliver(desk.claim("wan"))
    timings = {"enhancing_s": 3.0, "denoising_s": 8.0}
    desk.set(job["id"], started_at=1000.0, finished_at=1008.0, timings=timings)
    learned = Standings(desk.database, desk.catalog)
    assert _estimate(desk, learned, "video7b_fast_enhanced", person=desk.alice)["run_s"] == 3.0 + 8.0


def test_what_a_lane_works_off_during_the_first_leg_is_not_waited_for(desk):
    desk.submit(desk.alice, job_type="video_fast")
    desk.claim("wan")
    standings = Standings(desk.database, desk.catalog)

    assert _estimate(desk, standings, "video7b_fast_enhanced")["wait_s"] <= 3.0
