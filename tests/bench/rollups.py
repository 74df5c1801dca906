"""Fills in the figures of ninety days: for each hour and day, and for each minute of the last seven days.

They are as many and as large as those of the jobs that `fill` makes, but drawn by themselves, each span apart.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import product

import asyncpg  # type: ignore[import-untyped]  # it ships no types

from jobs.clock import now_ms
from jobs.histogram import Histogram
from jobs.rollup import SUMS, Figures, numbers
from jobs.statistics import Span
from jobs.store.config import sqlite_path

DAYS = 90
MINUTE_DAYS = 7
QUEUES = 10
TASKS = 20
ASTRAY = 0.05
"""Part of the jobs that are in another queue than most of their task."""
SAMPLES = 4
COLUMNS = ("span_s", "at_ms", "queue", "task", *SUMS, "waits", "runs")


class Drawn:
    """Figures for any number of jobs. Their histograms are made once for each size, a few of them."""

    def __init__(self, end_ms: int, rows: int) -> None:
        self._chance = random.Random(7)  # noqa: S311  # data for a bench
        self._end_ms = end_ms
        self._per_ms = rows / (DAYS * Span.DAY.ms)
        self._drawn: dict[tuple[int, int, float], Histogram] = {}

    def rows(self) -> Iterator[tuple[object, ...]]:
        """Make all rows of the table."""
        end_ms = self._end_ms // Span.DAY.ms * Span.DAY.ms + Span.DAY.ms
        for span, days in ((Span.DAY, DAYS), (Span.HOUR, DAYS), (Span.MINUTE, MINUTE_DAYS)):
            counted: dict[tuple[str, str], tuple[int, Figures]] = {}
            for at_ms in range(end_ms - days * Span.DAY.ms, min(end_ms, self._end_ms), span.ms):
                since_ms = span.since(at_ms)
                for place, jobs in self._places(self._per_ms * span.ms).items():
                    known = counted.get(place)
                    figures = self._figures(jobs)
                    if known and known[0] == since_ms:
                        figures = known[1].plus(figures)
                    counted[place] = since_ms, figures
                    yield (int(span), at_ms, *place, *numbers(figures), str(figures.waits), str(figures.runs))

    def _places(self, jobs: float) -> dict[tuple[str, str], int]:
        found: dict[tuple[str, str], int] = {}
        for task, queue in product(range(TASKS), range(QUEUES)):
            part = (1 - ASTRAY if task % QUEUES == queue else 0.0) + ASTRAY / QUEUES
            expected = jobs / TASKS * part
            count = int(expected) + (self._chance.random() < expected % 1)
            if count:
                for place in ((f"queue{queue}", f"task{task}"), (f"queue{queue}", ""), ("", f"task{task}"), ("", "")):
                    found[place] = found.get(place, 0) + count
        return found

    def _figures(self, jobs: int) -> Figures:
        given = {"accepted": jobs, "started": jobs, "completed": jobs, "wait_ms": 20 * jobs, "run_ms": 400 * jobs}
        return Figures(**given, waits=self._histogram(jobs, 3.0), runs=self._histogram(jobs, 6.0))

    def _histogram(self, jobs: int, middle: float) -> Histogram:
        """Return a histogram of about so many durations: their variety ends somewhere."""
        key = (jobs if jobs < 50 else round(jobs, -len(str(jobs)) + 2), self._chance.randrange(SAMPLES), middle)
        if key not in self._drawn:
            some = Histogram.of(int(self._chance.lognormvariate(middle, 1.2)) for _ in range(min(jobs, 2_000)))
            scale = max(1, jobs // 2_000)
            first, *counts = map(int, str(some).split(","))
            self._drawn[key] = Histogram(first, [count * scale for count in counts])
        return self._drawn[key]


async def fill_rollups(url: str, rows: int) -> None:
    """Fill in the figures of `rows` jobs, where there are none yet."""
    drawn = Drawn(now_ms(), rows)
    path = sqlite_path(url)
    if path is None:
        await _fill_postgres(url, drawn)
    else:
        _fill_sqlite(str(path), drawn)


def _fill_sqlite(path: str, drawn: Drawn) -> None:
    names, places = ", ".join(COLUMNS), ", ".join("?" * len(COLUMNS))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        if connection.execute("SELECT 1 FROM rollup LIMIT 1").fetchone():
            return
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("BEGIN")
        connection.executemany(f"INSERT INTO rollup ({names}) VALUES ({places})", drawn.rows())  # noqa: S608  # names of our own
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


async def _fill_postgres(url: str, drawn: Drawn) -> None:
    connection = await asyncpg.connect(url)
    try:
        if not await connection.fetchval("SELECT 1 FROM rollup LIMIT 1"):
            await connection.copy_records_to_table("rollup", records=drawn.rows(), columns=COLUMNS)
            await connection.execute("VACUUM (ANALYZE, PARALLEL 0) rollup")
    finally:
        await connection.close()
