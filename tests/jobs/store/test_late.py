"""What meets while statistics are written and read: events that come late, and retention that removes rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from jobs.rollup import Figures
from jobs.statistics import Asked, Span
from jobs.store import Store
from jobs.store.database import Database, Row, Transaction
from jobs.store.kept import read_kept
from jobs.store.rollup import add_up
from jobs.store.statistics import TRIES, Statistics
from jobs.store.tally import Tally

BEGIN_MINUTE = 1_800_000_000 // 86_400 * 1_440
BEGIN_MS, HOURS = BEGIN_MINUTE * 60_000, 5


class Watched:
    """A transaction of which it is known how many rows each query returned."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self.dialect = transaction.dialect
        self.counts: list[int] = []

    async def fetch(self, sql: str, values: Sequence[Any] = ()) -> Sequence[Row]:
        rows = await self._transaction.fetch(sql, values)
        self.counts.append(len(rows))
        return rows

    async def execute(self, sql: str, values: Sequence[Any] = ()) -> int:
        return await self._transaction.execute(sql, values)

    async def execute_rows(self, sql: str, rows: Sequence[Sequence[Any]]) -> int:
        return await self._transaction.execute_rows(sql, rows)


class Meanwhile:
    """A database in which retention removes an hour of minutes each time when statistics are about to read figures."""

    def __init__(self, database: Database, hours: int) -> None:
        self._database = database
        self.dialect, self.meter = database.dialect, database.meter
        self.pool, self.transaction = database.pool, database.transaction
        self.connect, self.close = database.connect, database.close
        self.hours = hours
        self.readings = 0

    async def fetch(self, sql: str, values: Sequence[Any] = ()) -> Sequence[Row]:
        if "waits" in sql:
            self.readings += 1
            if self.readings <= self.hours:
                before_ms = BEGIN_MS + self.readings * Span.HOUR.ms
                async with self._database.transaction() as transaction:
                    await transaction.execute("DELETE FROM rollup WHERE span_s = 60 AND at_ms < $1", (before_ms,))
        return await self._database.fetch(sql, values)


async def count(store: Store, *minutes: int) -> list[int]:
    """Count a job in each of these minutes, as the recorder does; returns how many rows each of its queries read."""
    tally = Tally({}, {})
    for minute in minutes:
        tally.minutes[BEGIN_MINUTE + minute, ("a", "x")] = Figures(accepted=1)
    async with store._database.transaction() as transaction:
        watched = Watched(transaction)
        await add_up(watched, tally)
    return watched.counts


async def test_what_comes_late_reads_the_rows_of_its_period_only(store: Store) -> None:
    await count(store, *range(HOURS * 60))
    assert max(await count(store, 90)) == 30  # those of the hour, from then on
    assert max(await count(store, 90, 150)) == 90
    report = await store.statistics.report(Asked(), BEGIN_MS, BEGIN_MS + HOURS * Span.HOUR.ms, Span.HOUR)
    assert [part.figures.accepted for part in report.parts] == [60, 62, 61, 60, 60]


@pytest.mark.parametrize("step", [None, Span.MINUTE])
async def test_where_retention_comes_in_between_a_report_is_made_again(store: Store, step: Span | None) -> None:
    await count(store, *range(HOURS * 60))
    database = Meanwhile(store._database, hours=1)
    from_ms = BEGIN_MS + 30 * 60_000
    report = await Statistics(database).report(Asked(), from_ms, BEGIN_MS + 2 * Span.HOUR.ms, step)
    assert (report.step or report.window.precision, report.window.from_ms) == (Span.HOUR, BEGIN_MS)
    assert sum(part.figures.accepted for part in report.parts) == 120
    assert database.readings == 2


async def test_where_retention_comes_each_time_a_report_is_given_all_the_same(store: Store) -> None:
    await count(store, *range(HOURS * 60))
    database = Meanwhile(store._database, hours=HOURS)
    await Statistics(database).report(Asked(), BEGIN_MS + 30 * 60_000, BEGIN_MS + 5 * Span.HOUR.ms)
    assert database.readings == TRIES < HOURS
    assert (await read_kept(store._database)).minutes_ms == BEGIN_MS + TRIES * Span.HOUR.ms
