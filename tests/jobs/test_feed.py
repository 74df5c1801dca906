"""The feed, through the client, on real servers."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import structlog.testing

from jobs import event as events
from jobs.broker import Push
from jobs.client import Client
from jobs.errors import EpochChanged, InvalidCursor, NotFound
from jobs.event import Position
from jobs.feed import GapReason, hub
from jobs.job import Job, Progress, State
from jobs.outcome import Complete
from jobs.where import JobWhere
from tests.factories import make_spec
from tests.jobs.hand import Hand
from tests.jobs.reading import VIEWER, Reading, enqueue, enqueue_many
from tests.redis_server import RedisServer
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


async def test_a_cursor_older_than_what_is_kept_gets_a_gap(client: Client, live: Callable[..., Reading]) -> None:
    first = live()
    await enqueue_many(client, 1)
    await first.until(1)
    await first.subscription.aclose()
    await enqueue_many(client, 1)
    await enqueue_many(client, 1)
    await client.broker.client.xtrim("{qq}:events", maxlen=1, approximate=False)
    second = live(after=first.cursor)
    await second.until(1)
    assert second.gaps == [GapReason.CURSOR_TOO_OLD]
    await enqueue_many(client, 1)
    await second.until(2)
    assert second.gaps == [GapReason.CURSOR_TOO_OLD]


async def test_everybody_whose_cursor_is_too_old_gets_a_gap(client: Client, live: Callable[..., Reading]) -> None:
    first = live()
    await enqueue_many(client, 1)
    await first.until(1)
    for _ in range(3):
        await enqueue_many(client, 1)
    await client.broker.client.xtrim("{qq}:events", maxlen=2, approximate=False)
    for _ in range(2):
        reading = live(after=first.cursor)
        await reading.until(2)
        assert reading.gaps == [GapReason.CURSOR_TOO_OLD]


async def test_a_cursor_of_an_older_epoch_gets_a_gap(client: Client, live: Callable[..., Reading]) -> None:
    first = live()
    await enqueue_many(client, 1)
    await first.until(1)
    await first.subscription.aclose()
    await client.broker.client.flushall()
    await client.broker.raise_epoch(7)
    await enqueue_many(client, 1)
    second = live(after=first.cursor)
    await second.until(1)
    assert second.gaps == [GapReason.BROKER_LOST]


async def test_a_new_epoch_in_which_nothing_has_happened_is_a_gap_too(
    client: Client, live: Callable[..., Reading]
) -> None:
    first = live()
    await enqueue_many(client, 1)
    await first.until(1)
    await first.subscription.aclose()
    await client.broker.raise_epoch(client.broker.epoch + 1)
    await until(lambda: client.feed.hub.position == Position(client.broker.epoch, 0, 0, 0))
    second = live(after=first.cursor)
    await second.batch()
    assert second.gaps == [GapReason.BROKER_LOST]
    third = live(after=second.cursor)
    await third.batch()
    assert third.gaps == []
    await enqueue_many(client, 1)
    assert await third.until(1) == await second.until(1)
    fourth = live(after=second.cursor)
    await fourth.batch()
    assert second.gaps == [GapReason.BROKER_LOST]
    assert third.gaps == fourth.gaps == []


async def test_a_cursor_leads_over_a_change_of_epoch_with_a_gap_where_it_changes(
    client: Client, live: Callable[..., Reading]
) -> None:
    first = live()
    await enqueue_many(client, 1)
    await first.until(1)
    await first.subscription.aclose()
    await enqueue_many(client, 1)
    await client.broker.raise_epoch(client.broker.epoch + 1)
    await enqueue_many(client, 2)
    second = live(after=first.cursor)
    await second.batch()
    assert (len(second.events), second.gaps) == (1, [])
    await second.until(3)
    assert second.gaps == [GapReason.BROKER_LOST]
    third = live(after=second.events[1][0])
    await third.until(1)
    assert (third.events, third.gaps) == (second.events[2:], [])


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
    await enqueue_many(client, 1_000)
    await reading.until(1_000)
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


async def test_losing_redis_is_a_gap_and_goes_on(client: Client, live: Callable[..., Reading]) -> None:
    reading = live()
    await enqueue_many(client, 1)
    await reading.until(1)
    with structlog.testing.capture_logs() as logs:
        await client.broker.client.flushall()
        await client.broker.raise_epoch(client.broker.epoch + 1)
        await enqueue_many(client, 2)
        assert await reading.gap() is GapReason.BROKER_LOST
        await reading.until(3)
        await until(lambda: client.feed.hub.health().ok)
    assert [line["event"] for line in logs if line["event"].startswith("feed.")] == ["feed.away", "feed.back"]
    await enqueue_many(client, 1)
    await reading.until(4)
    assert reading.gaps == [GapReason.BROKER_LOST]
    resumed = live(after=reading.events[1][0])
    await resumed.until(2)
    assert resumed.events == reading.events[2:]


async def test_a_redis_that_was_started_anew_is_not_worked_on_before_its_epoch_begins(
    folder: Path, open_client: OpenClient, client: Client
) -> None:
    server = RedisServer(folder, append_only=True)
    server.start()
    try:
        other = await open_client(redis_url=server.url)
        await other.feed.hub.reached()
        reading = Reading(other.feed.job_events(VIEWER))
        await enqueue_many(other, 1)
        await reading.until(1)
        with structlog.testing.capture_logs() as logs:
            server.kill()
            await until(lambda: not other.feed.hub.health().ok)
            server.start()
            await until(lambda: other.feed.hub.health().ok)
        assert [line["event"] for line in logs if line["event"].startswith("feed.")] == ["feed.away", "feed.back"]
        with pytest.raises(EpochChanged):
            await other.broker.push([Push(spec=make_spec())])
        await other.broker.raise_epoch(other.broker.epoch + 1)
        await enqueue_many(other, 1)
        await reading.until(2)
        assert reading.gaps == [GapReason.BROKER_LOST]
        await other.close()
    finally:
        server.stop()


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


# One job


async def test_one_job_is_shown_at_once_then_as_it_becomes_until_it_ends(client: Client, hand: Hand) -> None:
    job = await enqueue(client)
    stream = client.feed.job(VIEWER, job.id)
    assert (await asyncio.wait_for(anext(stream), 10)).state is State.QUEUED
    reserved = await hand.start()
    states: list[State] = []
    while State.ACTIVE not in states:
        states.append((await asyncio.wait_for(anext(stream), 10)).state)
    await hand.progress(reserved, Progress(done=1, total=4))
    shown = await asyncio.wait_for(anext(stream), 10)
    assert shown.progress is not None
    assert shown.progress.percentage == 25
    await hand.finish(reserved, Complete('"done"'))
    rest = [item async for item in stream]
    assert [(item.state, item.result) for item in rest] == [(State.COMPLETED, "done")]


async def test_a_job_that_has_ended_is_shown_once(client: Client, hand: Hand) -> None:
    job = await enqueue(client)
    await hand.complete()
    for _ in range(2):
        assert [item.state async for item in client.feed.job(VIEWER, job.id)] == [State.COMPLETED]
        await hand.record()


async def test_only_the_latest_state_is_kept_and_at_most_ten_a_second(client: Client, hand: Hand) -> None:
    job = await enqueue(client)
    reserved = await hand.start()
    stream = client.feed.job(VIEWER, job.id)
    await anext(stream)
    begun = asyncio.get_running_loop().time()
    shown: list[Job] = []

    async def read() -> None:
        async for item in stream:
            shown.append(item)

    async with asyncio.TaskGroup() as group:
        group.create_task(read())
        for done in range(1, 101):
            await hand.progress(reserved, Progress(done=done, total=100))
        await hand.finish(reserved, Complete("null"))
    seconds = asyncio.get_running_loop().time() - begun
    assert shown[-1].state is State.COMPLETED
    assert len(shown) <= 10 * seconds + 2


async def test_a_job_that_does_not_exist_is_not_found(client: Client) -> None:
    for job_id in ("0197c0de-0000-7000-8000-000000000000", "\x00"):
        stream = client.feed.job(VIEWER, job_id)
        with pytest.raises(NotFound):
            await anext(stream)
        with pytest.raises(StopAsyncIteration):
            await anext(stream)


# Those that go away


async def test_subscribers_that_go_away_leave_nothing_behind(client: Client, live: Callable[..., Reading]) -> None:
    job = await enqueue(client)
    dropped = [client.feed.job_events(VIEWER) for _ in range(10)]
    watching = [client.feed.job(VIEWER, job.id) for _ in range(10)]
    closed = client.feed.job_events(VIEWER)
    assert client.feed.hub.subscribers == 11
    await closed.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(closed)
    reader = asyncio.create_task(anext(dropped[0]))
    await asyncio.wait([reader], timeout=0.01)
    reader.cancel()
    await asyncio.wait([reader])
    del dropped, watching, reader
    gc.collect()
    assert client.feed.hub.subscribers == 0
    assert client.feed.watched == 0


async def test_closing_ends_all_subscriptions(client: Client, live: Callable[..., Reading]) -> None:
    job = await enqueue(client)
    log, stream = client.feed.job_events(VIEWER), client.feed.job(VIEWER, job.id)
    await anext(stream)
    waiting = [asyncio.create_task(_drain(log)), asyncio.create_task(_drain(stream))]
    await client.feed.close()
    await asyncio.wait_for(asyncio.gather(*waiting), 10)


async def _drain(stream: Any) -> None:
    async for _ in stream:
        pass
