"""Backups that stand still are red: in a program, a file or before a lock. Those that go on are not."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
from structlog.testing import capture_logs

from jobs.clock import now_ms
from jobs.ending import end
from jobs.services import archivist, base
from jobs.services.archivist import PREFIX, Archivist
from jobs.store import Backup, Store
from jobs.store.backup import application_name
from tests.child import catch
from tests.wait import eventually, until


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "STUCK_S", 1.0)
    monkeypatch.setattr(archivist, "_ASK_S", 0.1)


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    store = await Store.open(database_url)
    yield store
    await store.close()


@contextlib.asynccontextmanager
async def running(store: Store, database_url: str, folder: Path) -> AsyncIterator[Archivist]:
    loop = Archivist(store, database_url, folder, every_s=86_400, keep=2)
    loop.start()
    try:
        yield loop
    finally:
        await loop.stop()


def stands(loop: Archivist) -> bool:
    health = loop.health()
    return not health.ok and "has made no turn" in health.detail


class TestPostgres:
    @pytest.fixture
    def dialect(self) -> str:
        return "postgres"

    async def test_a_program_that_is_frozen(self, store: Store, database_url: str, tmp_path: Path) -> None:
        async def verified() -> bool:
            made = await store.backups.newest()
            return bool(made) and made[0].verified_ms is not None

        for number, program in enumerate(("pg_dump", "psql")):
            catching = asyncio.create_task(asyncio.to_thread(catch, program, "--dbname"))
            async with running(store, database_url, tmp_path / program) as loop:
                child = await catching
                try:
                    await until(lambda: stands(loop))
                    if number == 0:
                        await self._goes_on_while_the_server_works(loop, database_url)
                finally:
                    child.resume()
                await until(lambda: loop.health().ok)
                await eventually(verified, within_s=30)
                async with store._database.transaction() as transaction:
                    await transaction.execute("DELETE FROM backup")  # so that the next one is made at once

    async def _goes_on_while_the_server_works(self, loop: Archivist, database_url: str) -> None:
        settings = {"application_name": application_name()}
        connection = await asyncpg.connect(database_url, server_settings=settings)
        working = asyncio.create_task(connection.execute("SELECT pg_sleep(60)"))
        try:
            await until(lambda: loop.health().ok)
        finally:
            await end(working, again_s=5.0)  # which cancels the statement
            await connection.close()
        await until(lambda: stands(loop))

    async def test_a_lock(self, store: Store, database_url: str, tmp_path: Path) -> None:
        connection = await asyncpg.connect(database_url)
        try:
            async with connection.transaction():
                await connection.execute("LOCK TABLE job IN ACCESS EXCLUSIVE MODE")
                async with running(store, database_url, tmp_path) as loop:
                    await until(lambda: stands(loop))
                    assert not await store.backups.is_served()
        finally:
            await connection.close()


class TestSqlite:
    @pytest.fixture
    def dialect(self) -> str:
        return "sqlite"

    @pytest.fixture
    def pipe(self, tmp_path: Path) -> Iterator[Path]:
        """A file whose disk does not answer: whoever opens it waits, until the end of the test."""
        path = tmp_path / f"{PREFIX}a.backup"
        os.mkfifo(path)
        yield path
        with contextlib.suppress(OSError):  # nobody waits
            os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))

    async def test_a_file_that_cannot_be_read(self, store: Store, database_url: str, pipe: Path) -> None:
        await store.backups.note(Backup(id="a", path=str(pipe), size_bytes=1, created_ms=now_ms(), counts={}))
        async with running(store, database_url, pipe.parent) as loop:
            await until(lambda: stands(loop))
            os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
            await until(lambda: loop.health().ok)
        assert (await store.backups.newest())[0].fault is not None

    async def test_a_fault_that_nobody_foresaw(self, store: Store, database_url: str, tmp_path: Path) -> None:
        """A folder has the name of a backup, so that it cannot be removed as the oldest one."""
        (tmp_path / f"{PREFIX}queueql-20200101T000000Z.backup").mkdir()
        loop = Archivist(store, database_url, tmp_path, every_s=86_400, keep=1)
        with capture_logs() as said:
            loop.start()
            await until(lambda: loop.figures().failing and loop.health().ok)
            await loop.stop()
        [fault] = [line for line in said if line["event"] == "loop.fault"]
        assert isinstance(fault["exc_info"], OSError)
        assert [line["event"] for line in said].index("archivist.made") < said.index(fault)
        [made] = await store.backups.newest()
        assert (made.verified_ms is not None, made.fault) == (True, None)
        assert len(list(tmp_path.glob(f"{PREFIX}*"))) == 2  # noqa: ASYNC240  # nothing else runs meanwhile
