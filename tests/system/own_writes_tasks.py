"""The tasks of docs/own-writes.md, in a worker that dies at a commit: the moment that matters.

OWN_WRITES_DEATHS is a file with one word per line, for each commit that is to come: `before` or `after` says when to
die, `live` that it is to live on.
"""

from __future__ import annotations

import importlib
import os
import signal
import sqlite3
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import asyncpg.transaction

shop_sqlite: Any = importlib.import_module("shop_sqlite")
shop_postgres: Any = importlib.import_module("shop_postgres")


def next_word() -> str:
    file = Path(os.environ["OWN_WRITES_DEATHS"])
    word, _, rest = file.read_text(encoding="utf-8").partition("\n")
    file.write_text(rest, encoding="utf-8")
    return word


def die_if(word: str, moment: str) -> None:
    if word == moment:
        os.kill(os.getpid(), signal.SIGKILL)


class SqliteConnection(sqlite3.Connection):
    def __exit__(self, *error: Any) -> Any:
        word = next_word() if error[0] is None else ""
        die_if(word, "before")
        ended = super().__exit__(*error)
        die_if(word, "after")
        return ended


class PostgresConnection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg has no types
    def transaction(self, **options: Any) -> Any:
        outer = super().transaction(**options)
        return outer if self.is_in_transaction() else Transaction(outer)


class Transaction:
    def __init__(self, outer: asyncpg.transaction.Transaction) -> None:
        self._outer = outer

    async def __aenter__(self) -> None:
        await self._outer.__aenter__()

    async def __aexit__(self, *error: Any) -> Any:
        word = next_word() if error[0] is None else ""
        die_if(word, "before")
        ended = await self._outer.__aexit__(*error)
        die_if(word, "after")
        return ended


def connect_sqlite() -> sqlite3.Connection:
    path = os.environ["SHOP_SQLITE"]
    return sqlite3.connect(path, timeout=10, isolation_level="IMMEDIATE", factory=SqliteConnection)


@asynccontextmanager
async def connect_postgres() -> Any:
    db = await asyncpg.connect(os.environ["SHOP_POSTGRES"], timeout=10, connection_class=PostgresConnection)
    try:
        yield db
    finally:
        await db.close(timeout=10)


shop_sqlite.connect = connect_sqlite
shop_postgres.connect = connect_postgres
