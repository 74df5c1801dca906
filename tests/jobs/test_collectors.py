"""Each figure against its source."""

from __future__ import annotations

import asyncio
import os

import pytest
import redis.asyncio

from jobs.broker.process import Processes
from jobs.client import Client
from jobs.clock import now_ms
from jobs.collectors import Collectors
from jobs.commands import EnqueueRequest
from jobs.job import Failure
from jobs.outcome import RetryLater
from jobs.services.herald import Herald
from jobs.services.recorder import Recorder
from jobs.snapshot import PoolFigures, ProcessFigures, ProcessKind, Snapshot
from jobs.viewer import SYSTEM
from tests.factories import make_vitals
from tests.jobs.hand import Hand

LIVE_OF_QUEUE = ("waiting", "delayed", "active", "blocked")


@pytest.fixture
def collectors(client: Client) -> Collectors:
    return Collectors(client.store, client.broker, now_ms)


async def enqueue(client: Client, number: int, **options: object) -> None:
    for _ in range(number):
        await client.commands.job.enqueue(SYSTEM, EnqueueRequest(task="noop", queue="default", **options))


def process(kind: ProcessKind, pid: int, **more: object) -> ProcessFigures:
    values = {"host": "test", "version": "0", "started_ms": 0, "seen_ms": 0} | more
    return ProcessFigures(kind=kind, pid=pid, **values)  # type: ignore[arg-type]  # figures of any kind


def pool(size: int, queries: int, average_query_ms: float | None) -> PoolFigures:
    return PoolFigures(
        size=size,
        size_max=10,
        active=1,
        idle=size - 1,
        waiting=2,
        queries=1_000,
        slow_queries=3,
        queries_minute=queries,
        average_query_ms=average_query_ms,
    )


async def test_jobs_are_counted_where_they_are(
    client: Client, published: None, hand: Hand, collectors: Collectors
) -> None:
    await enqueue(client, 7)
    await enqueue(client, 2, scheduled_ms=now_ms() + 3_600_000)
    for _ in range(2):
        await hand.complete()
    await hand.kill()
    failed = await hand.start()
    await hand.finish(failed, RetryLater(Failure(type="ValueError", message="no"), 3_600_000))
    await hand.start()
    await hand.record()
    found = await collectors.collect()
    assert found.faults == {}
    assert found.queues is not None
    (queue,) = found.queues.each
    assert queue.name == "default"
    assert {name: getattr(queue, name) for name in LIVE_OF_QUEUE} == {
        "waiting": 2,
        "delayed": 3,
        "active": 1,
        "blocked": 0,
    }
    assert (queue.completed, queue.failed, queue.cancelled, queue.dead) == (2, 1, 0, 1)
    assert found.queues.total == type(found.queues.total)(
        waiting=2, delayed=3, active=1, blocked=0, completed=2, failed=1, cancelled=0, dead=1
    )
    assert found.errors is not None
    assert (found.errors.dead_hour, found.errors.count) == (1, 1)
    assert found.recorder is not None
    assert found.recorder.lag_events == 0


async def test_workers_are_those_that_hold_a_lease(
    client: Client, published: None, hand: Hand, collectors: Collectors
) -> None:
    await enqueue(client, 2)
    await hand.complete()
    await hand.start()
    idle = await Hand.open(client, Recorder(client.store, client.broker))
    try:
        await asyncio.to_thread(idle.session.renew, make_vitals())
        await hand.record()
        found = await collectors.collect()
    finally:
        await idle.close()
    assert found.workers is not None
    assert (found.workers.total, found.workers.active, found.workers.idle, found.workers.stuck) == (2, 1, 1, 0)
    assert (found.workers.slots, found.workers.running) == (20, 1)
    assert (found.workers.processed_hour, found.workers.failed_hour) == (1, 0)
    (row,) = await client.store._database.fetch("SELECT started_ms, finished_ms FROM attempt WHERE state = 'COMPLETED'")
    assert found.workers.average_run_ms == row["finished_ms"] - row["started_ms"]
    assert (await collectors.collect()).workers.total == 1  # type: ignore[union-attr]  # the test before says so


async def test_processes_say_how_they_are_and_what_they_need_of_the_database(
    client: Client, hand: Hand, collectors: Collectors
) -> None:
    processes = Processes(client.broker)
    await processes.say("a", process(ProcessKind.API, 7, cpu=0.25, memory_bytes=100, loop_lag_ms=3), for_s=60)
    services = process(ProcessKind.SERVICES, 8, cpu=0.5, memory_bytes=200, loop_lag_ms=9, pool=pool(3, 30, 2.0))
    await processes.say("b", services, for_s=60)
    await processes.say("c", process(ProcessKind.WORKER, 1, pool=pool(2, 10, 6.0)), for_s=60)
    await asyncio.to_thread(hand.session.renew, make_vitals())
    found = await collectors.collect()
    assert found.processes is not None
    assert [(one.kind, one.pid, one.memory_bytes) for one in found.processes.each] == [
        ("API", 7, 100),
        ("SERVICES", 8, 200),
        ("WORKER", 1, None),
    ]
    assert found.processes.each[2].pool == pool(2, 10, 6.0)
    total = found.processes.total
    assert (total.count, total.cpu, total.memory_bytes, total.loop_lag_ms) == (3, 0.75, 300, 9)
    database = found.database
    assert database is not None
    assert (database.pool_size, database.pool_active, database.pool_idle, database.pool_waiting) == (5, 2, 3, 4)
    assert (database.queries, database.slow_queries, database.queries_minute) == (2_000, 6, 40)
    assert database.average_query_ms == pytest.approx(3.0)


async def test_the_first_figures_wait_until_their_own_process_is_heard(client: Client) -> None:
    herald = Herald(ProcessKind.SERVICES, client.store, client.broker)
    collecting = asyncio.create_task(Collectors(client.store, client.broker, now_ms, heard=herald.heard).collect())
    try:
        herald.start()
        found = await collecting
    finally:
        await herald.stop()
    assert found.faults == {}
    assert found.processes is not None
    assert [one.pid for one in found.processes.each] == [os.getpid()]
    assert found.database is not None
    assert found.database.pool_size is not None


async def test_all_collectors_work_side_by_side(collectors: Collectors) -> None:
    async def slow() -> None:
        await asyncio.sleep(0.3)

    names = ("_queues", "_ended", "_redis", "_lag")
    for name in names:
        setattr(collectors, name, slow)
    assert (await collectors.collect()).took_ms < 0.3 * 1000 * 2


async def test_many_who_ask_at_once_cost_one_collection(client: Client, redis_client: redis.asyncio.Redis) -> None:
    async def collected() -> int:
        return int((await redis_client.info("commandstats")).get("cmdstat_info", {"calls": 0})["calls"])

    before = await collected()
    found: list[Snapshot] = await asyncio.gather(*(client.queries.health.now(SYSTEM) for _ in range(100)))
    found += [await client.queries.health.now(SYSTEM) for _ in range(20)]
    assert len({id(one) for one in found}) == 1
    assert await collected() - before == 2  # one of them asked for this very figure


@pytest.mark.parametrize("dialect", ["postgres"], indirect=True)
async def test_collecting_finds_none_of_its_own_statements_running(collectors: Collectors) -> None:
    found = [(await collectors.collect()).database for _ in range(30)]
    assert [one.connections_active for one in found if one] == [0] * 30
