from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, update

from studio.database.schema import Job, Lane


def _served(desk) -> list[str]:
    order = []
    while (claim := desk.leases.claim("sdxl")) is not None:
        order.append(claim.job_id)
        desk.deliver(claim)
    return order


def test_fast_jobs_go_before_slow_ones_of_other_people(desk):
    slow = desk.submit(desk.alice, job_type="sdxl_image_high")["id"]
    fast = desk.submit(desk.bob, job_type="sdxl_image_fast")["id"]

    assert _served(desk) == [fast, slow]


@pytest.mark.parametrize("packed", [{"count": 6}, {"steps": 24}, {"count": 3, "width": 128}])
def test_nobody_gains_by_packing_work_into_one_job(desk, packed):
    big = desk.submit(desk.alice, **packed)["id"]
    small = [desk.submit(desk.bob)["id"] for _ in range(5)]

    assert _served(desk) == [*small, big]


def test_ones_own_jobs_keep_their_order(desk):
    ids = [desk.submit(desk.alice, job_type=kind)["id"] for kind in ("sdxl_image_high", "sdxl_image_fast")]

    assert _served(desk) == ids


def test_a_hundred_jobs_of_one_person_do_not_shut_another_out(desk):
    crowd = [desk.submit(desk.alice)["id"] for _ in range(100)]
    for _ in range(10):
        desk.deliver(desk.claim())
    mine = desk.submit(desk.bob)

    assert mine["progress"]["queue_position"] <= 2
    order = _served(desk)
    assert order.index(mine["id"]) <= 2
    assert [job for job in order if job != mine["id"]] == crowd[10:]


def test_jobs_that_were_cancelled_unserved_do_not_count_against_their_person(desk):
    for _ in range(20):
        desk.jobs.cancel(desk.alice, desk.submit(desk.alice)["id"])
    desk.submit(desk.bob)

    assert desk.submit(desk.alice)["progress"]["queue_position"] == 1


def test_a_job_that_waits_for_its_next_attempt_lets_others_pass_and_comes_first_when_due(desk):
    broken = desk.submit(desk.alice)["id"]
    others = [desk.submit(desk.alice)["id"] for _ in range(2)]
    desk.leases.fail(desk.claim(), "storage_error", "No answer.", transient=True)

    assert desk.claim().job_id == others[0]
    desk.make_due(broken)
    assert desk.claim().job_id == broken


@pytest.fixture
def emptied(desk):
    def empty() -> None:
        with desk.database.as_system() as session:
            session.execute(delete(Job))
            session.execute(update(Lane).values(clock=0.0))

    people = [desk.alice, desk.bob, desk.person("Cleo")]
    return empty, people


ARRIVALS = st.lists(
    st.one_of(
        st.tuples(st.integers(0, 2), st.sampled_from(["sdxl_image_fast", "sdxl_image_high"]), st.integers(1, 3)),
        st.just("serve"),
    ),
    min_size=3,
    max_size=20,
)


@given(arrivals=ARRIVALS)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
def test_nobody_starves(desk, emptied, arrivals):
    """Between the order and the start of a job no other person is served more seconds than its place is away, plus one
    job: the bound of fair queueing."""
    empty, people = emptied
    empty()
    waiting: dict[str, tuple[int, float]] = {}
    served_s: dict[str, list[float]] = {}
    costs_s = [0.0]

    def serve() -> None:
        claim = desk.leases.claim("sdxl")
        if claim is None:
            return
        row = desk.row(claim.job_id)
        waiting.pop(claim.job_id)
        server = next(index for index, person in enumerate(people) if person.id == row.user_id)
        for seconds in served_s.values():
            seconds[server] += row.cost_s
        owner, distance = _about[claim.job_id]
        for index, seconds in enumerate(served_s.pop(claim.job_id)):
            if index != owner:
                assert seconds <= distance + max(costs_s)
        desk.deliver(claim)

    _about: dict[str, tuple[int, float]] = {}
    for arrival in arrivals:
        if arrival == "serve":
            serve()
            continue
        person, kind, count = arrival
        job_id = desk.submit(people[person], job_type=kind, count=count)["id"]
        costs_s.append(desk.row(job_id).cost_s)
        with desk.database.as_system(write=False) as session:
            clock = session.get_one(Lane, "sdxl").clock
        _about[job_id] = waiting[job_id] = (person, desk.row(job_id).turn - clock)
        served_s[job_id] = [0.0, 0.0, 0.0]
    while waiting:
        serve()
