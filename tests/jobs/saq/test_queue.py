"""The queue and its Redis: round trips, standing alone, and beside others."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import redis.asyncio
import saq
import saq.worker
from saq.errors import InvalidUrlError
from saq.job import Status

from jobs.broker import keys
from jobs.event import Position
from jobs.saq import Queue
from tests.jobs.saq.steps import dequeue, enqueue
from tests.wait import eventually


async def test_calls_of_one_turn_share_their_round_trips(queue: Queue, redis_client: redis.asyncio.Redis) -> None:
    done = asyncio.Event()
    count = 0

    async def tick(_: Any) -> None:
        nonlocal count
        count += 1
        if count == 500:
            done.set()

    await asyncio.gather(*(queue.enqueue("tick") for _ in range(500)))
    await redis_client.config_resetstat()
    worker = saq.worker.Worker(queue, [("tick", tick)], concurrency=50)
    working = asyncio.create_task(worker.start())
    await done.wait()
    await worker.stop()
    await working

    calls = (await redis_client.info("commandstats"))["cmdstat_evalsha"]["calls"]
    assert calls < 250


async def test_queue_gives_redis_an_epoch_where_there_is_none(queue: Queue, redis_client: redis.asyncio.Redis) -> None:
    await enqueue(queue, "add", a=1)
    assert await redis_client.get(keys.EPOCH) == b"1"
    await dequeue(queue)

    await redis_client.flushall()
    await enqueue(queue, "add", a=2)
    assert await redis_client.get(keys.EPOCH) == b"2"
    assert (await dequeue(queue)).kwargs == {"a": 2}


async def test_sweep_clears_away_what_ended_where_nobody_records(
    queue: Queue, redis_client: redis.asyncio.Redis
) -> None:
    job = await enqueue(queue, "add", a=1)
    broker = await queue.broker()
    await broker.raise_epoch(2, cleared=False)  # as a reconciler does, which has not filled Redis yet
    await broker.set_cleared(2)
    await job.finish(Status.COMPLETE, result=1)
    settled = Position(2, await broker.now_ms(), 0, 0)

    async def is_settled() -> bool:
        return await broker.settled(settled) == settled

    await eventually(is_settled)
    await queue.sweep()
    assert len((await broker.ids())[1]) == 1

    await redis_client.delete(keys.RECONCILED)

    async def cleared() -> bool:
        await queue.sweep()
        return not (await broker.ids())[1]

    await eventually(cleared)
    await job.refresh()
    assert job.result == 1


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost:7000/2",
        "redis://me:p%40ss@localhost:7000/0",
        "rediss://localhost:7001/0?ssl_ca_certs=%2Fca.pem",
        "unix:///tmp/redis.sock?db=3",
        "unix://:secret@/tmp/redis.sock?db=0",
    ],
)
async def test_queue_finds_the_url_of_a_client(url: str) -> None:
    client = redis.asyncio.from_url(url)
    again = redis.asyncio.from_url(Queue(client)._url)
    given, found = client.connection_pool.connection_kwargs, again.connection_pool.connection_kwargs
    assert {name: value for name, value in given.items() if value} == {
        name: value for name, value in found.items() if value and (name in given or name != "port")
    }
    assert again.connection_pool.connection_class is client.connection_pool.connection_class


async def test_queue_says_which_urls_it_takes() -> None:
    with pytest.raises(InvalidUrlError, match="rediss://"):
        Queue.from_url("postgres://localhost")
