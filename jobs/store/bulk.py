"""Statements over many rows at once: written once here, as UNNEST for PostgreSQL and executemany for SQLite."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from jobs.store.database import Dialect, Transaction


class Column(msgspec.Struct, frozen=True):
    """A column and its type in PostgreSQL."""

    name: str
    type: str = "text"


class Insert:
    """`INSERT` of rows whose values stand in the order of `columns`; `conflict` is the ON CONFLICT clause."""

    def __init__(self, table: str, columns: Sequence[Column], conflict: str) -> None:
        names = ", ".join(column.name for column in columns)
        numbers = ", ".join(f"${n}" for n in range(1, len(columns) + 1))
        self._sql: dict[Dialect, str] = {
            "sqlite": f"INSERT INTO {table} ({names}) VALUES ({numbers}) {conflict}",  # noqa: S608  # names of our own tables
            "postgres": f"INSERT INTO {table} ({names}) SELECT * FROM unnest({_arrays(columns)}) {conflict}",  # noqa: S608  # as above
        }

    async def run(self, transaction: Transaction, rows: Sequence[Sequence[Any]]) -> int:
        """Insert the rows; returns how many rows were written."""
        return await transaction.execute_rows(self._sql[transaction.dialect], rows) if rows else 0


class Update:
    """`UPDATE` of rows by `key`, each to values of its own, where `guard` holds.

    Rows hold the key first, then the values in the order of `columns`. In the guard `{name}` is the row's
    new value and `table.name` the one that is stored.
    """

    def __init__(self, table: str, key: Column, columns: Sequence[Column], guard: str) -> None:
        given = [key, *columns]
        numbered = {column.name: f"${n}" for n, column in enumerate(given, start=1)}
        sets = ", ".join(f"{column.name} = {{{column.name}}}" for column in columns)
        where = f"{table}.{key.name} = {{{key.name}}} AND {guard}"
        names = ", ".join(column.name for column in given)
        self._sql: dict[Dialect, str] = {
            "sqlite": _fill(f"UPDATE {table} SET {sets} WHERE {where}", numbered),  # noqa: S608  # names of our own tables
            "postgres": _fill(
                f"UPDATE {table} SET {sets} FROM unnest({_arrays(given)}) AS new ({names}) WHERE {where}",  # noqa: S608  # as above
                {column.name: f"new.{column.name}" for column in given},
            ),
        }

    async def run(self, transaction: Transaction, rows: Sequence[Sequence[Any]]) -> int:
        """Update the rows; returns how many rows were changed."""
        return await transaction.execute_rows(self._sql[transaction.dialect], rows) if rows else 0


class Delete:
    """`DELETE` of the rows whose `key` columns have these values, in the order of `key`."""

    def __init__(self, table: str, key: Sequence[Column]) -> None:
        where = " AND ".join(f"{column.name} = ${n}" for n, column in enumerate(key, start=1))
        same = " AND ".join(f"{table}.{column.name} = gone.{column.name}" for column in key)
        names = ", ".join(column.name for column in key)
        self._sql: dict[Dialect, str] = {
            "sqlite": f"DELETE FROM {table} WHERE {where}",  # noqa: S608  # names of our own tables
            "postgres": f"DELETE FROM {table} USING unnest({_arrays(key)}) AS gone ({names}) WHERE {same}",  # noqa: S608  # as above
        }

    async def run(self, transaction: Transaction, rows: Sequence[Sequence[Any]]) -> int:
        """Delete the rows; returns how many rows there were."""
        return await transaction.execute_rows(self._sql[transaction.dialect], rows) if rows else 0


def _arrays(columns: Sequence[Column]) -> str:
    return ", ".join(f"${n}::{column.type}[]" for n, column in enumerate(columns, start=1))


def _fill(template: str, names: dict[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: names[match.group(1)], template)
