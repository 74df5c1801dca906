"""SQLite, as a Tortoise engine: one connection that writes, in its turn, and one that reads beside it.

aerich uses it through Tortoise, the store through `Database`. Every transaction begins with BEGIN IMMEDIATE:
one that reads first and writes later would fail with "database is locked" as soon as two processes write.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import aiosqlite
from tortoise.backends.base.client import TransactionContext
from tortoise.backends.sqlite.client import SqliteClient, SqliteTransactionContext, SqliteTransactionWrapper

from jobs.errors import StoreUnavailable
from jobs.store.database import Dialect, Row
from jobs.store.faults import sqlite_faults
from jobs.store.turn import WriterTurn

BUSY_MS = 5_000
"""How long SQLite itself waits for a writer that takes no turn, such as the sqlite3 command line."""
_PRAGMAS = {
    "busy_timeout": BUSY_MS,
    "journal_mode": "WAL",
    "synchronous": "FULL",  # an accepted job survives a power cut
    "journal_size_limit": 64 * 1024 * 1024,
    "cache_size": -16_384,  # KiB
    "temp_store": "MEMORY",
}


class Client(SqliteClient):
    """A SQLite file. `file_path` is its path; its folder must exist."""

    dialect: Dialect = "sqlite"

    def __init__(self, file_path: str, **kwargs: Any) -> None:
        super().__init__(file_path, **{**_PRAGMAS, **kwargs})
        self._reader: aiosqlite.Connection | None = None
        self._turn = WriterTurn(Path(file_path))
        self._connecting = asyncio.Lock()

    async def connect(self) -> None:
        """Open both connections. Raises StoreUnavailable."""
        async with self._connecting:
            with sqlite_faults():
                if self._connection is None:
                    await self.create_connection(with_db=True)
                if self._reader is None:
                    self._reader = await aiosqlite.connect(self.filename, isolation_level=None)
                    self._reader.row_factory = sqlite3.Row
                    for pragma in (f"busy_timeout={BUSY_MS}", "query_only=1", "cache_size=-16384"):
                        await self._reader.execute_fetchall(f"PRAGMA {pragma}")

    async def close(self) -> None:
        """Close after the transaction that is open now."""
        async with self._lock:
            reader, self._reader = self._reader, None
            if reader is not None:
                await reader.close()
            await super().close()
            self._turn.close()

    async def fetch(self, sql: str, values: Sequence[Any] = ()) -> Sequence[Row]:
        """Run a query beside the writer."""
        if self._reader is None:
            raise StoreUnavailable("The database is closed.")
        with sqlite_faults():
            return list(await self._reader.execute_fetchall(numbered(sql), values))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Writing]:
        """Open a transaction for writing, after those of this and of other processes."""
        async with self.alone() as connection, connection.transaction() as transaction:
            yield transaction

    @asynccontextmanager
    async def alone(self, wait_s: float | None = None) -> AsyncIterator[Alone]:
        """Keep every other writer out, without a transaction. `wait_s`: how long to wait for the turn."""
        async with self._lock:
            if self._connection is None:
                raise StoreUnavailable("The database is closed.")
            try:
                await self._turn.take(wait_s)
                with sqlite_faults():
                    yield Alone(self._connection)
            finally:
                self._turn.leave()

    def _in_transaction(self) -> TransactionContext:
        return SqliteTransactionContext(_Immediate(self), self._lock)


class Writing:
    """An open transaction."""

    dialect: Dialect = "sqlite"

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection

    async def fetch(self, sql: str, values: Sequence[Any] = ()) -> Sequence[Row]:
        """Run a statement and return its rows."""
        return list(await self._connection.execute_fetchall(numbered(sql), values))

    async def execute(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Run a statement and return how many rows it changed."""
        before = self._connection.total_changes
        await self._connection.execute_fetchall(numbered(sql), values)
        return self._connection.total_changes - before

    async def execute_rows(self, sql: str, rows: Sequence[Sequence[Any]]) -> int:
        """Run a statement once for each row and return how many rows changed."""
        before = self._connection.total_changes
        await self._connection.executemany(numbered(sql), rows)
        return self._connection.total_changes - before


class Alone(Writing):
    """The connection while no other process writes; each statement commits by itself."""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Writing]:
        """Make one transaction of the block."""
        try:
            await self._connection.execute("BEGIN IMMEDIATE")
            yield Writing(self._connection)
            await self._connection.commit()
        except BaseException:
            # Queued behind whatever a cancelled statement has left in the connection's thread.
            await asyncio.shield(self._connection.rollback())
            raise


class _Immediate(SqliteTransactionWrapper):
    """Tortoise's transaction, as aerich opens it: able to write from its start, scripts included."""

    async def begin(self) -> None:
        await self._connection.commit()
        await self._connection.execute("BEGIN IMMEDIATE")

    async def execute_script(self, query: str) -> None:
        # sqlite3's executescript() would commit first: a migration that fails half way would leave its half.
        for statement in statements(query):
            await self._connection.execute_fetchall(statement)


def statements(script: str) -> Iterator[str]:
    """Split a script at the semicolons that end a statement."""
    statement = ""
    for part in re.split(r"(?<=;)", script):
        statement += part
        if statement.strip() and sqlite3.complete_statement(statement):
            yield statement.strip()
            statement = ""
    if statement.strip():
        yield statement.strip()


@lru_cache(maxsize=1_024)
def numbered(sql: str) -> str:
    """Write `$1` as SQLite numbers its parameters: `?1`."""
    return re.sub(r"\$(\d+)", r"?\1", sql)


client_class = Client
