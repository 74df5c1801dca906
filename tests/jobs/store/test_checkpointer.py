"""SQLite's write-ahead log is carried over beside the writers, and stays short."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from itertools import count
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from jobs.errors import StoreUnavailable
from jobs.store import checkpointer
from jobs.store.checkpointer import measure
from jobs.store.sqlite import Client
from tests.wait import until

PAGES = 50
ROW = "INSERT INTO filler (data) VALUES (zeroblob(40000))"  # ten pages


@pytest.fixture
async def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
    monkeypatch.setattr(checkpointer, "PAGES", PAGES)
    client = Client(str(tmp_path / "q.db"), connection_name="test")
    await client.connect()
    await write(client, "CREATE TABLE filler (id INTEGER PRIMARY KEY, data BLOB)")
    yield client
    await client.close()


async def write(client: Client, sql: str = ROW) -> None:
    async with client.transaction() as transaction:
        await transaction.execute(sql)


def file(client: Client) -> Path:
    return Path(client.filename)


async def test_the_length_of_the_log_is_what_sqlite_says_it_is(client: Client) -> None:
    assert measure(file(client).with_name("none")).pages == 0
    await write(client)
    await write(client)
    with closing(sqlite3.connect(file(client))) as other:
        other.execute("SELECT count(*) FROM filler").fetchone()
        _, pages, _ = other.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
    before = measure(file(client))
    assert before.pages == pages > 20
    await write(client, "UPDATE filler SET data = '' WHERE id = 1")
    after = measure(file(client))
    assert after.salts != before.salts
    assert 0 < after.pages < pages


async def test_the_log_is_carried_over_beside_an_open_transaction(client: Client) -> None:
    size = file(client).stat().st_size
    async with client.transaction() as transaction:
        for _ in range(PAGES):
            await transaction.execute(ROW)
    assert file(client).stat().st_size == size, "COMMIT itself has carried it over"
    async with client.transaction() as transaction:
        await transaction.execute(ROW)
        await until(lambda: file(client).stat().st_size > size + PAGES * 40_000)
        assert await transaction.fetch("SELECT 1 FROM filler")
    # What was written meanwhile is too little for another checkpoint: it is carried over by a step of this one.
    await until(lambda: file(client).stat().st_size > size + (PAGES + 1) * 40_960)
    before = measure(file(client))

    async with asyncio.timeout(20):
        while measure(file(client)).salts == before.salts:
            await write(client)
            await asyncio.sleep(0.01)
    assert measure(file(client)).pages < PAGES < before.pages


async def test_the_log_begins_anew_while_several_write_all_the_time(client: Client) -> None:
    begun, other = set[bytes](), Client(client.filename, connection_name="other")
    await other.connect()
    writes = count()

    async def keep_writing(writer: Client) -> None:
        while len(begun) < 10 and next(writes) < 500:  # ten for each time; without steps in the writers' turn 100
            await write(writer)
            begun.add(measure(file(client)).salts)

    await asyncio.gather(keep_writing(client), keep_writing(other))
    await other.close()
    assert len(begun) == 10


async def test_the_log_begins_anew_though_there_is_always_a_reader(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpointer, "PAGES_MAX", 2 * PAGES)
    monkeypatch.setattr(checkpointer, "READERS_MS", 20)
    monkeypatch.setattr(checkpointer, "READERS_EVERY_S", 0.05)
    begun, has_written, is_over = set[bytes](), asyncio.Event(), asyncio.Event()

    async def read(readers: Sequence[sqlite3.Connection]) -> None:
        """One begins before the other ends: after each write, so that it needs the log, and else after 100 ms."""
        for number in count():
            readers[number % 2].execute("BEGIN")
            readers[number % 2].execute("SELECT count(*) FROM filler").fetchone()
            if number:
                readers[(number + 1) % 2].execute("COMMIT")
            with suppress(TimeoutError):
                await asyncio.wait_for(has_written.wait(), 0.1)
            has_written.clear()
            if is_over.is_set():
                break

    with connected(client) as one, connected(client) as other:
        reading = asyncio.create_task(read((one, other)))
        async with asyncio.timeout(20):
            while len(begun) < 4:
                await write(client)
                begun.add(measure(file(client)).salts)
                has_written.set()
        is_over.set()
        await reading


async def test_the_longer_the_log_the_longer_it_waits_for_its_readers(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpointer, "PAGES_MAX", PAGES)
    monkeypatch.setattr(checkpointer, "READERS_MS", 100)
    monkeypatch.setattr(checkpointer, "READERS_MOST_MS", 10_000)
    async with client.transaction() as transaction:
        for _ in range(10 * PAGES):  # it waits for ten seconds
            await transaction.execute(ROW)
    with reading(client) as reader:
        asyncio.get_running_loop().call_later(0.5, reader.execute, "COMMIT")
        await until(lambda: "checkpointer" not in tasks())
        before = measure(file(client))
        await write(client)
        assert measure(file(client)).salts != before.salts


async def test_it_waits_for_no_reader_longer_than_the_most(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpointer, "PAGES_MAX", PAGES)
    monkeypatch.setattr(checkpointer, "READERS_MS", 5_000)
    monkeypatch.setattr(checkpointer, "READERS_MOST_MS", 20)
    monkeypatch.setattr(checkpointer, "READERS_EVERY_S", 0)
    async with client.transaction() as transaction:
        for _ in range(PAGES):
            await transaction.execute(ROW)
    with reading(client):
        async with asyncio.timeout(5):
            for _ in range(3):
                await write(client)
                await until(lambda: "checkpointer" not in tasks())


async def test_a_log_that_stays_long_is_warned_of_once(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpointer, "PAGES_LONG", 2 * PAGES)

    for _ in range(2):
        await write(client)
        with capture_logs() as logs:
            with reading(client):
                for _ in range(2 * PAGES // 10):
                    await write(client)
                for _ in range(2):  # it looks once more, and again
                    await until(lambda: "checkpointer" not in tasks())
                    await write(client)
            assert [(line["event"], line["pages"] >= 2 * PAGES) for line in logs] == [("store.long_log", True)]
            before = measure(file(client)).salts
            while measure(file(client)).salts == before:
                await write(client)
                await asyncio.sleep(0.01)
            await until(lambda: "checkpointer" not in tasks())
        assert len(logs) == 1


@contextmanager
def reading(client: Client) -> Iterator[sqlite3.Connection]:
    """A reader that needs the log as it is now."""
    with connected(client) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM filler").fetchone()
        yield reader


def connected(client: Client) -> closing[sqlite3.Connection]:
    return closing(sqlite3.connect(file(client), isolation_level=None))


def tasks() -> set[str]:
    return {task.get_name() for task in asyncio.all_tasks()}


async def test_a_reader_that_stays_keeps_nobody_from_writing(client: Client) -> None:
    with reading(client) as reader:
        for _ in range(3 * PAGES // 10):
            await write(client)
        assert reader.execute("SELECT count(*) FROM filler").fetchone() == (0,)
    await write(client, "DELETE FROM filler")


async def test_closing_ends_it_and_leaves_no_log(client: Client) -> None:
    for _ in range(PAGES):
        await write(client)
    assert "checkpointer" in tasks()
    await client.close()
    assert "checkpointer" not in tasks()
    assert not file(client).with_name("q.db-wal").exists()
    with pytest.raises(StoreUnavailable):
        await write(client)
    await client.connect()
    assert len(await client.fetch("SELECT 1 FROM filler")) == PAGES
    await write(client)
    assert "checkpointer" in tasks()


async def test_whoever_writes_and_leaves_at_once_carries_over_all_the_same(client: Client) -> None:
    size, other = file(client).stat().st_size, Client(client.filename, connection_name="other")
    await other.connect()
    async with other.transaction() as transaction:
        for _ in range(PAGES):
            await transaction.execute(ROW)
    await other.close()
    assert file(client).stat().st_size > size + PAGES * 40_000


async def test_what_goes_wrong_is_said_once_and_made_good(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpointer, "FAULT_PAUSE_S", 0.01)
    hidden = file(client).with_name("hidden")
    size = file(client).stat().st_size
    with capture_logs() as logs:
        file(client).rename(hidden)  # those who have it open go on
        for _ in range(PAGES // 5):
            await write(client)
            await asyncio.sleep(0.02)
        hidden.rename(file(client))
        await write(client)
        await until(lambda: file(client).stat().st_size > size + 50 * 4_096)
    assert [line["event"] for line in logs] == ["store.checkpoint_failed"]
    with suppress(FileNotFoundError):
        hidden.unlink()


async def test_a_close_that_is_cancelled_can_be_repeated(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpointer, "PAGES_MAX", PAGES)
    monkeypatch.setattr(checkpointer, "READERS_MS", 10_000)
    monkeypatch.setattr(checkpointer, "READERS_MOST_MS", 10_000)
    async with client.transaction() as transaction:
        for _ in range(PAGES):
            await transaction.execute(ROW)
    with reading(client) as reader:
        first = asyncio.create_task(client.close())
        await asyncio.sleep(0.05)
        first.cancel()
        assert [type(one) for one in await asyncio.gather(first, return_exceptions=True)] == [asyncio.CancelledError]
        assert client.pool().size == 2
        assert "checkpointer" in tasks()
        reader.execute("COMMIT")
        await client.close()
    assert client.pool().size == 0
    assert "checkpointer" not in tasks()
