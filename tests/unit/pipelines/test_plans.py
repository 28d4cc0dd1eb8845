from __future__ import annotations

import pytest

from pipelines.checkpoints import resolve
from pipelines.contract import Footprint, OutOfMemory, Plan
from pipelines.footprint import Work, footprint
from pipelines.plans import choose, in_words, ladder
from pipelines.shapes import Precision, shapes_of

PICTURES = Work(role="sdxl", width=1024, height=1024, count=6)
WORKS = [
    PICTURES,
    Work(role="sdxl", width=2048, height=2048, count=6),
    Work(role="sdxl", width=512, height=512),
    Work(role="wan", width=832, height=480),
    Work(role="wan", width=832, height=480, frames=81, film=True),
    Work(role="wan", width=1280, height=720, frames=121, film=True),
    Work(role="qwen"),
]


def of_bytes(totals: dict[int, int], plan: Plan) -> Footprint:
    """A footprint that depends on the rung alone."""
    return Footprint(parts={}, working_bytes=totals[plan.rung])


@pytest.mark.parametrize("kind", ["cuda", "cpu"])
@pytest.mark.parametrize("work", WORKS, ids=str)
def test_every_rung_needs_no_more_than_the_one_before_and_the_last_needs_less(work: Work, kind: str) -> None:
    precision = Precision(device_kind="cuda" if kind == "cuda" else "cpu")
    shapes = shapes_of(resolve(work.role, "full"), precision)
    plans = ladder(work.role, work)
    totals = [footprint(shapes, work, plan).total_bytes for plan in plans]
    assert totals == sorted(totals, reverse=True)
    assert len(plans) == 1 or totals[-1] < totals[0]


@pytest.mark.parametrize("work", WORKS, ids=str)
def test_rungs_begin_with_the_most_generous_plan_and_are_numbered_upwards(work: Work) -> None:
    plans = ladder(work.role, work)
    assert plans[0] == Plan()
    assert [plan.rung for plan in plans] == sorted({plan.rung for plan in plans})


def test_a_rung_means_the_same_whatever_is_made() -> None:
    all_plans = {plan.rung: plan for plan in ladder("sdxl", PICTURES)}
    for count in (1, 2, 3, 4):
        for plan in ladder("sdxl", Work(role="sdxl", width=1024, height=1024, count=count)):
            like = all_plans[plan.rung]
            assert (plan.tiled, plan.residency) == (like.tiled, like.residency)
            assert plan.sub_batch in (None, like.sub_batch)


def test_sub_batches_are_smaller_than_the_batch() -> None:
    sizes = [plan.sub_batch for plan in ladder("sdxl", Work(role="sdxl", width=64, height=64, count=3))]
    assert [size for size in sizes if size] == [2, 1, 1, 1]
    assert all(plan.sub_batch is None for plan in ladder("sdxl", Work(role="sdxl", width=64, height=64)))


def test_the_first_that_fits_is_chosen() -> None:
    totals = {0: 900, 1: 700, 2: 500, 3: 400}
    plans = ladder("wan", WORKS[4])

    def rung(budget_bytes: int, from_rung: int = 0) -> int:
        return choose(plans, lambda plan: of_bytes(totals, plan), budget_bytes, from_rung).rung

    assert [rung(900), rung(899), rung(500), rung(400)] == [0, 1, 2, 3]
    assert rung(900, from_rung=1) == 1


def test_where_nothing_fits_it_is_said_what_is_short() -> None:
    plans = ladder("wan", WORKS[4])
    with pytest.raises(OutOfMemory, match=r"needs 4\.0 GB of memory at least; the device has 3\.0 GB") as raised:
        choose(plans, lambda _: Footprint(parts={"vae": 10**9}, working_bytes=3 * 10**9), 3 * 10**9)
    assert raised.value.code == "out_of_memory"


def test_after_the_last_rung_there_is_none() -> None:
    with pytest.raises(OutOfMemory, match="no plan that needs less"):
        choose(ladder("qwen", WORKS[-1]), lambda _: Footprint(parts={}, working_bytes=1), 10, from_rung=1)


def test_every_plan_can_be_told_in_words() -> None:
    words = [in_words(plan) for plan in ladder("sdxl", PICTURES)]
    assert len(set(words)) == len(words)
    assert words[0] == "everything stays"
    assert "3 at a time, VAE in tiles" in words[2]
