"""Nobody runs more at once than they may, others go on, and the lane stays shared equally."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import pytest

from studio.people import Origin, Person
from studio.services.allowances import Allowed
from studio.services.claims import Claim
from studio.services.leases import JobLeases
from studio.services.policy import ContentPolicy
from studio.services.running_caps import RunningCaps

HERE = Origin(address="192.0.2.1", agent="tests")
ROOT = Person(id="root", role="admin", display_name="Root")
HELD = {"member": Allowed(running_jobs=1), "admin": Allowed()}


@pytest.fixture
def held(database, small_catalog, desk_class) -> Any:
    """A desk whose members run one job at a time."""
    return desk_class(database, small_catalog, ContentPolicy(), HELD)


def test_who_is_at_their_cap_is_passed_over_and_others_are_not(held):
    first, second = (held.submit(held.alice)["id"] for _ in range(2))
    theirs = held.submit(held.bob, job_type="sdxl_image_high")["id"]

    running = held.claim()
    assert running.job_id == first
    assert held.claim().job_id == theirs
    assert held.leases.claim("sdxl") is None
    held.deliver(running)
    assert held.claim().job_id == second


def test_jobs_of_all_lanes_count_together(held):
    held.submit(held.alice, job_type="video_fast")
    held.submit(held.alice)
    film = held.claim("wan")

    assert held.leases.claim("sdxl") is None
    held.leases.cancelled(film)
    assert held.claim("sdxl").user_id == held.alice.id


def test_an_admin_may_raise_a_cap_of_a_role_or_of_a_person(held):
    for _ in range(4):
        held.submit(held.alice)
    held.claim()
    held.allowances.change(ROOT, "member", {"running_jobs": 2}, HERE)
    held.claim()
    assert held.leases.claim("sdxl") is None
    held.allowances.change(ROOT, held.alice.id, {"running_jobs": "unlimited"}, HERE)
    held.claim()
    held.claim()


def test_the_sweep_asks_for_no_ticket_while_all_that_is_due_is_held_back(held):
    held.submit(held.alice, job_type="video_fast")
    held.submit(held.alice)
    film = held.claim("wan")

    assert held.leases.sweep() == []
    held.submit(held.bob)
    assert held.leases.sweep() == ["sdxl"]
    held.claim()
    held.deliver(film)
    waiting = JobLeases(held.database, "a:1:1", lane_workers={"sdxl": 2}, caps=RunningCaps(HELD))
    assert waiting.sweep() == ["sdxl"]


def test_the_end_of_a_job_names_the_lanes_where_its_persons_jobs_were_held_back(held):
    held.submit(held.alice, job_type="video_fast")
    held.submit(held.alice)
    held.submit(held.bob, job_type="video_fast")
    film = held.claim("wan")
    assert held.leases.freed_by(film) == [], "it has not ended"
    held.deliver(film)

    assert held.leases.freed_by(film) == ["sdxl"]
    theirs = held.claim("wan")
    held.deliver(theirs)
    assert held.leases.freed_by(theirs) == [], "nothing of theirs waits"


def test_the_end_of_a_job_of_somebody_without_a_cap_names_nothing(desk):
    for _ in range(2):
        desk.submit(desk.alice)
    claim = desk.claim()
    desk.deliver(claim)

    assert desk.leases.freed_by(claim) == []


def test_claims_at_once_do_not_exceed_the_cap(held):
    for _ in range(3):
        held.submit(held.alice)
        held.submit(held.alice, job_type="video_fast")
        held.submit(held.bob)
    start = threading.Barrier(8)
    claims: list[Claim | None] = []

    def claim(number: int) -> None:
        start.wait()
        claims.append(held.leases.claim(("sdxl", "wan")[number % 2]))

    threads = [threading.Thread(target=claim, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert Counter(one.user_id for one in claims if one) == {held.alice.id: 1, held.bob.id: 1}


def test_the_places_in_the_queue_know_who_is_passed_over(held):
    held.submit(held.alice, job_type="video_fast")
    mine = [held.submit(held.alice)["id"] for _ in range(3)]
    held.claim("wan")
    theirs = held.submit(held.bob)

    assert (theirs["progress"]["queue_position"], theirs["progress"]["eta_s"]) == (0, pytest.approx(4.0))
    first = held.jobs.get(held.alice, mine[0])["progress"]
    assert first["queue_position"] == 0
    assert first["eta_s"] == pytest.approx(4.0 + 4.0, abs=1.0), "her film of four seconds comes first"


@pytest.mark.parametrize("sizes", [(1, 1), (6, 1)], ids=["equal jobs", "unequal jobs"])
def test_two_members_at_full_load_share_the_lane_equally(database, small_catalog, desk_class, sizes):
    """Over 100 jobs, within 10 %; a third who has as much running as they may takes no part and does not disturb."""
    desk = desk_class(database, small_catalog, ContentPolicy(), {"member": Allowed(running_jobs=3)})
    cleo = desk.person("Cleo")
    desk.allowances.change(ROOT, cleo.id, {"running_jobs": 1}, HERE)
    desk.submit(cleo, job_type="video_fast")
    desk.claim("wan")
    desk.submit(cleo)
    people = dict(zip((desk.alice.id, desk.bob.id), zip((desk.alice, desk.bob), sizes, strict=True), strict=True))
    for person, count in people.values():
        for _ in range(2):
            desk.submit(person, count=count)
    served_s: Counter[str] = Counter()
    for _ in range(100):
        claim = desk.claim()
        person, count = people[claim.user_id]
        served_s[claim.user_id] += count
        desk.submit(person, count=count)
        desk.deliver(claim)

    shares = [seconds / served_s.total() for seconds in served_s.values()]
    assert len(shares) == 2
    assert all(abs(share - 0.5) <= 0.05 for share in shares), served_s
