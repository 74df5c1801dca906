"""PostgreSQL, as a Tortoise engine: a pool of asyncpg whose every wait has an end.

aerich uses it through Tortoise, the store through `Database`.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import asyncpg  # type: ignore[import-untyped]  # it ships no types
from tortoise.backends.asyncpg.client import AsyncpgDBClient

from jobs.errors import StoreUnavailable
from jobs.store.database import Dialect, Row
from jobs.store.faults import BROKEN, connecting, postgres_faults
from jobs.store.figures import Meter, Pool

CONNECT_S = 4.0
COMMAND_S = 8.0
"""Longest time one statement may take; a server that has gone silent is given up then, within 10 seconds."""
LOCK_MS = 5_000
POOL_MAX = 10
_SERVER = {
    "application_name": "queueql",
    "lock_timeout": str(LOCK_MS),
    # Of a client that is gone without a word: its locks must not hold up those who go on.
    "idle_in_transaction_session_timeout": "5000",
    "tcp_keepalives_idle": "2",
    "tcp_keepalives_interval": "1",
    "tcp_keepalives_count": "2",
    "jit": "off",  # compiling costs more than any of our queries
    # A plan for any value reads ten million jobs to find those of a rare queue (measured: 4 s instead of 2 ms).
    "plan_cache_mode": "force_custom_plan",
}


class _Connection(asyncpg.Connection):  # type: ignore[misc]  # it ships no types
    """Closed within its time, whether or not the server says goodbye.

    The pool closes those that have expired in tasks of its own, whose errors nobody would ever look at.
    """

    async def close(self, *, timeout: float | None = None) -> None:
        with contextlib.suppress(TimeoutError):  # it is cut off then
            await super().close(timeout=timeout)


class Client(AsyncpgDBClient):
    """A database of a PostgreSQL server; `dsn` is its URL."""

    dialect: Dialect = "postgres"

    def __init__(self, dsn: str, *, meter: Meter | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._dsn = dsn
        self.meter = meter or Meter()
        self._waiting = 0

    async def create_connection(self, with_db: bool) -> None:
        """Open the pool. The database is always the URL's."""
        self._pool = await asyncpg.create_pool(
            self._dsn,
            min_size=1,
            max_size=POOL_MAX,
            timeout=CONNECT_S,
            command_timeout=COMMAND_S,
            server_settings=_SERVER,
            connection_class=_Connection,
        )
        await self._post_connect()

    async def connect(self) -> None:
        """Open the pool now. Raises StoreUnavailable."""
        if self._pool is None:
            with connecting():
                await self.create_connection(with_db=True)

    async def fetch(self, sql: str, values: Sequence[Any] = ()) -> Sequence[Row]:
        """Run a query; once more where the pool's connection turns out to be broken."""
        try:
            return await self._fetch(sql, values)
        except StoreUnavailable as error:
            # Whoever was silent for so long is not waited for a second time.
            if not isinstance(error.__cause__, BROKEN) or isinstance(error.__cause__, TimeoutError):
                raise
        return await self._fetch(sql, values)

    async def _fetch(self, sql: str, values: Sequence[Any]) -> Sequence[Row]:
        async with self._acquired() as connection:
            begun = self.meter.now()
            try:
                rows: Sequence[Row] = await connection.fetch(sql, *values)
            finally:
                self.meter.add(sql, begun)
            return rows

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Writing]:
        """Open a transaction on a connection of its own."""
        async with self._acquired() as connection, _transaction(connection, self.meter) as transaction:
            yield transaction

    def pool(self) -> Pool:
        """Return how many connections there are, and who waits for one."""
        size, idle = (self._pool.get_size(), self._pool.get_idle_size()) if self._pool else (0, 0)
        return Pool(size=size, max=POOL_MAX, active=size - idle, idle=idle, waiting=self._waiting)

    @asynccontextmanager
    async def alone(self, lock: int, wait_ms: int) -> AsyncIterator[Alone]:
        """Hold the advisory lock for the block, without a transaction and without a limit on commands."""
        with connecting():
            connection = await asyncpg.connect(self._dsn, timeout=CONNECT_S, server_settings=_SERVER)
        with postgres_faults():
            try:
                await connection.execute(f"SET lock_timeout = {wait_ms:d}")
                await connection.execute("SELECT pg_advisory_lock($1)", lock)
                yield Alone(connection, self.meter)
            finally:
                await connection.close(timeout=CONNECT_S)

    @asynccontextmanager
    async def _acquired(self) -> AsyncIterator[asyncpg.Connection]:
        if self._pool is None:
            raise StoreUnavailable("The database is closed.")
        pool = self._pool
        begun = self.meter.now()
        self._waiting += 1
        try:
            with connecting():
                connection = await pool.acquire(timeout=CONNECT_S)
        finally:
            self._waiting -= 1
            self.meter.waited(begun)
        with postgres_faults():
            try:
                yield connection
            except BROKEN as error:
                if isinstance(error, TimeoutError):
                    connection.terminate()
                # What broke one has broken all that are idle: a restart, a failover, a server that is silent.
                await pool.expire_connections()
                raise
            finally:
                await pool.release(connection)


class Writing:
    """An open transaction."""

    dialect: Dialect = "postgres"

    def __init__(self, connection: asyncpg.Connection, meter: Meter) -> None:
        self._connection = connection
        self._meter = meter

    async def fetch(self, sql: str, values: Sequence[Any] = ()) -> Sequence[Row]:
        """Run a statement and return its rows."""
        with self._timed(sql):
            rows: Sequence[Row] = await self._connection.fetch(sql, *values)
            return rows

    async def execute(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Run a statement and return how many rows it changed."""
        with self._timed(sql):
            return _changed(await self._connection.execute(sql, *values))

    async def execute_rows(self, sql: str, rows: Sequence[Sequence[Any]]) -> int:
        """Run a statement over UNNEST, one array for each column, and return how many rows changed."""
        with self._timed(sql):
            return _changed(await self._connection.execute(sql, *map(list, zip(*rows, strict=True))))

    @contextmanager
    def _timed(self, sql: str) -> Iterator[None]:
        """Give the connection up with a statement that is not answered: the ROLLBACK would wait as long again."""
        begun = self._meter.now()
        try:
            yield
        except TimeoutError:
            self._connection.terminate()
            raise
        finally:
            self._meter.add(sql, begun)


class Alone(Writing):
    """A connection of its own; each statement commits by itself."""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Writing]:
        """Make one transaction of the block."""
        async with _transaction(self._connection, self._meter) as transaction:
            yield transaction


@asynccontextmanager
async def _transaction(connection: asyncpg.Connection, meter: Meter) -> AsyncIterator[Writing]:
    begun = meter.now()
    async with connection.transaction():
        meter.add("BEGIN", begun)
        yield Writing(connection, meter)
        begun = meter.now()
    meter.add("COMMIT", begun)


def _changed(status: str) -> int:
    # "INSERT 0 3", "UPDATE 3", "SELECT 3"
    count = status.rpartition(" ")[2]
    return int(count) if count.isdigit() else 0


client_class = Client
