"""What the databases say of themselves, against their own tools."""

from __future__ import annotations

import asyncio
import sqlite3

import asyncpg
import pytest

from jobs.store import Store
from tests.databases import run_sql


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
async def test_the_size_of_sqlite_is_that_of_its_files(store: Store, database_url: str) -> None:
    path = database_url.removeprefix("sqlite://")
    async with store._database.transaction() as transaction:
        await transaction.execute("INSERT INTO log_line (job_id, run, attempt, at_ms, level, message)"
                                  " VALUES ('a', 1, 1, 1, 1, $1)", ("x" * 1_000_000,))  # fmt: skip
        await transaction.execute("DELETE FROM log_line")
    figures = await store.server.figures()
    with sqlite3.connect(path) as other:
        (pages,), (size,), (free,) = (
            other.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size", "freelist_count")
        )
    other.close()
    assert figures.dialect == "sqlite"
    assert figures.size_bytes == pages * size > 1_000_000
    assert figures.free_bytes == free * size > 900_000
    assert (figures.wal_bytes or 0) > 1_000_000
    assert figures.connections is None


@pytest.mark.parametrize("dialect", ["postgres"], indirect=True)
async def test_the_connections_of_postgresql_are_those_of_everybody(store: Store, database_url: str) -> None:
    other = await asyncpg.connect(database_url)
    try:
        before = await store.server.figures()
        (row,) = await run_sql(database_url, "SELECT pg_database_size(current_database()) AS size")
        busy = await asyncpg.connect(database_url)
        sleeping = busy.execute("SELECT pg_sleep(30)", timeout=60)
        task = asyncio.create_task(sleeping)
        async with asyncio.timeout(10):
            while (figures := await store.server.figures()).connections_active != 1:
                await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await busy.close()
    finally:
        await other.close()
    assert before.dialect == "postgres"
    assert before.connections_active == 0
    assert figures.connections == (before.connections or 0) + 1 >= 3
    assert before.size_bytes == row["size"]
    assert (before.connections_max or 0) > 10
    assert before.wal_bytes is None


@pytest.mark.parametrize("dialect", ["postgres"], indirect=True)
async def test_postgresql_plans_for_the_values_that_are_asked_for(store: Store) -> None:
    (row,) = await store._database.fetch("SHOW plan_cache_mode")
    assert row[0] == "force_custom_plan"
