"""Slow statements: logged without their values, counted, and the worst of them kept."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from itertools import count

import pytest
from structlog.testing import capture_logs

from jobs.store import Store
from jobs.store.slow_query import KEPT_MAX, LOG_EVERY_MS, NOTED_MAX

SECRET = "hunter2-hunter2"  # what must not be logged
SLOW = {
    "postgres": "SELECT pg_sleep(0.03), $1::text AS given",
    "sqlite": (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500000)"
        " SELECT count(*), CAST($1 AS TEXT) AS given FROM n"
    ),
}


class Clock:
    now_ms = 1_000_000

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(database_url: str, clock: Clock) -> AsyncIterator[Store]:
    store = await Store.open(database_url, clock=clock, slow_query_ms=15)
    yield store
    await store.close()


@pytest.mark.parametrize("inside", [True, False])
async def test_a_slow_statement_is_logged_and_kept_without_its_values(store: Store, clock: Clock, inside: bool) -> None:
    database = store._database
    with capture_logs() as lines:
        for _ in range(3):
            if inside:
                async with database.transaction() as transaction:
                    rows = await transaction.fetch(SLOW[store.dialect], (SECRET,))
            else:
                rows = await database.fetch(SLOW[store.dialect], (SECRET,))
            assert rows[0]["given"] == SECRET
            clock.now_ms += 10
        await store.slow.flush()
    logged = [line for line in lines if line["event"] == "store.slow_query" and "given" in line["sql"]]
    assert len(logged) == 1
    assert logged[0]["took_ms"] >= 15
    assert SECRET not in repr(lines)
    [kept] = [one for one in await store.slow.worst() if "given" in one.sql]
    assert kept.count == 3
    assert 15 <= kept.worst_ms <= kept.total_ms
    assert kept.last_at_ms == 1_000_020
    assert SECRET not in repr(kept)
    assert store.figures().statements.slow >= 3


async def test_a_fast_statement_is_not(store: Store) -> None:
    with capture_logs() as lines:
        await store._database.fetch("SELECT 1")
        await store.slow.flush()
    assert [line for line in lines if "SELECT 1" in str(line)] == []
    assert "SELECT 1" not in [one.sql for one in await store.slow.worst()]


async def test_each_text_is_logged_once_a_minute(store: Store, clock: Clock) -> None:
    with capture_logs() as lines:
        for pause_ms in (0, LOG_EVERY_MS - 1, 1, 0):
            clock.now_ms += pause_ms
            store.slow.notice("SELECT 'a'", 20.0)
            store.slow.notice("SELECT 'b'", 20.0)
    assert [line["sql"] for line in lines] == ["SELECT 'a'", "SELECT 'b'"] * 2


async def test_processes_add_up(store: Store, database_url: str, clock: Clock) -> None:
    other = await Store.open(database_url, clock=clock)
    try:
        store.slow.notice("SELECT 'x'", 40.0)
        clock.now_ms += 5
        other.slow.notice("SELECT 'x'", 60.0)
        clock.now_ms += 5
        store.slow.notice("SELECT 'x'", 20.0)
        await asyncio.gather(store.slow.flush(), other.slow.flush())
    finally:
        await other.close()
    [kept] = [one for one in await store.slow.worst() if one.sql == "SELECT 'x'"]
    assert (kept.count, kept.total_ms, kept.worst_ms) == (3, 120.0, 60.0)
    assert (kept.worst_at_ms, kept.last_at_ms) == (1_000_005, 1_000_010)


async def test_the_worst_hundred_stay(store: Store) -> None:
    for batch in range(3):
        for number in range(NOTED_MAX + 50):
            store.slow.notice(f"SELECT {batch}, {number}", 1000.0 + 10 * number + batch)
        await store.slow.flush()
    kept = await store.slow.worst()
    most = 1000.0 + 10 * (NOTED_MAX + 49)
    expected = [most - 10 * number + batch for number in range(KEPT_MAX) for batch in (2, 1, 0)]
    assert [one.worst_ms for one in kept] == expected[:KEPT_MAX]
    rows = await store._database.fetch("SELECT count(*) AS n FROM slow_query")
    assert rows[0]["n"] == KEPT_MAX


async def test_they_can_be_cleared(store: Store) -> None:
    store.slow.notice("SELECT 'kept'", 30.0)
    await store.slow.flush()
    store.slow.notice("SELECT 'noted'", 30.0)
    assert await store.slow.clear() >= 1
    await store.slow.flush()
    assert [one.sql for one in await store.slow.worst() if one.sql.startswith("SELECT '")] == []


async def test_noticing_is_for_any_thread(store: Store) -> None:
    numbers = count()

    def notice() -> None:
        for _ in range(500):
            store.slow.notice(f"SELECT {next(numbers) % 7}", 1.0)

    threads = [threading.Thread(target=notice) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    await store.slow.flush()
    assert sum(one.count for one in await store.slow.worst() if one.worst_ms == 1.0) == 2000


async def test_while_the_database_is_away_notes_wait(store: Store) -> None:
    store.slow.notice("SELECT 'waits'", 77.0)
    await store._database.close()
    await store.slow.flush()
    await store._database.connect()
    await store.slow.flush()
    assert [one.worst_ms for one in await store.slow.worst() if one.sql == "SELECT 'waits'"] == [77.0]
