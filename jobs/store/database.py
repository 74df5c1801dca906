"""What the store needs of a database, whichever it is. SQL is written once, with `$1` for its values.

`sqlite.Client` and `postgres.Client` implement `Database`. Every method may raise StoreUnavailable.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Literal, Protocol

import orjson

from jobs.store.figures import Meter, Pool

Dialect = Literal["sqlite", "postgres"]


class Row(Protocol):
    """One row of an answer, by column name or place."""

    def __getitem__(self, column: str | int | slice, /) -> Any:
        """Value of the column, or the values of several."""


class Transaction(Protocol):
    """A transaction that is open for writing; it commits at the end of its block and rolls back on any exception."""

    dialect: Dialect

    async def fetch(self, sql: str, values: Sequence[Any] = ()) -> Sequence[Row]:
        """Run a statement and return its rows."""

    async def execute(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Run a statement and return how many rows it changed."""

    async def execute_rows(self, sql: str, rows: Sequence[Sequence[Any]]) -> int:
        """Run a statement that `jobs.store.bulk` wrote over many rows; returns how many rows changed."""


class Database(Protocol):
    """A database that is connected to."""

    dialect: Dialect
    meter: Meter
    """Times every statement."""

    async def fetch(self, sql: str, values: Sequence[Any] = ()) -> Sequence[Row]:
        """Run a query outside of any transaction and return its rows."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Open a transaction for writing. Do not start tasks inside that use it."""

    def pool(self) -> Pool:
        """Return how many connections there are, and who waits for one."""

    async def connect(self) -> None:
        """Connect now, so that a fault shows here."""

    async def close(self) -> None:
        """Close every connection. A process with an open SQLite connection does not end."""


def among(dialect: Dialect, column: str, number: int, kind: str = "text") -> str:
    """Write the condition that the column has one of the values of parameter `number`, an `array`.

    `kind` is the column's type in PostgreSQL.
    """
    if dialect == "postgres":
        return f"{column} = ANY(${number}::{kind}[])"
    return f"{column} IN (SELECT value FROM json_each(${number}))"  # noqa: S608  # values are parameters


def array(dialect: Dialect, values: Sequence[str] | Sequence[int]) -> Any:
    """Make the parameter for `among`."""
    return list(values) if dialect == "postgres" else orjson.dumps(list(values)).decode()
