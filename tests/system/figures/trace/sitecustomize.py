"""Lets SQLite tell of its statements, and Python's drivers how long each took: put this folder into PYTHONPATH.

Each process writes two files, one by SQLite itself and one by the drivers, sqlite3 and asyncpg: when a statement ended,
how long it took in milliseconds, and whether it goes on with what the one before it did, as the rows of executemany()
do. SQLite's clock has milliseconds; the drivers' times are from the call of the driver until it returns.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sqlite3
import struct
import sys
import time
from pathlib import Path
from typing import Any

DATABASE, DRIVER = "FIGURES_STATEMENTS", "FIGURES_TIMES"
"""Folders. PostgreSQL has a log of its own."""
RECORD = struct.Struct("dd?")
SIZE = 4_000_000 * RECORD.size
"""Of a file, which holds nothing but what was written. Writing to it must not take time: it would be counted."""

_PROFILE = 2
_CONNECTION_DB = object.__basicsize__
"""Where a sqlite3.Connection has the handle of SQLite."""
_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
_NOBODY_ASKED = ("PRAGMA", "ROLLBACK")
_ASYNCPG = ("pg_advisory_unlock_all", "ROLLBACK")
"""What its pool runs when it takes a connection back, and what undoes: nobody asked for that."""

_files: dict[tuple[int, str], tuple[mmap.mmap, list[int]]] = {}
_last: dict[int, int | None] = {}
"""The statement that ran last, by connection."""


def _open(folder: str) -> tuple[mmap.mmap, list[int]]:
    path = Path(os.environ[folder], str(os.getpid()))
    with path.open("wb") as file:
        file.truncate(SIZE)
    with path.open("r+b") as file:
        return mmap.mmap(file.fileno(), SIZE), [0]


def _write(folder: str, took_ms: float, *, goes_on: bool = False) -> None:
    key = os.getpid(), folder
    if key not in _files:
        _files[key] = _open(folder)
    file, place = _files[key]
    begun, place[0] = place[0], place[0] + RECORD.size
    file[begun : begun + RECORD.size] = RECORD.pack(time.time(), took_ms, goes_on)


def _ended(_kind: int, connection: int | None, statement: int | None, took: int | None) -> int:
    sql = (_sqlite.sqlite3_sql(statement) or b"").decode()
    key = connection or 0
    again = _last.get(key) == statement and not sql.startswith(("SELECT", "WITH"))
    _last[key] = statement
    if not sql.startswith(_NOBODY_ASKED):
        took_ns = ctypes.cast(took or 0, ctypes.POINTER(ctypes.c_int64)).contents.value
        _write(DATABASE, took_ns / 1e6, goes_on=again)
    return 0


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "sqlite3.connect/handle":
        place = id(arguments[0])
        handle = ctypes.c_void_p.from_address(place + _CONNECTION_DB).value
        _sqlite.sqlite3_trace_v2(ctypes.c_void_p(handle), _PROFILE, _callback, ctypes.c_void_p(place))


def _listen_to_sqlite() -> None:
    """Take the time at the door of sqlite3: a statement is run by execute(), and on while its rows are fetched."""

    def told(sql: str, begun_s: float) -> None:
        if not sql.startswith(_NOBODY_ASKED):
            _write(DRIVER, 1000 * (time.perf_counter() - begun_s))

    class Cursor(sqlite3.Cursor):
        sql, begun_s = "", 0.0

        def execute(self, sql: str, parameters: Any = (), /) -> Any:
            self.sql, self.begun_s = sql, time.perf_counter()
            try:
                return super().execute(sql, parameters)
            except BaseException:
                told(sql, self.begun_s)
                raise

        def fetchall(self) -> Any:
            try:
                return super().fetchall()
            finally:
                told(self.sql, self.begun_s)

        def executemany(self, sql: str, parameters: Any, /) -> Any:
            begun_s = time.perf_counter()
            try:
                return super().executemany(sql, parameters)
            finally:
                told(sql, begun_s)

    class Connection(sqlite3.Connection):
        def commit(self) -> None:
            begun_s, pending = time.perf_counter(), self.in_transaction
            try:
                super().commit()
            finally:
                if pending:
                    told("COMMIT", begun_s)

    sqlite3.Cursor, sqlite3.Connection = Cursor, Connection  # type: ignore[misc]  # so that they are those that others build on


def _listen_to_asyncpg() -> None:
    import asyncpg  # noqa: PLC0415  # only where somebody listens

    def timed(run: Any) -> Any:
        async def call(self: Any, sql: str, *arguments: Any, **named: Any) -> Any:
            begun_s = time.perf_counter()
            try:
                return await run(self, sql, *arguments, **named)
            finally:
                if not any(word in sql for word in _ASYNCPG):
                    _write(DRIVER, 1000 * (time.perf_counter() - begun_s))

        return call

    asyncpg.Connection.fetch = timed(asyncpg.Connection.fetch)
    asyncpg.Connection.execute = timed(asyncpg.Connection.execute)


if os.environ.get(DATABASE):
    _sqlite = ctypes.CDLL("libsqlite3.so.0")
    _sqlite.sqlite3_sql.argtypes, _sqlite.sqlite3_sql.restype = [ctypes.c_void_p], ctypes.c_char_p
    _callback = _Callback(_ended)
    sys.addaudithook(_hear)
if os.environ.get(DRIVER):
    _listen_to_sqlite()
    _listen_to_asyncpg()
