"""The feed: workers, each and all, live, through the client, on a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from jobs.broker import Vitals
from jobs.client import Client
from jobs.errors import BrokerUnavailable, NotFound
from jobs.feed.worker import WorkersLive
from jobs.queries.worker import WorkerState
from tests.factories import make_worker_info
from tests.jobs.commands.requests import READER
from tests.redis_server import RedisServer
from tests.wait import eventually, until


@pytest.fixture
def dialect(sqlite_template: object) -> str:
    """The database has no part in this."""
    return "sqlite"


@pytest.fixture
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.feed.worker.READ_EVERY_S", 0.05)


async def following(subscription: WorkersLive[Any], condition: Callable[[Any], object]) -> Any:
    async with asyncio.timeout(10):
        while not condition(value := await anext(subscription)):
            pass
    return value


@pytest.mark.usefixtures("_fast")
async def test_one_worker_is_followed_to_its_end(client: Client) -> None:
    session = await client.broker.open_session(make_worker_info())
    live = client.feed.worker(READER, session.id)
    assert (await anext(live)).state is WorkerState.STARTING
    await asyncio.to_thread(session.renew, Vitals(concurrency=3, queues=("a",)))
    assert (await following(live, lambda worker: worker.concurrency == 3)).queues == ("a",)
    await session.close()
    assert await following(live, lambda worker: worker is None) is None
    with pytest.raises(StopAsyncIteration):
        await anext(live)
    assert client.feed.watched_workers == 0


@pytest.mark.usefixtures("_fast")
async def test_all_workers_are_followed(client: Client) -> None:
    one = await client.broker.open_session(make_worker_info())
    live, short = client.feed.workers(READER, 100), client.feed.workers(READER, 1)
    first = await anext(live)
    assert ([worker.id for worker in first.workers], first.total) == ([one.id], 1)
    other = await client.broker.open_session(make_worker_info())
    both = await following(live, lambda snapshot: snapshot.total == 2)
    assert [worker.id for worker in both.workers] == [one.id, other.id]
    cut = await following(short, lambda snapshot: snapshot.total == 2)
    assert [worker.id for worker in cut.workers] == [one.id]
    await one.close()
    assert [worker.id for worker in (await following(live, lambda it: it.total == 1)).workers] == [other.id]
    await other.close()
    await live.aclose()
    await short.aclose()


@pytest.mark.usefixtures("_fast")
async def test_subscribers_share_one_reading_and_a_slow_one_gets_the_latest(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    readings = 0
    workers = client.broker.workers

    async def counted() -> Any:
        nonlocal readings
        readings += 1
        return await workers()

    session = await client.broker.open_session(make_worker_info())
    monkeypatch.setattr(client.broker, "workers", counted)
    many: list[WorkersLive[Any]] = [client.feed.workers(READER, 100) for _ in range(20)]
    many += [client.feed.worker(READER, session.id) for _ in range(20)]
    await asyncio.gather(*(anext(live) for live in many))
    assert readings == 1
    for concurrency in (1, 2, 3):
        before = readings
        await asyncio.to_thread(session.renew, Vitals(concurrency=concurrency, queues=("a",)))
        await until(lambda before=before: readings > before + 1)  # type: ignore[misc]  # mypy has no type for it
    assert (await anext(many[-1])).concurrency == 3
    assert (await anext(many[0])).workers[0].concurrency == 3
    unchanged = asyncio.ensure_future(anext(many[0]))
    before = readings
    await until(lambda: readings > before + 3)
    assert not unchanged.done()  # nothing is sent where nothing has changed
    unchanged.cancel()
    del many, unchanged
    await until(lambda: client.feed.watched_workers == 0)
    reading = client.feed._roll_call._task
    assert reading
    await until(reading.done)  # nobody listens, nobody reads
    live = client.feed.workers(READER, 1)
    assert (await anext(live)).total == 1
    await session.close()


async def test_whoever_joins_others_does_not_wait_for_the_next_reading(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.feed.worker.READ_EVERY_S", 30.0)
    live = client.feed.workers(READER, 1)
    await anext(live)
    async with asyncio.timeout(5):
        await anext(client.feed.workers(READER, 1))


async def test_a_worker_that_is_not_there_cannot_be_followed(client: Client) -> None:
    live = client.feed.worker(READER, "nobody")
    with pytest.raises(NotFound):
        await anext(live)
    with pytest.raises(StopAsyncIteration):
        await anext(live)


@pytest.mark.usefixtures("_fast")
async def test_whoever_follows_outlives_an_outage(client: Client, redis_server: RedisServer) -> None:
    async def refused() -> bool:
        try:
            await anext(client.feed.workers(READER, 100))
        except BrokerUnavailable:
            return True
        return False

    session = await client.broker.open_session(make_worker_info())
    live = client.feed.workers(READER, 100)
    assert (await anext(live)).total == 1
    redis_server.kill()
    try:
        await eventually(refused)  # whoever begins now hears of it
        waiting = asyncio.ensure_future(anext(live))
    finally:
        redis_server.start()
    async with asyncio.timeout(10):
        assert (await waiting).total == 0  # this Redis has lost everything
    await session.close()


@pytest.mark.usefixtures("_fast")
async def test_following_ends_with_the_process(client: Client) -> None:
    live = client.feed.workers(READER, 100)
    await anext(live)
    waiting = asyncio.ensure_future(anext(live))
    await asyncio.sleep(0)
    await client.feed.close()
    with pytest.raises(StopAsyncIteration):
        await waiting
