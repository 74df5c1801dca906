"""SQLite reads for those who wait for it, and for nobody else."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import threading
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from jobs.errors import StoreUnavailable
from jobs.store.reader import Reader
from jobs.store.sqlite import Client
from tests.wait import until

COUNT = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1) SELECT count(*) AS n FROM n"
ENDLESS = 100_000_000
"""To count so far takes a minute or so."""


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    client = Client(str(tmp_path / "q.db"), connection_name="test")
    await client.connect()
    yield client
    await client.close()


async def count(client: Client, number: int) -> int:
    (row,) = await client.fetch(COUNT, (number,))
    found: int = row["n"]
    return found


async def leave(*reading: asyncio.Task[int]) -> None:
    for one in reading:
        one.cancel()
    assert [type(one) for one in await asyncio.gather(*reading, return_exceptions=True)] == [
        asyncio.CancelledError
    ] * len(reading)


def begun(client: Client) -> int:
    """How many statements have begun and ended."""
    return client.meter.figures(client.pool()).since_start.count


async def test_reads_that_were_cancelled_keep_nobody_waiting(client: Client) -> None:
    reading = [asyncio.create_task(count(client, ENDLESS)) for _ in range(3)]
    await asyncio.sleep(0.05)
    await leave(*reading)
    async with asyncio.timeout(5):
        assert await count(client, 7) == 7
    assert begun(client) == 2, "one was cancelled before it began"


async def test_a_read_that_times_out_ends(client: Client) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await count(client, ENDLESS)
    await until(lambda: begun(client) == 1)


async def test_who_leaves_the_queue_does_not_interrupt_the_one_that_is_read_for(client: Client) -> None:
    first = asyncio.create_task(count(client, 300_000))
    behind = [asyncio.create_task(count(client, ENDLESS)) for _ in range(3)]
    await asyncio.sleep(0.01)
    await leave(*behind)
    assert await first == 300_000
    assert begun(client) == 1


async def test_a_read_that_is_cancelled_at_whatever_moment_leaves_the_next_one_alone(client: Client) -> None:
    chance = random.Random(5)  # noqa: S311  # not for security
    for number in range(300):
        first = asyncio.create_task(count(client, chance.choice((1, 1_000, 20_000))))
        second = asyncio.create_task(count(client, 500 + number))
        for _ in range(chance.randrange(4)):
            await asyncio.sleep(0)
        await asyncio.sleep(chance.random() * 0.001)
        first.cancel()
        assert await second == 500 + number
        await asyncio.wait([first])


async def test_a_read_that_is_cancelled_just_before_it_begins_is_stopped_all_the_same(client: Client) -> None:
    binds, may_begin = threading.Event(), threading.Event()

    class Held(int):
        """A value that keeps the statement from beginning, after it was decided to run it."""

        def __conform__(self, _: object) -> int:
            binds.set()
            may_begin.wait(5)
            return ENDLESS

    reading = asyncio.create_task(count(client, Held()))
    await until(binds.is_set)
    await leave(reading)
    may_begin.set()
    await until(lambda: begun(client) == 1, within_s=5)


async def test_what_is_read_is_answered_before_it_closes(client: Client) -> None:
    reading = [asyncio.create_task(count(client, 100_000 + number)) for number in range(3)]
    await asyncio.sleep(0)
    await client.close()
    assert await asyncio.gather(*reading) == [100_000, 100_001, 100_002]
    with pytest.raises(StoreUnavailable):
        await count(client, 1)


async def test_where_it_cannot_connect_no_thread_stays(tmp_path: Path) -> None:
    before = threading.active_count()
    reader = Reader(partial(sqlite3.connect, tmp_path / "none" / "q.db"))
    with pytest.raises(sqlite3.OperationalError):
        await reader.open()
    await until(lambda: threading.active_count() == before)
