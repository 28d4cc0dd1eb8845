from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from pipelines.contract import Progress, Stage
from studio.services import feed as feed_module
from studio.services.feed import JobFeed, Subscription
from tests.unit.studio.desk import until


async def _next(subscription: Subscription) -> tuple[int, dict[str, Any]]:
    async with asyncio.timeout(20):
        return await anext(subscription)


async def _settled(feed: JobFeed, desk) -> None:
    """Wait until the feed has looked at everything that happened so far: a fresh subscription then knows it all."""
    probe = feed.subscribe(desk.person("Probe"))
    await until(lambda: probe.position is not None and not feed._wake.is_set())
    await probe.aclose()


async def _sent_after_poke(feed: JobFeed, sent: list[str]) -> None:
    """Wake the feed and let it look."""
    feed.poke()
    await until(lambda: sent)
    await asyncio.sleep(0.1)


async def test_a_follower_sees_a_job_from_order_to_delivery(desk, feed):
    mine = feed.subscribe(desk.alice)
    await _settled(feed, desk)
    job = desk.submit(desk.alice)
    revision, shown = await _next(mine)
    assert (shown["id"], shown["status"], revision) == (job["id"], "pending", desk.row(job["id"]).revision)

    claim = desk.claim()
    feed.poke()
    assert (await _next(mine))[1]["status"] == "processing"
    desk.leases.renew(claim, Progress(stage=Stage.DENOISING, fraction=0.5), {})
    feed.poke()
    assert (await _next(mine))[1]["progress"]["fraction"] == 0.5
    desk.deliver(claim)
    feed.poke()
    last, shown = await _next(mine)
    assert shown == desk.jobs.get(desk.alice, job["id"])
    assert len(shown["assets"]) == 1
    assert last == desk.row(job["id"]).revision


async def test_only_ones_own_jobs_arrive(desk, feed):
    mine, theirs = feed.subscribe(desk.alice), feed.subscribe(desk.bob)
    await _settled(feed, desk)
    of_bob = desk.submit(desk.bob)
    of_alice = desk.submit(desk.alice)

    assert (await _next(mine))[1]["id"] == of_alice["id"]
    assert (await _next(theirs))[1]["id"] == of_bob["id"]
    await _settled(feed, desk)
    assert not mine._waiting
    assert {job["user_id"] for _, job in theirs._waiting.values()} <= {desk.bob.id}


async def test_without_a_number_only_what_comes_is_told(desk, feed):
    desk.submit(desk.alice)
    mine = feed.subscribe(desk.alice)
    await _settled(feed, desk)
    new = desk.submit(desk.alice)

    assert (await _next(mine))[1]["id"] == new["id"]


async def test_resuming_misses_nothing_and_repeats_nothing(desk, feed):
    ids = [desk.submit(desk.alice)["id"] for _ in range(6)]
    first = feed.subscribe(desk.alice, after=0)
    seen = [await _next(first) for _ in range(3)]
    await first.aclose()
    ids += [desk.submit(desk.alice)["id"] for _ in range(3)]

    second = feed.subscribe(desk.alice, after=seen[-1][0])
    seen += [await _next(second) for _ in range(6)]

    assert [job["id"] for _, job in seen] == ids
    revisions = [revision for revision, _ in seen]
    assert revisions == sorted(set(revisions))
    await _settled(feed, desk)
    assert not second._waiting


async def test_a_change_between_two_connections_is_told_once(desk, feed):
    job = desk.submit(desk.alice)
    first = feed.subscribe(desk.alice, after=0)
    revision, _ = await _next(first)
    await first.aclose()
    desk.jobs.cancel(desk.alice, job["id"])

    second = feed.subscribe(desk.alice, after=revision)
    assert (await _next(second))[1]["status"] == "cancelled"
    await _settled(feed, desk)
    assert not second._waiting


async def test_a_number_from_the_future_starts_from_now(desk, feed):
    """Such as that of a tab that outlived its studio's data."""
    mine = feed.subscribe(desk.alice, after=10_000)
    await _settled(feed, desk)
    job = desk.submit(desk.alice)

    assert (await _next(mine))[1]["id"] == job["id"]


async def test_a_slow_follower_gets_the_latest_state_of_each_job(desk, feed):
    slow = feed.subscribe(desk.alice)
    await _settled(feed, desk)
    ids = [desk.submit(desk.alice)["id"] for _ in range(2)]
    claim = desk.claim()
    for step in range(1, 30):
        desk.leases.renew(claim, Progress(stage=Stage.DENOISING, fraction=step / 30, step=step), {})
        feed.poke()
        await asyncio.sleep(0)
    await _settled(feed, desk)

    assert len(slow._waiting) == 2
    told = {job["id"]: job for _, job in (await _next(slow), await _next(slow))}
    assert set(told) == set(ids)
    assert told[claim.job_id]["progress"]["step"] == 29


