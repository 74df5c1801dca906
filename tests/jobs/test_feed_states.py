"""The feed: queues, lists and logs, live, through the client, on real servers."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import pytest

from jobs.client import Client
from jobs.commands import EnqueueRequest
from jobs.errors import InvalidCursor, NotFound
from jobs.feed import ListedPage
from jobs.job import Job, LogLevel, State
from jobs.outcome import Complete
from jobs.page import PageRequest
from jobs.services.recorder import Recorder
from jobs.viewer import Role, Viewer
from jobs.where import JobWhere
from tests.jobs.hand import Hand
from tests.jobs.tasks import registry
from tests.wait import until

VIEWER = Viewer(id="v", name="viewer", role=Role.OPERATOR)
T = TypeVar("T")


@pytest.fixture(autouse=True)
async def _published(client: Client) -> None:
    await client.commands.task.publish(registry.definitions())


@pytest.fixture
async def _recording(client: Client) -> AsyncIterator[None]:
    """History follows what happens."""
    recorder = Recorder(client.store, client.broker)
    recorder.start()
    yield
    await recorder.stop()


async def enqueue(client: Client, task: str = "noop", **fields: Any) -> Job:
    return (await client.commands.job.enqueue(VIEWER, EnqueueRequest(task=task, **fields))).job


async def following(stream: AsyncIterator[T]) -> T:
    return await asyncio.wait_for(anext(stream), 10)


@asynccontextmanager
async def counting(owner: Any, name: str) -> AsyncIterator[list[Any]]:
    """Note the calls of a method meanwhile."""
    calls: list[Any] = []
    method = getattr(owner, name)

    async def counted(*given: Any, **named: Any) -> Any:
        calls.append(given)
        return await method(*given, **named)

    setattr(owner, name, counted)
    try:
        yield calls
    finally:
        delattr(owner, name)


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


@pytest.mark.usefixtures("_recording")
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


@pytest.mark.usefixtures("_recording")
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


# Logs


async def lines(stream: Any, count: int) -> tuple[list[str], str]:
    """Read until there are so many lines; return them and the last cursor."""
    found: list[str] = []
    cursor = ""
    while len(found) < count:
        batch = await following(stream)
        found += [line.message for line in batch.lines]
        cursor = batch.cursors[-1]
    return found, cursor


@pytest.mark.usefixtures("_recording")
async def test_a_log_is_shown_as_it_is_then_as_it_grows_until_the_job_ends(client: Client, hand: Hand) -> None:
    job = await enqueue(client)
    reserved = await hand.start()
    await hand.log(reserved, LogLevel.INFO, "one")
    await hand.log(reserved, LogLevel.WARNING, "two")
    every = client.feed.job_log(VIEWER, job.id)
    severe = client.feed.job_log(VIEWER, job.id, LogLevel.WARNING)
    assert (await lines(every, 2))[0] == ["one", "two"]
    found, cursor = await lines(severe, 1)
    assert found == ["two"]
    for number in range(150):
        await hand.log(reserved, LogLevel.DEBUG, str(number))
    await hand.log(reserved, LogLevel.ERROR, "three")
    assert (await lines(every, 151))[0] == [*map(str, range(150)), "three"]
    assert (await lines(severe, 1))[0] == ["three"]
    again = client.feed.job_log(VIEWER, job.id, LogLevel.WARNING, after=cursor)
    assert (await lines(again, 1))[0] == ["three"]
    page = await client.queries.job.logs(VIEWER, job.id, PageRequest(after=cursor), LogLevel.WARNING)
    assert [line.message for line in page.items] == ["three"]
    await hand.log(reserved, LogLevel.INFO, "last")
    await hand.finish(reserved, Complete("null"))
    assert [line.message async for batch in every for line in batch.lines] == ["last"]
    assert [batch async for batch in severe] == []
    over = client.feed.job_log(VIEWER, job.id)
    assert len([line async for batch in over for line in batch.lines]) == 154


async def test_a_log_of_nothing_is_refused(client: Client) -> None:
    stream = client.feed.job_log(VIEWER, "0197c0de-0000-7000-8000-000000000000")
    with pytest.raises(NotFound):
        await following(stream)
    job = await enqueue(client)
    with pytest.raises(InvalidCursor):
        await following(client.feed.job_log(VIEWER, job.id, after="nope"))


@pytest.mark.usefixtures("_recording")
async def test_who_is_at_the_same_place_of_a_log_shares_what_is_read(client: Client, hand: Hand) -> None:
    job = await enqueue(client)
    reserved = await hand.start()
    await hand.log(reserved, LogLevel.INFO, "one")
    streams = [client.feed.job_log(VIEWER, job.id) for _ in range(20)]
    for stream in streams:
        assert (await lines(stream, 1))[0] == ["one"]
    waiting = [asyncio.create_task(following(stream)) for stream in streams]
    await asyncio.wait(waiting, timeout=0.2)
    async with counting(client.store.search, "logs") as calls:
        await hand.log(reserved, LogLevel.INFO, "two")
        assert [[line.message for line in batch.lines] for batch in await asyncio.gather(*waiting)] == [["two"]] * 20
        assert len(calls) <= 4


@pytest.mark.usefixtures("_recording")
async def test_who_comes_after_a_line_does_not_share_what_was_read_before_it(
    client: Client, hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await enqueue(client)
    reserved = await hand.start()
    begun, go_on = asyncio.Event(), asyncio.Event()
    logs = client.store.search.logs

    async def held(*given: Any, **named: Any) -> Any:
        page = await logs(*given, **named)
        if not begun.is_set():
            begun.set()
            await go_on.wait()
        return page

    monkeypatch.setattr(client.store.search, "logs", held)
    first = asyncio.create_task(following(client.feed.job_log(VIEWER, job.id)))
    await begun.wait()
    await hand.log(reserved, LogLevel.INFO, "one")
    assert (await lines(client.feed.job_log(VIEWER, job.id, LogLevel.INFO), 1))[0] == ["one"]
    assert (await lines(client.feed.job_log(VIEWER, job.id), 1))[0] == ["one"]
    go_on.set()
    assert [line.message for line in (await first).lines] == ["one"]


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
