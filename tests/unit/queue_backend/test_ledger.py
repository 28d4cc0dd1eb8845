from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from queue_backend.ledger import DoesNotFit
from tests.unit.queue_backend.ledger_shop import Shop, need, quiet

QWEN = need("qwen-0", model=(20, 0))
WAN = need("wan-0", text_encoder=(25, 1), transformer=(10, 3), vae=(5, 4))
SDXL = need("sdxl-0", text_encoders=(10, 2), unet=(20, 3), vae=(5, 4))


async def test_what_fits_stays():
    shop = Shop()
    await shop.leave_idle(QWEN, WAN, SDXL)
    await shop.ledger.reserve(need("qwen-0", model=(20, 0), working=5))
    assert shop.asked == []
    assert (shop.device.held_bytes, shop.device.working_bytes) == (95, 5)
    holders = {holder.holder: holder for holder in shop.device.holders}
    assert holders["qwen-0"].running
    assert holders["qwen-0"].working_bytes == 5
    assert not holders["wan-0"].running
    assert holders["wan-0"].parts == {"text_encoder": 25, "transformer": 10, "vae": 5}

    shop.ledger.settle("qwen-0", None)
    assert (shop.device.held_bytes, shop.device.working_bytes) == (95, 0)


async def test_what_could_never_fit_is_refused_at_once():
    shop = Shop()
    await shop.ledger.reserve(need("sdxl-0", working=100))
    with pytest.raises(DoesNotFit, match=r"wan-0 needs 0\.0 MB for its run, and cuda:0 has") as raised:
        await shop.ledger.reserve(need("wan-0", context=1, working=40, transformer=(60, 3)))
    assert (raised.value.need_bytes, raised.value.budget_bytes) == (101, 100)
    assert shop.device.waiting == 0


async def test_the_cheapest_gives_way_and_says_for_whom():
    shop = Shop()
    await shop.leave_idle(SDXL, WAN, QWEN)
    await shop.ledger.reserve(need("other-0", working=15))
    assert shop.went == [("qwen-0", ("model",))]
    assert shop.asked[0].reason == "other-0 needs 0.0 MB more for its run"
    assert shop.asked[0].bytes == 20


@pytest.mark.parametrize(
    ("count", "words"), [(5_200_000_000, "5.2 GB"), (100_000_000, "0.1 GB"), (3_400_000, "3.4 MB")]
)
async def test_the_reason_speaks_of_bytes_as_people_do(count: int, words: str):
    shop = Shop(cpu=count)
    await shop.leave_idle(need("a", device="cpu", model=(count, 0)))
    await shop.ledger.reserve(need("b", device="cpu", working=count))
    assert shop.asked[0].reason == f"b needs {words} more for its run"


async def test_ranks_are_gone_through_from_the_cheapest_and_holders_asked_once():
    shop = Shop()
    await shop.leave_idle(SDXL, WAN, QWEN)
    await shop.ledger.reserve(need("other-0", working=85))
    assert shop.went == [
        ("qwen-0", ("model",)),
        ("wan-0", ("text_encoder", "transformer")),
        ("sdxl-0", ("text_encoders", "unet")),
    ]
    assert {holder.holder: dict(holder.parts) for holder in shop.device.holders if holder.parts} == {
        "wan-0": {"vae": 5},
        "sdxl-0": {"vae": 5},
    }


async def test_within_a_rank_the_one_used_longest_ago_goes():
    shop = Shop()
    await shop.leave_idle(*(need(name, model=(30, 0)) for name in ("a", "b", "c")))
    await shop.leave_idle(need("a", model=(30, 0)))
    await shop.ledger.reserve(need("d", working=30))
    assert shop.went == [("b", ("model",))]


async def test_nothing_goes_that_a_dearer_one_makes_room_for_anyway():
    shop = Shop()
    await shop.leave_idle(QWEN, WAN, SDXL)
    await shop.ledger.reserve(need("other-0", working=30))
    assert shop.went == [("wan-0", ("text_encoder",))]


async def test_what_leaves_with_its_process_spares_another():
    shop = Shop()
    await shop.leave_idle(need("a", context=20, vae=(5, 4)), need("b", text_encoder=(5, 1)))
    await shop.ledger.reserve(need("c", working=95))
    assert shop.went == [("a", ("whole",))]
    assert shop.occupied == 100


async def test_a_process_may_be_cheaper_than_parts():
    shop = Shop()
    await shop.leave_idle(need("a", model=(20, 0)), replace(need("b", context=20), context_rank=-1))
    await shop.ledger.reserve(need("c", working=80))
    assert shop.went == [("b", ("whole",))]


