"""Each figure against its source, and what becomes of the others where one cannot be had."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import redis.asyncio
from structlog.testing import capture_logs

from jobs.broker.process import Processes
from jobs.client import Client
from jobs.clock import now_ms
from jobs.collectors import Collectors
from jobs.commands import EnqueueRequest
from jobs.job import Failure
from jobs.outcome import RetryLater
from jobs.services.recorder import Recorder
from jobs.snapshot import PoolFigures, ProcessFigures, ProcessKind, Snapshot
from jobs.store.config import sqlite_path
from jobs.store.migrate import Migrator
from jobs.viewer import SYSTEM
from tests.databases import new_postgres
from tests.factories import make_vitals
from tests.jobs.hand import Hand
from tests.jobs.tasks import registry
from tests.postgres_server import PostgresServer
from tests.tcp_proxy import TcpProxy
from tests.wait import until

OpenClient = Callable[..., Awaitable[Client]]
OF_DATABASE = {"attempts", "database", "ended", "recorder", "store"}
FROZEN_S = 2.5
"""What a collector is given: more than the second for who is connected and the one for the names of queues."""
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


async def test_a_redis_that_is_away_takes_its_own_figures_with_it_and_no_others(
    open_client: OpenClient, redis_url: str
) -> None:
    with TcpProxy(redis_url) as proxy:
        client = await open_client(redis_url=proxy.url)
        collectors = Collectors(client.store, client.broker, now_ms)
        proxy.refuse()
        with capture_logs() as lines:
            found = await collectors.collect()
            await collectors.collect()
        proxy.release()
        assert (await collectors.collect()).faults == {}
    assert found.redis is not None
    assert not found.redis.connected
    assert found.redis.memory_used_bytes is None
    assert (found.workers, found.recorder, found.processes) == (None, None, None)
    assert found.database is not None
    assert found.errors is not None
    assert set(found.faults) >= {"redis", "recorder", "workers", "processes"}
    assert found.faults["redis"].startswith("Redis does not answer")
    failed = [line["collector"] for line in lines if line["event"] == "collector.failed"]
    assert sorted(failed) == sorted(found.faults)


async def test_a_database_that_is_away_leaves_what_redis_knows(
    client: Client, published: None, collectors: Collectors
) -> None:
    await enqueue(client, 1)
    await collectors.collect()
    await client.store._database.close()
    found = await collectors.collect()
    assert set(found.faults) == OF_DATABASE
    assert (found.database, found.errors) == (None, None)
    assert found.recorder is not None
    assert (found.recorder.lag_events, found.recorder.lag_ms) == (None, None)
    assert found.recorder.stream_entries == 1
    assert found.queues is not None
    assert found.queues.total.completed is None
    assert found.queues.each[0].dead is None
    assert found.workers is not None
    assert found.workers.processed_hour is None
    assert found.redis is not None
    assert found.redis.connected


@pytest.fixture
def own_postgres(postgres_server: PostgresServer, tmp_path: Path) -> Iterator[PostgresServer]:
    """One that may be frozen: nobody else uses it meanwhile."""
    if postgres_server.is_ours:
        yield postgres_server
        return
    server = PostgresServer(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.mark.parametrize("dialect", ["postgres"], indirect=True)
async def test_a_database_that_is_frozen_takes_its_own_figures_with_it_and_no_others(
    open_client: OpenClient, own_postgres: PostgresServer
) -> None:
    with new_postgres(own_postgres) as url:
        await Migrator().migrate(url)
        client = await open_client(database_url=url)
        await client.commands.task.publish(registry.definitions())
        await enqueue(client, 2)
        await until(lambda: client.pusher.waiting == 0)
        collectors = Collectors(client.store, client.broker, now_ms, timeout_s=FROZEN_S)
        assert (await collectors.collect()).faults == {}
        with own_postgres.frozen():
            found = await collectors.collect()
            assert found.took_ms < 1000 * (FROZEN_S + 0.5)
            assert set(found.faults) == OF_DATABASE
            assert found.queues is not None
            assert found.queues.total.waiting == 2
            assert None not in (found.redis, found.workers, found.processes, found.recorder)
        assert (await collectors.collect()).faults == {}
        await collectors.close()
        await client.close()


@pytest.fixture
async def hanging(client: Client) -> AsyncIterator[Collectors]:
    """Its figures of Redis never come."""
    collectors = Collectors(client.store, client.broker, now_ms, timeout_s=0.5)
    gone = asyncio.Event()

    async def hang() -> None:
        await gone.wait()

    collectors._redis = hang  # type: ignore[method-assign, assignment]  # what a driver that hangs does
    yield collectors
    await collectors.close()


async def test_a_collector_that_hangs_is_given_up_and_the_others_are_kept(hanging: Collectors) -> None:
    async with asyncio.timeout(3):
        found = await hanging.collect()
    assert found.faults == {"redis": "This took longer than 0.5 seconds."}
    assert found.redis is not None
    assert not found.redis.connected
    assert None not in (found.queues, found.workers, found.database, found.recorder, found.processes, found.errors)
    assert 500 <= found.took_ms < 2_000


async def test_a_collector_with_a_bug_is_named_without_its_words(collectors: Collectors) -> None:
    async def fail() -> None:
        raise RuntimeError("the password is hunter2")

    collectors._redis = fail  # type: ignore[method-assign, assignment]  # a bug of ours
    with capture_logs() as lines:
        found = await collectors.collect()
    assert found.faults == {"redis": "RuntimeError; the log of the process says more."}
    assert lines[0]["exc_info"]


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


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
async def test_a_database_that_can_be_read_and_takes_nothing_is_named(
    client: Client, collectors: Collectors, database_url: str
) -> None:
    path = sqlite_path(database_url)
    assert path is not None
    with closing(sqlite3.connect(path, isolation_level=None)) as stranger:
        stranger.execute("BEGIN IMMEDIATE")
        assert (await collectors.collect()).faults == {"store": "The database does not answer."}
        stranger.rollback()
    assert (await collectors.collect()).faults == {}
