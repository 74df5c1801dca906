"""Statements are timed where they run, inside of transactions too, and waiting is told apart."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from jobs.errors import StoreUnavailable
from jobs.store.figures import BUCKET_S, BUCKETS, Meter, Pool
from jobs.store.migrate import connect
from jobs.store.postgres import POOL_MAX
from jobs.store.postgres import Client as PostgresClient
from jobs.store.sqlite import Client as SqliteClient
from tests.wait import until

POOL = Pool(size=1, max=2, active=0, idle=1, waiting=0)
SLOW_S = 0.06
SLOW = {
    "postgres": f"SELECT pg_sleep({SLOW_S})",
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 999999) SELECT count(*) FROM n",
}


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[SqliteClient | PostgresClient]:
    database = await connect(database_url, Meter(slow_ms=20))
    yield database
    await database.close()


async def test_connecting_counts_as_no_statement(database: SqliteClient | PostgresClient) -> None:
    figures = database.meter.figures(database.pool())
    assert figures.statements.count == figures.since_start.count == 0
    assert figures.statements.average_ms is None
    assert figures.statements.longest_ms is None


@pytest.mark.parametrize("inside", [True, False])
async def test_every_statement_is_timed(database: SqliteClient | PostgresClient, inside: bool) -> None:
    slow = SLOW[database.dialect]
    if inside:
        async with database.transaction() as transaction:
            await transaction.execute("UPDATE epoch SET number = number")
            await transaction.fetch(slow)
    else:
        await database.fetch("SELECT 1")
        await database.fetch(slow)
    counted = database.meter.figures(database.pool()).statements
    assert counted.count == (4 if inside else 2)  # BEGIN and COMMIT are two
    assert counted.slow == 1
    assert counted.longest_ms is not None
    assert counted.longest_ms >= SLOW_S * 1000 * (1 if database.dialect == "postgres" else 0.3)
    assert counted.average_ms == pytest.approx(counted.total_ms / counted.count)


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
async def test_a_transaction_that_begins_behind_a_stranger_is_slow(database: SqliteClient, tmp_path: Path) -> None:
    slow: list[str] = []
    database.meter.on_slow = lambda sql, _: slow.append(sql)
    with closing(sqlite3.connect(tmp_path / "queueql.db", isolation_level=None)) as stranger:
        stranger.execute("BEGIN IMMEDIATE")

        async def write() -> None:
            async with database.transaction():
                pass

        writing = asyncio.create_task(write())
        await asyncio.sleep(SLOW_S)
        stranger.execute("ROLLBACK")
        await writing
    assert slow == ["BEGIN IMMEDIATE"]


async def test_failed_statements_count(database: SqliteClient | PostgresClient) -> None:
    with pytest.raises(Exception, match="no_such_table"):
        await database.fetch("SELECT 1 FROM no_such_table")
    assert database.meter.figures(database.pool()).statements.count == 1


async def test_reads_that_queue_up_are_not_slow_themselves(database: SqliteClient | PostgresClient) -> None:
    if database.dialect == "postgres":
        pytest.skip("has a connection for each of them")
    reads = asyncio.gather(database.fetch(SLOW["sqlite"]), *(database.fetch("SELECT 1") for _ in range(20)))
    await asyncio.sleep(0)
    pool = database.pool()
    assert (pool.active, pool.waiting) == (1, 20)
    await reads
    assert database.meter.figures(database.pool()).statements.slow == 1
    assert database.pool() == Pool(size=2, max=2, active=0, idle=2, waiting=0)


async def test_waiting_is_told_apart(database: SqliteClient | PostgresClient) -> None:
    held, go_on = 1 if database.dialect == "sqlite" else POOL_MAX, asyncio.Event()
    entered = 0

    async def hold() -> None:
        nonlocal entered
        async with database.transaction():
            entered += 1
            await go_on.wait()

    holders = [asyncio.create_task(hold()) for _ in range(held)]
    await until(lambda: entered == held)
    late = asyncio.create_task(hold())
    await until(lambda: database.pool().waiting == 1)
    pool = database.pool()
    assert pool.active == held
    assert pool.idle == pool.size - held
    await asyncio.sleep(0.05)
    go_on.set()
    await asyncio.gather(*holders, late)
    figures = database.meter.figures(database.pool())
    assert figures.waits.count == held + 1
    assert figures.waits.longest_ms is not None
    assert figures.waits.longest_ms >= 50
    assert figures.pool.waiting == figures.pool.active == 0
    assert figures.pool.idle == figures.pool.size


async def test_a_wait_that_is_given_up_waits_no_longer(database: SqliteClient | PostgresClient) -> None:
    await database.close()
    with pytest.raises(StoreUnavailable):
        async with database.transaction():
            pass
    pool = database.pool()
    assert (pool.waiting, pool.active) == (0, 0)


def test_the_window_forgets() -> None:
    now = 1000.0
    meter = Meter(now=lambda: now)
    began = now
    for _ in range(40):
        meter.add("SELECT 1", now - 0.010)
        now += BUCKET_S
    figures = meter.figures(POOL)
    assert figures.statements.count == BUCKETS
    assert figures.statements.total_ms == pytest.approx(10.0 * BUCKETS)
    assert figures.window_s == BUCKET_S * BUCKETS
    assert figures.since_start.count == 40
    now += BUCKET_S * (BUCKETS + 1)
    assert meter.figures(POOL).statements.count == 0
    assert meter.figures(POOL).since_start.count == 40
    assert now - began > meter.figures(POOL).window_s >= BUCKET_S * BUCKETS


def test_a_young_process_says_how_little_it_knows() -> None:
    now = 1001.5
    meter = Meter(slow_ms=5, now=lambda: now)
    now += 2.0
    meter.waited(now - 0.006)
    figures = meter.figures(POOL)
    assert figures.window_s == pytest.approx(2.0)
    assert (figures.waits.count, figures.waits.slow, figures.statements.count) == (1, 1, 0)
