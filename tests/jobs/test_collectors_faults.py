"""What becomes of the other figures where a source is away, silent or wrong."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from jobs.client import Client
from jobs.clock import now_ms
from jobs.collectors import Collectors
from jobs.store.config import sqlite_path
from jobs.store.migrate import Migrator
from tests.databases import new_postgres
from tests.jobs.reading import enqueue, enqueue_many
from tests.jobs.tasks import registry
from tests.postgres_server import PostgresServer
from tests.tcp_proxy import TcpProxy
from tests.wait import until

OpenClient = Callable[..., Awaitable[Client]]
OF_DATABASE = {"attempts", "database", "ended", "recorder", "store"}
FROZEN_S = 2.5
"""What a collector is given: more than the second for who is connected and the one for the names of queues."""


@pytest.fixture
def collectors(client: Client) -> Collectors:
    return Collectors(client.store, client.broker, now_ms)


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
    await enqueue(client)
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


async def test_that_there_is_no_queue_is_known_without_the_database(client: Client, collectors: Collectors) -> None:
    assert (await collectors.collect()).faults == {}
    await client.store._database.close()
    found = await collectors.collect()
    assert set(found.faults) == OF_DATABASE
    assert found.queues is not None
    assert found.queues.each == ()


async def test_where_nobody_hears_their_process_no_processes_are_shown(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.collectors.HEARD_S", 0.1)
    found = await Collectors(client.store, client.broker, now_ms, heard=asyncio.Event()).collect()
    assert found.faults == {"processes": "This process has not been heard yet."}
    assert found.processes is None


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
        await enqueue_many(client, 2)
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
