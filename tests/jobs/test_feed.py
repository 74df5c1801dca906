"""The feed, through the client, on real servers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from jobs import event as events
from jobs.broker import Push
from jobs.client import Client
from jobs.errors import InvalidCursor
from jobs.event import Position
from jobs.feed import GapReason, hub
from jobs.job import State
from jobs.where import JobWhere
from tests.factories import make_spec
from tests.jobs.hand import Hand
from tests.jobs.reading import VIEWER, Reading, enqueue, enqueue_many
from tests.tcp_proxy import TcpProxy
from tests.wait import until

OpenClient = Callable[..., Awaitable[Client]]

pytestmark = pytest.mark.usefixtures("published")


# The event log


async def test_a_subscriber_sees_the_life_of_a_job(client: Client, hand: Hand, live: Callable[..., Reading]) -> None:
    reading = live()
    job = await enqueue(client, "noop")
    await hand.complete("42")
    enqueued, started, completed = await reading.until(3)
    assert isinstance(enqueued, events.Enqueued)
    assert isinstance(started, events.Started)
    assert isinstance(completed, events.Completed)
    assert {event.job for event in (enqueued, started, completed)} == {job.id}
    assert completed.result == "42"
    assert reading.cursor == reading.events[-1][0]
    assert reading.gaps == []


async def test_subscribers_with_the_same_filter_share_their_batches(
    client: Client, live: Callable[..., Reading]
) -> None:
    one, other = live(where=JobWhere(queues=("default",))), live(where=JobWhere(queues=("default",)))
    await enqueue(client)
    assert await anext(one.subscription) is await anext(other.subscription)


async def test_a_cursor_leads_on_without_losing_or_repeating(client: Client, live: Callable[..., Reading]) -> None:
    first = live()
    await enqueue_many(client, 3)
    await first.until(3)
    await first.subscription.aclose()
    await enqueue_many(client, 3)
    second = live(after=first.events[1][0])
    await second.until(4)
    await enqueue_many(client, 2)
    await second.until(6)
    jobs = [event.job for _, event in first.events[:2] + second.events]
    assert len(jobs) == len(set(jobs)) == 8
    assert second.gaps == []


async def test_catching_up_while_more_happens_loses_and_repeats_nothing(
    client: Client, live: Callable[..., Reading]
) -> None:
    whole = live()
    whole.subscription.buffer_max_bytes = 10_000_000  # it is read last
    await enqueue_many(client, 1)
    await whole.until(1)
    start = whole.cursor
    for _ in range(3):
        await enqueue_many(client, 1_000)
    readings: list[Reading] = []

    async def produce() -> None:
        for _ in range(15):
            await enqueue_many(client, 20)

    async with asyncio.TaskGroup() as group:
        group.create_task(produce())
        for _ in range(4):
            readings.append(live(after=start))
            group.create_task(readings[-1].until(3_300))
        group.create_task(whole.until(3_301))
    for reading in readings:
        assert reading.events == whole.events[1:]
        assert reading.gaps == []


async def test_the_first_batch_comes_at_once_and_says_from_where_on_all_comes(
    client: Client, live: Callable[..., Reading]
) -> None:
    for _ in range(2):  # on a stream that never had an event, and behind the last one
        first = live(where=JobWhere(queues=("default",)))
        await first.batch()
        assert (first.events, first.gaps) == ([], [])
        await first.subscription.aclose()
        again = live(after=first.cursor)
        await again.batch()
        assert (again.events, again.gaps, again.cursor) == ([], [], first.cursor)
        await again.subscription.aclose()
        spec = make_spec()
        await client.broker.push([Push(spec=spec)])
        second = live(after=first.cursor)
        assert [event.job for event in await second.until(1)] == [spec.id]
        assert second.gaps == []


async def test_a_cursor_holds_where_all_that_is_older_than_the_window_was_removed(
    client: Client, open_client: OpenClient, live: Callable[..., Reading]
) -> None:
    redis, stream = client.broker.client, client.broker.stream
    kept = await redis.config_get("stream-node-max-entries")
    await redis.config_set("stream-node-max-entries", 1)  # whole nodes are removed
    first = live()
    for _ in range(3):
        await client.broker.push([Push(spec=make_spec())])
    await first.until(3)
    idle_from_ms = (await stream.last()).ms + 1
    while await client.broker.now_ms() <= idle_from_ms:
        pass
    spec = make_spec()
    await client.broker.push([Push(spec=spec)])
    assert await stream.trim(await stream.last(), idle_from_ms) == 2
    await redis.config_set("stream-node-max-entries", kept["stream-node-max-entries"])
    second = Reading((await open_client()).feed.job_events(VIEWER, after=first.cursor))
    assert [event.job for event in await second.until(1)] == [spec.id]
    assert second.gaps == []


async def test_a_client_of_another_process_goes_on_where_the_first_one_ended(
    client: Client, open_client: OpenClient, live: Callable[..., Reading]
) -> None:
    first = live()
    await enqueue_many(client, 2)
    await first.until(2)
    other = await open_client()
    await enqueue_many(client, 1)
    second = Reading(other.feed.job_events(VIEWER, after=first.cursor))
    (event,) = await second.until(1)
    assert event.job not in [seen.job for _, seen in first.events]


@pytest.mark.parametrize(
    "cursor", ["", "x", "1-2-3", "1-2-3-4-5", "-1-2-3-4", "1-1-1-\u0661", "1-1-1-1 ", f"1-{10**30}-1-1"]
)
async def test_what_is_no_cursor_is_refused(client: Client, cursor: str) -> None:
    with pytest.raises(InvalidCursor):
        client.feed.job_events(VIEWER, after=cursor)


async def test_a_cursor_from_the_future_is_refused(client: Client, live: Callable[..., Reading]) -> None:
    await enqueue_many(client, 1)
    with pytest.raises(InvalidCursor):
        await live(after=f"{client.broker.epoch}-99999999999999-0-0").batch()


async def test_who_is_too_slow_gets_a_gap_and_goes_on_from_there(client: Client, live: Callable[..., Reading]) -> None:
    slow, quick = live(), live()
    slow.subscription.buffer_max_bytes = 5_000
    await slow.batch()
    for count in range(1, 11):
        await enqueue_many(client, 1)
        await quick.until(count)
    await slow.batch()
    assert slow.gaps == [GapReason.TOO_SLOW]
    assert slow.events == []
    await slow.until(1)
    assert slow.events[0] in quick.events
    gap_at = quick.events.index(slow.events[0])
    await enqueue_many(client, 1)
    await quick.until(11)
    await slow.until(11 - gap_at)
    assert slow.events == quick.events[gap_at:]


async def test_who_has_read_everything_is_not_too_slow_however_much_comes_at_once(
    client: Client, live: Callable[..., Reading]
) -> None:
    reading = live()
    reading.subscription.buffer_max_bytes = 1
    await reading.batch()  # the opening one
    await enqueue_many(client, 400)  # which are pushed, and read, in one go
    await reading.until(400)
    assert reading.gaps == []


async def test_many_who_catch_up_read_the_log_once(
    client: Client, live: Callable[..., Reading], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = live()
    await enqueue_many(client, 1)
    await whole.until(1)
    for _ in range(5):
        await enqueue_many(client, 1_000)
        await whole.until(len(whole.events) + 1_000)
    scans: list[Position] = []
    scan = client.broker.stream.scan

    async def counted(after: Position, limit: int, *, block_ms: int = 0) -> Any:
        if not block_ms:  # not the hub
            scans.append(after)
        return await scan(after, limit, block_ms=block_ms)

    monkeypatch.setattr(client.broker.stream, "scan", counted)
    starts = [whole.events[at * 40][0] for at in range(25)]
    filters = [None, JobWhere(queues=("default",)), JobWhere(tasks=("noop",), states=(State.QUEUED,))]
    readings = [(at, live(after=start, where=where)) for at, start in enumerate(starts) for where in filters]
    await asyncio.gather(*(reading.until(5_000 - at * 40) for at, reading in readings))
    for at, reading in readings:
        assert reading.events == whole.events[at * 40 + 1 :]
        assert reading.gaps == []
    assert len(scans) < 25
    past = client.feed.hub.past
    assert past.bytes > 0
    monkeypatch.setattr(past, "keep_s", 0.0)
    await until(lambda: past.bytes == 0)


async def test_catching_up_waits_while_the_log_cannot_be_read(
    redis_url: str, open_client: OpenClient, client: Client, live: Callable[..., Reading]
) -> None:
    first = live()
    await enqueue_many(client, 3)
    await first.until(3)
    with TcpProxy(redis_url) as proxy:
        other = await open_client(redis_url=proxy.url)
        await other.feed.hub.reached()
        proxy.refuse()
        reading = Reading(other.feed.job_events(VIEWER, after=first.events[0][0]))
        waiting = asyncio.create_task(reading.until(2))
        await until(lambda: not other.feed.hub.health().ok)
        assert not waiting.done()
        proxy.release()
        assert await asyncio.wait_for(waiting, 20) == [event for _, event in first.events[1:]]
        assert reading.gaps == []


async def test_events_gather_where_there_are_many_subscribers(
    client: Client, live: Callable[..., Reading], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "GATHER_S", 1.0)
    reading = live()
    await reading.batch()
    begun = asyncio.get_running_loop().time()
    batches = 0
    for _ in range(20):
        await enqueue_many(client, 1)
    while len(reading.events) < 20:
        await reading.batch()
        batches += 1
    assert batches <= (asyncio.get_running_loop().time() - begun) / hub.GATHER_MAX_S + 1


async def test_the_cursor_of_who_waits_for_something_rare_does_not_grow_old(
    client: Client, live: Callable[..., Reading]
) -> None:
    client.feed.hub.refresh_s = 0
    rare, all_ = live(where=JobWhere(tasks=("nothing",))), live()
    await rare.batch()
    await enqueue_many(client, 1)
    await all_.until(1)
    await rare.batch()
    assert (rare.events, rare.gaps, rare.cursor) == ([], [], all_.cursor)
