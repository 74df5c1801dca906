"""The feed: queues and lists, live, through the client, on real servers; and those who follow them and go away."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from typing import Any

import pytest

from jobs.client import Client
from jobs.errors import NotFound
from jobs.feed import ListedPage
from jobs.job import LogLevel, State
from jobs.outcome import Complete
from jobs.where import JobWhere
from tests.jobs.hand import Hand
from tests.jobs.reading import VIEWER, counting, enqueue, following
from tests.wait import until

pytestmark = pytest.mark.usefixtures("published")


# Queues


async def test_a_queue_is_shown_at_once_then_as_its_counts_become(client: Client, hand: Hand) -> None:
    await enqueue(client)
    await until(lambda: not client.pusher.waiting)
    stream = client.feed.queue(VIEWER, "default")
    assert (await following(stream)).counts[State.QUEUED] == 1
    job = await hand.start()
    seen: list[dict[State, int]] = []
    while not seen or seen[-1][State.ACTIVE] != 1:
        seen.append((await following(stream)).counts)
    await hand.finish(job, Complete("null"))
    while any(seen[-1].values()):
        seen.append((await following(stream)).counts)


async def test_a_queue_that_never_had_a_job_is_not_found(client: Client) -> None:
    stream = client.feed.queue(VIEWER, "nope")
    with pytest.raises(NotFound):
        await following(stream)
    with pytest.raises(StopAsyncIteration):
        await following(stream)
    await enqueue(client, queue="later")
    assert (await following(client.feed.queue(VIEWER, "later"))).name == "later"


async def test_queues_are_read_once_for_all_who_watch_and_only_when_something_happens(client: Client) -> None:
    await enqueue(client)
    await until(lambda: not client.pusher.waiting)
    async with counting(client.broker, "counts") as calls:
        streams = [client.feed.queue(VIEWER, "default") for _ in range(20)]
        for stream in streams:
            await following(stream)
        first = len(calls)
        assert first <= 3
        begun = asyncio.get_running_loop().time()
        for _ in range(30):
            await enqueue(client)
        for stream in streams:
            while (await following(stream)).counts[State.QUEUED] != 31:
                pass
        seconds = asyncio.get_running_loop().time() - begun
        assert len(calls) - first <= 4 * seconds + 2


async def test_a_state_that_is_as_before_is_not_shown_again(client: Client, hand: Hand) -> None:
    await enqueue(client)
    job = await hand.start()
    stream = client.feed.queue(VIEWER, "default")
    shown = await following(stream)
    async with counting(client.broker, "counts") as calls:
        for number in range(2):
            before = len(calls)
            await hand.log(job, LogLevel.INFO, str(number))
            await until(lambda: len(calls) > before)  # noqa: B023  # it is done with before the next round
    await hand.finish(job, Complete("null"))
    assert (await following(stream)).counts != shown.counts


# Lists


async def shown(stream: AsyncIterator[ListedPage], *ids: str) -> ListedPage:
    """Read until the page has just these jobs."""
    page = await following(stream)
    while [job.id for job in page.items] != list(ids):
        page = await following(stream)
    return page


@pytest.mark.usefixtures("recording")
async def test_a_list_is_shown_at_once_then_as_jobs_come_change_and_go(client: Client, hand: Hand) -> None:
    first = await enqueue(client)
    waiting = client.feed.jobs(VIEWER, JobWhere(states=(State.QUEUED,)), 2)
    every = client.feed.jobs(VIEWER, JobWhere(), 2)
    await shown(waiting, first.id)
    await shown(every, first.id)
    second = await enqueue(client, "send_mail", args={"to": "x"})
    await shown(waiting, second.id, first.id)
    assert await hand.complete() == first.id
    await shown(waiting, second.id)
    page = await shown(every, second.id, first.id)
    while page.items[1].state is not State.COMPLETED:
        page = await following(every)
    third = await enqueue(client, "send_mail", args={"to": "x"})
    assert (await shown(every, third.id, second.id)).has_next


@pytest.mark.usefixtures("recording")
async def test_lists_that_are_equal_are_read_once_and_at_most_once_a_second(client: Client) -> None:
    async with counting(client.store.search, "jobs") as calls:
        streams = [client.feed.jobs(VIEWER, JobWhere(queues=("default",)), 5) for _ in range(20)]
        begun = asyncio.get_running_loop().time()
        for _ in range(10):
            last = await enqueue(client)
            await asyncio.sleep(0.05)
        for stream in streams:
            while not (page := await following(stream)).items or page.items[0].id != last.id:
                pass
        assert len(calls) <= asyncio.get_running_loop().time() - begun + 2


# Those that go away


async def test_those_who_go_away_leave_nothing_behind(client: Client) -> None:
    job = await enqueue(client)
    streams: list[Any] = [
        client.feed.queue(VIEWER, "default"),
        client.feed.jobs(VIEWER, JobWhere(), 5),
        client.feed.job_log(VIEWER, job.id),
    ]
    assert client.feed.followed == 3
    closed = client.feed.queue(VIEWER, "default")
    await closed.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(closed)
    assert client.feed.followed == 3
    streams.clear()
    gc.collect()
    assert client.feed.followed == 0


async def test_closing_ends_them(client: Client) -> None:
    job = await enqueue(client)
    streams: list[Any] = [
        client.feed.queue(VIEWER, "default"),
        client.feed.jobs(VIEWER, JobWhere(), 5),
        client.feed.job_log(VIEWER, job.id),
    ]
    waiting = [asyncio.create_task(_drain(stream)) for stream in streams]
    await asyncio.wait(waiting, timeout=0.1)
    await client.feed.close()
    await asyncio.wait_for(asyncio.gather(*waiting), 10)


async def _drain(stream: Any) -> None:
    async for _ in stream:
        pass


async def test_who_comes_between_an_end_and_its_recording_hears_of_it(client: Client, hand: Hand) -> None:
    job = await enqueue(client)
    await until(lambda: not client.pusher.waiting)
    other = client.feed.job(VIEWER, job.id)
    await following(other)
    await hand.record()
    earlier = client.feed.jobs(VIEWER, JobWhere(), 10)
    await shown(earlier, job.id)
    await until(lambda: client.feed._logs._news)  # whatever happened before they came was told
    await earlier.aclose()
    await hand.complete()
    last = await client.broker.stream.last()
    await until(lambda: client.feed.hub.position == last)  # the end was heard of, and nobody waited for it in history
    async with counting(client.store.search, "logs") as looks:
        after = asyncio.create_task(following(client.feed.job_log(VIEWER, job.id)))
        ended = client.feed.jobs(VIEWER, JobWhere(states=(State.COMPLETED,)), 10)
        assert (await following(ended)).items == []
        await until(lambda: looks)
    await hand.record()
    with pytest.raises(StopAsyncIteration):
        await after
    await shown(ended, job.id)