async def test_a_process_exits_after_everybodys_parts_have_gone():
    shop = Shop()
    await shop.leave_idle(need("a", context=20, model=(20, 0)), need("b", context=20, vae=(20, 4)))
    await shop.ledger.reserve(need("c", working=70))
    assert shop.went == [("a", ("whole",)), ("b", ("vae",))]
    assert shop.asked[0].parts == ("model",)
    assert shop.asked[0].bytes == 40
    assert [holder.holder for holder in shop.device.holders] == ["b", "c"]


async def test_a_process_with_nothing_left_exits_before_one_that_takes_parts_with_it():
    shop = Shop()
    await shop.leave_idle(need("a", context=20, vae=(5, 4)), need("b", context=20))
    await shop.ledger.reserve(need("c", working=65))
    assert shop.went == [("b", ("whole",))]


async def test_ones_own_other_parts_stay_if_they_fit_and_give_way_if_not():
    shop = Shop()
    await shop.leave_idle(need("wan-0", text_encoder=(50, 1), transformer=(20, 3)))
    await shop.ledger.reserve(need("wan-0", transformer=(20, 3), working=30))
    assert shop.asked == []
    assert shop.occupied == 100
    shop.ledger.settle("wan-0", None)

    await shop.ledger.reserve(need("wan-0", transformer=(20, 3), working=31))
    assert shop.went == [("wan-0", ("text_encoder",))]
    assert shop.occupied == 51


async def test_what_a_need_names_is_not_counted_twice():
    shop = Shop()
    await shop.leave_idle(need("wan-0", context=5, transformer=(60, 3)))
    await shop.ledger.reserve(need("wan-0", context=5, transformer=(60, 3), working=35))
    assert shop.asked == []
    assert shop.occupied == 100


async def test_a_run_waits_for_the_running_and_nobody_gives_way_in_vain():
    shop = Shop()
    await shop.leave_idle(QWEN)
    await shop.ledger.reserve(need("sdxl-0", unet=(20, 3), working=40))
    waiting = asyncio.create_task(shop.ledger.reserve(need("wan-0", working=70)))
    await quiet()
    assert shop.asked == []
    assert shop.device.waiting == 1

    shop.ledger.settle("sdxl-0", None)
    await waiting
    assert shop.went == [("qwen-0", ("model",))]
    assert shop.occupied == 90
    assert shop.device.waiting == 0


async def test_a_small_run_does_not_overtake_a_large_one():
    shop = Shop()
    await shop.ledger.reserve(need("a", working=60))
    large = asyncio.create_task(shop.ledger.reserve(need("b", working=80)))
    small = asyncio.create_task(shop.ledger.reserve(need("c", working=10)))
    await quiet()
    assert not large.done()
    assert not small.done()

    shop.ledger.settle("a", None)
    await asyncio.gather(large, small)
    assert shop.device.working_bytes == 90


async def test_a_holder_runs_once_at_a_time():
    shop = Shop()
    await shop.ledger.reserve(need("a", working=10))
    again = asyncio.create_task(shop.ledger.reserve(need("a", working=10)))
    await quiet()
    assert not again.done()
    shop.ledger.settle("a", None)
    await again


async def test_devices_do_not_wait_for_each_other():
    shop = Shop(**{"cuda:0": 100, "cuda:1": 50})
    await shop.ledger.reserve(need("a", working=100))
    waiting = asyncio.create_task(shop.ledger.reserve(need("b", working=100)))
    await quiet()
    await shop.ledger.reserve(need("c", device="cuda:1", working=50))
    assert [(device.device, device.working_bytes, device.waiting) for device in shop.ledger.status()] == [
        ("cuda:0", 100, 1),
        ("cuda:1", 50, 0),
    ]
    shop.ledger.forget("a")
    await waiting


async def test_the_status_names_the_last_ten_to_give_way_newest_first():
    shop = Shop()
    for number in range(12):
        await shop.leave_idle(need(f"holder-{number}", model=(60, 0)))
    given = shop.device.last_given_way
    assert [each.holder for each in given] == [f"holder-{number}" for number in range(10, 0, -1)]
    assert {each.at for each in given} == {1000.0}
    assert given[0].reason == "holder-11 needs 0.0 MB more for its run"


async def test_an_unknown_device_is_a_mistake():
    with pytest.raises(KeyError):
        await Shop().ledger.reserve(need("a", device="cuda:7", working=1))
