"""Lets SQLite itself say how long each statement takes, in processes that have this folder in PYTHONPATH.

Each process writes a file of its own: when a statement ended, how long it took in milliseconds, and whether it goes on
with what the one before it did, as the rows of executemany() do. SQLite's clock has milliseconds: only sums say much.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
import time
from pathlib import Path
from typing import Any

FOLDER = "FIGURES_TRACE"
RECORD = struct.Struct("dd?")

_PROFILE = 2
_CONNECTION_DB = object.__basicsize__
"""Where a sqlite3.Connection has the handle of SQLite."""
_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
_NOBODY_ASKED = (b"PRAGMA", b"ROLLBACK")

_files: dict[int, Any] = {}
_last: dict[int, int | None] = {}
"""The statement that ran last, by connection."""


def _ended(_kind: int, connection: int | None, statement: int | None, took: int | None) -> int:
    sql = _sqlite.sqlite3_sql(statement) or b""
    key = connection or 0
    again = _last.get(key) == statement and not sql.startswith((b"SELECT", b"WITH"))
    _last[key] = statement
    if not sql.startswith(_NOBODY_ASKED):
        file = _files.get(os.getpid())
        if file is None:
            file = _files[os.getpid()] = Path(os.environ[FOLDER], str(os.getpid())).open("ab", buffering=0)  # noqa: SIM115  # until the process ends
        took_ns = ctypes.cast(took or 0, ctypes.POINTER(ctypes.c_int64)).contents.value
        file.write(RECORD.pack(time.time(), took_ns / 1e6, again))
    return 0


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "sqlite3.connect/handle":
        place = id(arguments[0])
        handle = ctypes.c_void_p.from_address(place + _CONNECTION_DB).value
        _sqlite.sqlite3_trace_v2(ctypes.c_void_p(handle), _PROFILE, _callback, ctypes.c_void_p(place))


if os.environ.get(FOLDER):
    _sqlite = ctypes.CDLL("libsqlite3.so.0")
    _sqlite.sqlite3_sql.argtypes, _sqlite.sqlite3_sql.restype = [ctypes.c_void_p], ctypes.c_char_p
    _callback = _Callback(_ended)
    sys.addaudithook(_hear)