async def test_a_long_history_comes_in_pages_and_never_floods_a_follower(desk, feed, monkeypatch):
    monkeypatch.setattr(feed_module, "PAGE_ROWS", 4)
    monkeypatch.setattr(feed_module, "MAX_BACKLOG", 6)
    ids = [desk.submit(desk.alice)["id"] for _ in range(25)]
    mine = feed.subscribe(desk.alice, after=0)
    await asyncio.sleep(0.3)

    assert len(mine._waiting) <= 10
    assert [(await _next(mine))[1]["id"] for _ in ids] == ids


@pytest.mark.parametrize("followers", [1, 100])
async def test_a_wake_up_costs_one_query_however_many_follow(desk, feed, count_statements, followers):
    subscriptions = [feed.subscribe(desk.alice) for _ in range(followers)]
    await _settled(feed, desk)
    with count_statements() as idle:
        await _sent_after_poke(feed, idle)
    assert len(idle) == 1

    desk.submit(desk.alice)
    for subscription in subscriptions:
        await _next(subscription)
    desk.deliver(desk.claim())
    with count_statements() as busy:
        feed.poke()
        for subscription in subscriptions:
            assert (await _next(subscription))[1]["status"] == "completed"
    assert len(busy) == 3, "the change, its assets, and what it used of the GPU"


async def test_people_who_follow_share_the_query(desk, feed, count_statements):
    people = [desk.person(f"P{number}") for number in range(20)]
    subscriptions = [feed.subscribe(person) for person in people]
    await _settled(feed, desk)
    with count_statements() as sent:
        await _sent_after_poke(feed, sent)
    assert len(sent) == 1
    assert len({subscription.position for subscription in subscriptions}) == 1


async def test_late_followers_join_the_shared_query(desk, feed, count_statements):
    first = feed.subscribe(desk.alice)
    await _settled(feed, desk)
    desk.submit(desk.bob)
    second = feed.subscribe(desk.bob)
    await _settled(feed, desk)
    assert first.position == second.position
    with count_statements() as sent:
        await _sent_after_poke(feed, sent)
    assert len(sent) == 1


async def test_nothing_is_asked_while_nobody_follows_or_nothing_happens(desk, feed, count_statements):
    with count_statements() as alone:
        feed.poke()
        await asyncio.sleep(0.1)
    assert alone == []

    mine = feed.subscribe(desk.alice)
    await _settled(feed, desk)
    with count_statements() as idle:
        await asyncio.sleep(0.3)
    assert idle == []
    await mine.aclose()
    with count_statements() as left:
        feed.poke()
        await asyncio.sleep(0.1)
    assert left == []


async def test_a_subscription_that_is_dropped_is_forgotten(desk, feed):
    subscription = feed.subscribe(desk.alice)
    await _settled(feed, desk)
    del subscription
    gc.collect()

    assert [one for one in feed._followers if not one.is_closed] == []


async def test_a_cancelled_wait_loses_nothing(desk, feed):
    mine = feed.subscribe(desk.alice)
    await _settled(feed, desk)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(mine), 0.05)
    job = desk.submit(desk.alice)

    assert (await _next(mine))[1]["id"] == job["id"]


async def test_the_feed_survives_a_database_that_is_away(desk, feed, monkeypatch, caplog):
    monkeypatch.setattr(feed_module, "RETRY_PAUSE_S", 0.01)
    mine = feed.subscribe(desk.alice)
    await _settled(feed, desk)
    job = desk.submit(desk.alice)
    with desk.database.engine.begin() as connection:
        connection.exec_driver_sql("alter table change_counter rename to hidden")
    feed.poke()
    await until(lambda: "could not read" in caplog.text)
    with desk.database.engine.begin() as connection:
        connection.exec_driver_sql("alter table hidden rename to change_counter")

    assert (await _next(mine))[1]["id"] == job["id"]


async def test_followers_end_with_the_feed(desk):
    feed = JobFeed(desk.database, desk.views)
    task = asyncio.create_task(feed.run())
    mine = feed.subscribe(desk.alice)
    await _settled(feed, desk)
    task.cancel()
    await asyncio.wait([task])

    with pytest.raises(StopAsyncIteration):
        await _next(mine)
    with pytest.raises(StopAsyncIteration):
        await _next(feed.subscribe(desk.alice))
    feed.poke()
