"""SQLite, as a Tortoise engine: one connection that writes, in its turn, and one that reads beside it.

aerich uses it through Tortoise, the store through `Database`. Every transaction begins with BEGIN IMMEDIATE:
one that reads first and writes later would fail with "database is locked" as soon as two processes write.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite
from tortoise.backends.base.client import TransactionContext
from tortoise.backends.sqlite.client import SqliteClient, SqliteTransactionContext, SqliteTransactionWrapper

from jobs.errors import StoreUnavailable
from jobs.store.checkpointer import Checkpointer
from jobs.store.database import Dialect, Row
from jobs.store.faults import sqlite_faults
from jobs.store.figures import Meter, Pool
from jobs.store.reader import Reader
from jobs.store.turn import WriterTurn

T = TypeVar("T")

BUSY_MS = 5_000
"""How long SQLite itself waits for a writer that takes no turn, such as the sqlite3 command line."""
_PRAGMAS = {
    "busy_timeout": BUSY_MS,
    "journal_mode": "WAL",
    "synchronous": "FULL",  # an accepted job survives a power cut
    "wal_autocheckpoint": 0,  # see checkpointer.py
    "journal_size_limit": 64 * 1024 * 1024,
    "cache_size": -16_384,  # KiB
    "temp_store": "MEMORY",
}
_READER_PRAGMAS = {"busy_timeout": BUSY_MS, "query_only": 1, "cache_size": -16_384}


class Client(SqliteClient):
    """A SQLite file. `file_path` is its path; its folder must exist."""

    dialect: Dialect = "sqlite"

    def __init__(self, file_path: str, *, meter: Meter | None = None, **kwargs: Any) -> None:
        super().__init__(file_path, **{**_PRAGMAS, **kwargs})
        self.meter = meter or Meter()
        self._waiting = 0
        self._writing = False
        self._reading = 0
        self._reader: Reader | None = None
        self._turn = WriterTurn(Path(file_path))
        self._connecting = asyncio.Lock()
        self._checkpointer = Checkpointer(Path(file_path), self.alone)

    async def connect(self) -> None:
        """Open both connections. Raises StoreUnavailable."""
        async with self._connecting:
            with sqlite_faults():
                if self._connection is None:
                    await self.create_connection(with_db=True)
                if self._reader is None:
                    reader = Reader(partial(self._connected, _READER_PRAGMAS))
                    await reader.open()
                    self._reader = reader
            self._checkpointer.start()

    async def create_connection(self, with_db: bool) -> None:
        """Open the connection that writes."""
        self._connection = await aiosqlite.Connection(partial(self._connected, self.pragmas), iter_chunk_size=1)
        await self._post_connect()

    def _connected(self, pragmas: Mapping[str, Any]) -> _Connection:
        connection = _Connection(self.filename, isolation_level=None, meter=self.meter)
        try:
            connection.row_factory = sqlite3.Row
            for name, value in pragmas.items():
                connection.execute(f"PRAGMA {name}={value}").close()
        except BaseException:
            connection.close()
            raise
        return connection

    async def close(self) -> None:
        """Close after the transaction that is open now."""
        await self._checkpointer.stop()
        async with self._lock:
            reader, self._reader = self._reader, None
            if reader is not None:
                await reader.close()
            await super().close()
            self._turn.close()

    async def fetch(self, sql: str, values: Sequence[Any] = ()) -> Sequence[Row]:
        """Run a query beside the writer. It stops where its caller is cancelled."""
        reader = _open(self._reader)
        self._reading += 1
        try:
            with sqlite_faults():
                return await reader.fetch(numbered(sql), values)
        finally:
            self._reading -= 1

    def pool(self) -> Pool:
        """Return how many connections there are, and who waits for one."""
        size = (self._connection is not None) + (self._reader is not None)
        active = min(size, self._writing + (self._reading > 0))
        waiting = self._waiting + max(0, self._reading - 1)
        return Pool(size=size, max=2, active=active, idle=size - active, waiting=waiting)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Writing]:
        """Open a transaction for writing, after those of this and of other processes."""
        async with self.alone() as connection, connection.transaction() as transaction:
            yield transaction

    @asynccontextmanager
    async def alone(self, wait_s: float | None = None) -> AsyncIterator[Alone]:
        """Keep every other writer out, without a transaction. `wait_s`: how long to wait for the turn."""
        connection = await self._take(wait_s)
        try:
            with sqlite_faults():
                yield Alone(connection, self._checkpointer.note_commit)
        finally:
            self._leave()

    async def _take(self, wait_s: float | None) -> aiosqlite.Connection:
        begun = self.meter.now()
        self._waiting += 1
        try:
            await self._lock.acquire()
            try:
                connection = _open(self._connection)
                await self._turn.take(wait_s)
            except BaseException:
                self._leave()
                raise
        finally:
            self._waiting -= 1
            self.meter.waited(begun)
        self._writing = True
        return connection

    def _leave(self) -> None:
        self._writing = False
        self._turn.leave()
        self._lock.release()

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

    def __init__(self, connection: aiosqlite.Connection, on_commit: Callable[[], None]) -> None:
        super().__init__(connection)
        self._on_commit = on_commit

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Writing]:
        """Make one transaction of the block."""
        try:
            await self._connection.execute_fetchall("BEGIN IMMEDIATE")  # slow where a stranger writes
            yield Writing(self._connection)
            await self._connection.commit()
            self._on_commit()
        except BaseException:
            # Queued behind whatever a cancelled statement has left in the connection's thread.
            await asyncio.shield(self._connection.rollback())
            raise


class _Connection(sqlite3.Connection):
    """Times its statements where they run: in the connection's own thread, without what waits in front of it."""

    def __init__(self, *args: Any, meter: Meter, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.meter = meter

    def execute(self, sql: str, parameters: Any = (), /) -> _Cursor:
        return self.cursor(_Cursor).execute(sql, parameters)

    def executemany(self, sql: str, parameters: Any, /) -> _Cursor:
        return self.cursor(_Cursor).executemany(sql, parameters)

    def commit(self) -> None:
        begun = self.meter.now()
        pending = self.in_transaction
        try:
            super().commit()
        finally:
            if pending:
                self.meter.add("COMMIT", begun)


class _Cursor(sqlite3.Cursor):
    """SQLite does a part of the work when the statement is executed, and the rest while its rows are fetched."""

    connection: _Connection
    _sql = ""
    _begun = 0.0

    def execute(self, sql: str, parameters: Any = (), /) -> _Cursor:
        self._sql, self._begun = sql, self.connection.meter.now()
        try:
            return super().execute(sql, parameters)
        except BaseException:
            self.connection.meter.add(sql, self._begun)
            raise

    def fetchall(self) -> list[Any]:
        try:
            return super().fetchall()
        finally:
            self.connection.meter.add(self._sql, self._begun)

    def executemany(self, sql: str, parameters: Any, /) -> _Cursor:
        begun = self.connection.meter.now()
        try:
            return super().executemany(sql, parameters)
        finally:
            self.connection.meter.add(sql, begun)


class _Immediate(SqliteTransactionWrapper):
    """Tortoise's transaction, as aerich opens it: able to write from its start, scripts included."""

    async def begin(self) -> None:
        await self._connection.commit()
        await self._connection.execute("BEGIN IMMEDIATE")

    async def execute_script(self, query: str) -> None:
        # sqlite3's executescript() would commit first: a migration that fails half way would leave its half.
        for statement in statements(query):
            await self._connection.execute_fetchall(statement)


def _open(connection: T | None) -> T:
    if connection is None:
        raise StoreUnavailable("The database is closed.")
    return connection


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
