"""What processes say of themselves."""

from __future__ import annotations

import asyncio
from typing import Any

import redis.asyncio

from jobs.broker import Broker, keys
from jobs.broker.process import Processes
from jobs.snapshot import PoolFigures, ProcessFigures, ProcessKind
from tests.factories import make_worker_info

POOL = PoolFigures(
    size=2,
    size_max=2,
    active=1,
    idle=1,
    waiting=0,
    queries=7,
    slow_queries=0,
    queries_minute=4,
    average_query_ms=1.5,
)


def figures(kind: ProcessKind = ProcessKind.API, pid: int = 1, **more: object) -> ProcessFigures:
    values: dict[str, Any] = {"host": "test", "version": "0", "started_ms": 5, "seen_ms": 0} | more
    return ProcessFigures(kind=kind, pid=pid, **values)


async def test_what_was_said_is_read(broker: Broker) -> None:
    processes = Processes(broker)
    assert await processes.all() == []
    before = await broker.now_ms()
    await processes.say("b", figures(ProcessKind.SERVICES, cpu=0.5, memory_bytes=9, loop_lag_ms=3), for_s=10)
    await processes.say("a", figures(pid=2, pool=POOL), for_s=10)
    await processes.say("c", figures(pid=1), for_s=10)
    said = await processes.all()
    assert [(one.kind, one.pid) for one in said] == [("API", 1), ("API", 2), ("SERVICES", 1)]
    assert said[1].pool == POOL
    assert (said[2].cpu, said[2].memory_bytes, said[2].loop_lag_ms) == (0.5, 9, 3)
    assert all(before <= one.seen_ms <= before + 10_000 for one in said)


async def test_who_says_nothing_more_is_gone(broker: Broker, redis_client: redis.asyncio.Redis) -> None:
    processes = Processes(broker)
    await processes.say("dies", figures(pid=1), for_s=0.2)
    await processes.say("ends", figures(pid=2), for_s=60)
    await processes.say("stays", figures(pid=3), for_s=60)
    await processes.leave("ends")
    await processes.leave("ends")

    async with asyncio.timeout(10):
        while [one.pid for one in await processes.all()] != [3]:
            await asyncio.sleep(0.02)
    said = [(one.figures.pid, one.holds, one.ended) for one in await processes.known()]
    assert said == [(1, False, False), (2, False, True), (3, True, False)]
    long_ago_ms = await broker.now_ms() - 120_000
    await redis_client.zadd(keys.PROCESSES, {"dies": long_ago_ms, "ends": long_ago_ms})
    await redis_client.delete(keys.process("ends"))
    await processes.say("stays", figures(pid=3), for_s=60)
    assert await redis_client.zrange(keys.PROCESSES, 0, -1) == [b"stays"]
    assert 120_000 < await redis_client.pttl(keys.process("stays")) <= 180_000
    (stays,) = await processes.known()
    assert 0 < stays.since_ms <= stays.figures.seen_ms


async def test_a_worker_whose_lease_ran_out_is_known_and_one_that_said_goodbye_is_not(
    broker: Broker, redis_client: redis.asyncio.Redis
) -> None:
    processes = Processes(broker)
    await broker.reap()  # the first one after a pause spares everybody
    ends, dies = [await broker.open_session(make_worker_info()) for _ in range(2)]
    assert await processes.left_ms() == 0
    await ends.close()
    assert 0 < await processes.left_ms() <= await broker.now_ms()
    await redis_client.zadd(keys.LEASES, {dies.id: 1})
    await redis_client.hset(keys.session(dies.id), "seen", 7)
    assert (await broker.reap())[1] == [dies.id]
    (one,) = await processes.known()
    assert (one.figures.kind, one.figures.host, one.figures.pid) == (ProcessKind.WORKER, "test", 1)
    assert (one.figures.seen_ms, one.since_ms, one.holds) == (7, 0, False)
    assert 0 < await redis_client.pttl(keys.process("test:1")) <= 120_000
    await dies.close()
    # It was only paused, has come back with another session, and ends in order.
    await (await broker.open_session(make_worker_info())).close()
    assert await processes.known() == []


async def test_a_worker_whose_description_is_damaged_is_reaped_all_the_same(
    broker: Broker, redis_client: redis.asyncio.Redis
) -> None:
    await broker.reap()
    session = await broker.open_session(make_worker_info())
    await redis_client.zadd(keys.LEASES, {session.id: 1})
    await redis_client.hset(keys.session(session.id), "info", "{")
    assert (await broker.reap())[1] == [session.id]
    assert await Processes(broker).known() == []
    await session.close()


async def test_what_another_version_says_is_passed_over(broker: Broker, redis_client: redis.asyncio.Redis) -> None:
    processes = Processes(broker)
    await processes.say("a", figures(), for_s=60)
    await redis_client.hset(keys.process("a"), "figures", '{"kind":"TEAPOT"}')
    assert await processes.all() == []
