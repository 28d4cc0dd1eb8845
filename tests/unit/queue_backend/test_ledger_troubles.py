"""Cancels, deaths, holders that do not give way, and measurements that differ from the plan."""

from __future__ import annotations

import asyncio

import pytest

from queue_backend.ledger import DoesNotFit, GivingWay, Holding
from tests.unit.queue_backend.ledger_shop import Shop, need, quiet

QWEN = need("qwen-0", model=(20, 0))


def broken(giving: GivingWay) -> Holding | None:
    raise OSError(f"The pipe to {giving.holder} is broken.")


@pytest.mark.parametrize("place", [0, 1])
async def test_a_cancelled_wait_keeps_nothing(place: int):
    shop = Shop()
    await shop.ledger.reserve(need("a", working=60))
    waiting = [asyncio.create_task(shop.ledger.reserve(need(name, working=80))) for name in ("b", "c")]
    await quiet()
    waiting[place].cancel()
    await quiet()
    assert shop.device.waiting == 1
    assert [holder.holder for holder in shop.device.holders] == ["a"]

    shop.ledger.settle("a", None)
    await waiting[1 - place]
    assert shop.device.working_bytes == 80


async def test_giving_way_goes_on_when_the_one_it_was_for_is_cancelled():
    shop = Shop()
    await shop.leave_idle(QWEN)
    shop.gate.clear()
    waiting = asyncio.create_task(shop.ledger.reserve(need("a", working=90)))
    await quiet()
    assert shop.went == [("qwen-0", ("model",))]
    waiting.cancel()
    own = asyncio.create_task(shop.ledger.reserve(QWEN))
    other = asyncio.create_task(shop.ledger.reserve(need("b", working=80)))
    await quiet()
    assert waiting.cancelled()
    assert not own.done()

    shop.gate.set()
    await own
    await quiet()
    assert not shop.device.last_given_way[1:]
    shop.ledger.settle("qwen-0", None)
    await other


async def test_what_is_already_leaving_counts_for_the_next():
    shop = Shop()
    await shop.leave_idle(need("a", model=(40, 0)), need("b", model=(40, 1)))
    shop.gate.clear()
    first = asyncio.create_task(shop.ledger.reserve(need("c", working=60)))
    await quiet()
    first.cancel()
    second = asyncio.create_task(shop.ledger.reserve(need("d", working=50)))
    await quiet()
    assert shop.went == [("a", ("model",))]
    shop.gate.set()
    await second
    assert shop.went == [("a", ("model",))]


async def test_where_one_cannot_give_way_the_next_does(caplog: pytest.LogCaptureFixture):
    shop = Shop()
    await shop.leave_idle(need("a", model=(40, 0)), need("b", model=(40, 1)))
    shop.answers["a"] = broken
    await shop.ledger.reserve(need("c", working=60))
    assert shop.went == [("a", ("model",)), ("b", ("model",))]
    assert shop.occupied == 100
    assert "a could not give way, although c needs" in caplog.text
    assert [given.holder for given in shop.device.last_given_way] == ["b"]


async def test_a_part_that_stays_though_asked_is_not_asked_again_for_this_run():
    shop = Shop()
    await shop.leave_idle(need("a", model=(40, 0)), need("b", model=(40, 1)))
    shop.answers["a"] = lambda giving: Holding(parts={"model": 40}, context_bytes=0)
    await shop.ledger.reserve(need("c", working=60))
    assert shop.went == [("a", ("model",)), ("b", ("model",))]
    assert shop.occupied == 100


async def test_where_nobody_can_give_way_the_run_is_refused_and_the_next_one_asks_again():
    shop = Shop()
    await shop.leave_idle(need("a", context=10, model=(40, 0)))
    stays = Holding(parts={"model": 40}, context_bytes=10)
    shop.answers["a"] = lambda giving: stays
    with pytest.raises(DoesNotFit, match="others could not give way") as raised:
        await shop.ledger.reserve(need("c", working=60))
    assert raised.value.need_bytes <= raised.value.budget_bytes
    assert shop.went == [("a", ("model",)), ("a", ("whole",))]

    del shop.answers["a"]
    await shop.ledger.reserve(need("c", working=60))
    assert shop.went[2:] == [("a", ("model",))]


async def test_a_part_that_would_not_go_goes_with_its_process():
    shop = Shop()
    await shop.leave_idle(need("a", context=10, model=(40, 0), vae=(5, 4)))
    shop.answers["a"] = lambda giving: None if giving.whole else Holding(parts={"model": 40}, context_bytes=10)
    await shop.ledger.reserve(need("c", working=60))
    assert shop.went == [("a", ("model",)), ("a", ("whole",))]
    assert shop.occupied == 60


