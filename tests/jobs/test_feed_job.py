"""The feed of one job, and subscribers that go away."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from jobs.client import Client
from jobs.errors import NotFound
from jobs.job import Job, Progress, State
from jobs.outcome import Complete
from tests.jobs.hand import Hand
from tests.jobs.reading import VIEWER, Reading, enqueue

OpenClient = Callable[..., Awaitable[Client]]

pytestmark = pytest.mark.usefixtures("published")

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
