from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from queue_backend.device_memory import Device, Holder, Need, Part

BUDGET = 100
counts = st.integers(0, 40)
parts = st.lists(
    st.builds(Part, name=st.sampled_from(["encoder", "core", "vae"]), bytes=counts, rank=st.integers(0, 6)),
    max_size=3,
    unique_by=lambda part: part.name,
).map(tuple)


@st.composite
def devices(draw: st.DrawFn) -> tuple[Device, Need]:
    """A device with up to four holders, some running, maybe over budget; and what one of them or a fifth needs."""
    device = Device("cuda:0", BUDGET)
    for tick, name in enumerate(draw(st.permutations(["a", "b", "c", "d"]))):
        if draw(st.booleans()):
            need = Need(
                device="cuda:0", holder=name, parts=draw(parts), working_bytes=draw(counts), context_bytes=draw(counts)
            )
            device.holders[name] = Holder(name=name, used=tick)
            device.holders[name].book(need)
            if draw(st.booleans()):
                device.holders[name].running = False
                device.holders[name].working_bytes = 0
                device.holders[name].refused = draw(
                    st.sets(st.sampled_from([None, *(part.name for part in need.parts)]), max_size=1)
                )
    idle = [holder.name for holder in device.holders.values() if not holder.running]
    need = Need(
        device="cuda:0",
        holder=draw(st.sampled_from(["new", *idle])),
        parts=draw(parts),
        working_bytes=draw(counts),
        context_bytes=draw(counts),
    )
    return device, need


def missing(device: Device, need: Need) -> int:
    return device.missing_bytes(need, device.holders.get(need.holder) or Holder(name=need.holder))


def without(device: Device, need: Need, leaving: list[tuple[str, str | None]]) -> int:
    """What would be missing if these had left."""
    left = Device(device.name, device.budget_bytes)
    for name, holder in device.holders.items():
        kept = {part: count for part, count in holder.parts.items() if (name, part) not in leaving}
        if (name, None) not in leaving:
            left.holders[name] = Holder(
                name=name, parts=kept, context_bytes=holder.context_bytes, working_bytes=holder.working_bytes
            )
    return missing(left, need)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(case=devices())
def test_what_is_chosen_makes_room_and_none_of_it_could_stay(case: tuple[Device, Need]):
    device, need = case
    chosen = [each for group in device.choose(need, missing(device, need)) for each in group]
    leaving = [(each.holder.name, each.part) for each in chosen]
    idle = [holder for holder in device.holders.values() if not holder.is_busy]
    everything = [(each.holder.name, each.part) for holder in idle for each in holder.candidates(need)]

    if missing(device, need) > 0 and without(device, need, everything) <= 0:
        assert without(device, need, leaving) <= 0
    else:
        assert leaving == []
    exiting = {name for name, part in leaving if part is None}
    for one in leaving:
        if one[1] is None or one[0] not in exiting:
            assert without(device, need, [other for other in leaving if other != one]) > 0


@settings(max_examples=400, deadline=None, derandomize=True)
@given(case=devices())
def test_nothing_chosen_is_running_or_named_by_the_need_or_was_refused(case: tuple[Device, Need]):
    device, need = case
    for group in device.choose(need, missing(device, need)):
        assert len({each.holder.name for each in group}) == 1
        for each in group:
            assert not each.holder.running
            assert each.part not in each.holder.refused
            if each.holder.name == need.holder:
                assert each.part not in [part.name for part in need.parts]


@settings(max_examples=400, deadline=None, derandomize=True)
@given(case=devices())
def test_no_rank_is_touched_before_the_cheaper_ones_are_found_too_little(case: tuple[Device, Need]):
    device, need = case
    chosen = [each for group in device.choose(need, missing(device, need)) for each in group]
    if chosen:
        dearest = max(each.order for each in chosen)
        cheaper = [
            (each.holder.name, each.part)
            for holder in device.holders.values()
            if not holder.is_busy
            for each in holder.candidates(need)
            if each.order < dearest
        ]
        assert without(device, need, cheaper) > 0


def test_a_full_device_without_idle_holders_offers_nothing():
    device = Device("cuda:0", BUDGET)
    device.holders["a"] = Holder(name="a", working_bytes=90, running=True)
    need = Need(device="cuda:0", holder="b", parts=(), working_bytes=20, context_bytes=0)
    assert missing(device, need) == 10
    assert device.choose(need, 10) == []