async def test_less_may_come_free_than_hoped():
    shop = Shop()
    await shop.leave_idle(need("a", model=(40, 0)), need("b", model=(40, 1)))
    shop.answers["a"] = lambda giving: Holding(parts={}, context_bytes=35)
    await shop.ledger.reserve(need("c", working=60))
    assert shop.went == [("a", ("model",)), ("b", ("model",))]
    assert [(given.holder, given.bytes) for given in shop.device.last_given_way] == [("b", 40), ("a", 5)]


async def test_after_a_death_everything_is_free():
    shop = Shop()
    await shop.ledger.reserve(need("a", context=5, model=(40, 0), working=55))
    waiting = asyncio.create_task(shop.ledger.reserve(need("b", working=100)))
    await quiet()
    shop.ledger.forget("a")
    shop.ledger.forget("a")
    await waiting
    assert shop.occupied == 100
    shop.ledger.settle("a", Holding(parts={"model": 40}, context_bytes=5))
    assert shop.occupied == 100


@pytest.mark.parametrize("word", [None, Holding(parts={"model": 60}, context_bytes=7)])
async def test_the_late_word_of_a_dead_holder_is_not_believed(word: Holding | None):
    shop = Shop()
    await shop.leave_idle(need("a", model=(60, 0)))
    shop.answers["a"] = lambda giving: word
    shop.gate.clear()
    waiting = asyncio.create_task(shop.ledger.reserve(need("b", working=50)))
    await quiet()
    shop.ledger.forget("a")
    await waiting
    await shop.ledger.reserve(need("a", context=9, working=41))
    shop.gate.set()
    await quiet()
    assert shop.occupied == 100
    assert {holder.holder: holder.context_bytes for holder in shop.device.holders} == {"b": 0, "a": 9}


async def test_a_measured_holding_replaces_the_plan():
    shop = Shop()
    await shop.ledger.reserve(need("a", context=10, model=(40, 0), working=20))
    shop.ledger.settle("a", Holding(parts={"model": 35, "adapter": 2, "gone": 0}, context_bytes=12))
    assert shop.device.held_bytes == 49
    assert shop.device.holders[0].parts == {"model": 35, "adapter": 2}


async def test_the_next_run_makes_up_for_one_that_outgrew_its_plan():
    shop = Shop()
    await shop.leave_idle(need("a", model=(40, 0)))
    await shop.ledger.reserve(need("b", model=(40, 1)))
    shop.ledger.settle("b", Holding(parts={"model": 70}, context_bytes=0))
    assert shop.occupied == 110
    await shop.ledger.reserve(need("c", context=5))
    assert shop.went == [("a", ("model",))]
    assert shop.occupied == 75


async def test_a_process_that_outgrew_its_plan_begins_anew_when_nothing_else_helps():
    shop = Shop()
    await shop.ledger.reserve(need("a", context=10, model=(40, 0), working=50))
    shop.ledger.settle("a", Holding(parts={"model": 42}, context_bytes=15))
    await shop.leave_idle(need("b", context=10))
    await shop.ledger.reserve(need("a", context=10, model=(40, 0), working=40))
    assert shop.went == [("b", ("whole",))]
    shop.ledger.settle("a", Holding(parts={"model": 42}, context_bytes=15))

    await shop.ledger.reserve(need("a", context=10, model=(40, 0), working=50))
    assert shop.went == [("b", ("whole",)), ("a", ("whole",))]
    assert shop.occupied == 100


async def test_a_measurement_during_a_run_takes_nothing_from_its_reservation():
    shop = Shop()
    await shop.ledger.reserve(need("a", context=10, model=(40, 0), working=20))
    shop.ledger.correct("a", Holding(parts={}, context_bytes=12))
    assert (shop.device.held_bytes, shop.device.working_bytes) == (52, 20)
    shop.ledger.settle("a", None)
    shop.ledger.correct("a", Holding(parts={}, context_bytes=8))
    assert (shop.device.held_bytes, shop.device.working_bytes) == (8, 0)


async def test_a_measurement_lets_a_waiting_run_go():
    shop = Shop()
    await shop.ledger.reserve(need("a", working=10))
    shop.ledger.correct("b", Holding(parts={}, context_bytes=20), device="cuda:0")
    shop.answers["b"] = lambda giving: Holding(parts={}, context_bytes=20)
    waiting = asyncio.create_task(shop.ledger.reserve(need("c", working=80)))
    await quiet()
    assert not waiting.done()
    shop.ledger.correct("b", Holding(parts={}, context_bytes=10))
    await waiting


async def test_a_process_that_never_ran_is_counted_where_it_is_and_exits_if_need_be():
    shop = Shop()
    shop.ledger.correct("a", Holding(parts={}, context_bytes=30))
    assert shop.device.holders == []
    shop.ledger.correct("a", Holding(parts={"unheard_of": 10}, context_bytes=30), device="cuda:0")
    assert shop.occupied == 40
    await shop.ledger.reserve(need("b", working=90))
    assert shop.went == [("a", ("whole",))]
