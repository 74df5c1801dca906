"""A connection of SQLite that reads, in a thread of its own, one statement after the other.

A statement that nobody waits for any more would keep all others waiting. Before it has begun it is dropped; while it
runs it is interrupted. A progress handler would stop it as well, but has to get hold of Python's lock each time: beside
a busy event loop statements took twice as long. So one connection is enough: only those behind a long read whose caller
does wait would gain by a second one, which costs as much memory again and keeps the log from beginning anew.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

AGAIN_S = 0.02
"""An interrupt that comes just before the statement begins does nothing; so it is repeated until it has ended."""


class Reader:
    """Opened by `open`, ended by `close`; whatever was asked for before is answered first."""

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._connection: sqlite3.Connection | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="reader")

    async def open(self) -> None:
        """Connect. Raises what `connect` raises."""
        try:
            await asyncio.wrap_future(self._thread.submit(self._open))
        except BaseException:
            await self.close()
            raise

    async def fetch(self, sql: str, values: Sequence[Any]) -> list[sqlite3.Row]:
        """Run a query. Whoever is cancelled meanwhile leaves nothing to be done."""
        assert self._connection  # noqa: S101  # opened
        read = _Read(self._connection, sql, values)
        try:
            return await asyncio.wrap_future(self._thread.submit(read.run))
        finally:
            read.leave()

    async def close(self) -> None:
        """Close the connection and end the thread, also where this is cancelled."""
        closed = self._thread.submit(self._close)
        self._thread.shutdown(wait=False)
        await asyncio.shield(asyncio.wrap_future(closed))

    def _open(self) -> None:
        self._connection = self._connect()

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()


class _Read:
    """One statement: the reader's thread runs it, the thread of the event loop may leave it."""

    def __init__(self, connection: sqlite3.Connection, sql: str, values: Sequence[Any]) -> None:
        self._connection = connection
        self._sql, self._values = sql, values
        self._guard = threading.Lock()
        self._runs = False
        self._is_left = False

    def run(self) -> list[sqlite3.Row]:
        with self._guard:
            if self._is_left:
                return []
            self._runs = True
        try:
            return self._connection.execute(self._sql, self._values).fetchall()
        finally:
            with self._guard:  # from here on an interrupt would hit the next one
                self._runs = False

    def leave(self) -> None:
        """Wait for it no longer; it may have ended long ago."""
        with self._guard:
            self._is_left = True
            if self._runs:
                self._connection.interrupt()
                asyncio.get_running_loop().call_later(AGAIN_S, self.leave)
