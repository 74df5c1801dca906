"""Rollups: the figures of each minute, hour and day (UTC), by queue and task, written as events are recorded.

In a row an empty task stands for all tasks of the queue, an empty queue for all queues; the row with both empty is
about everything. So whatever is asked for, one row tells it for one span of time.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import itemgetter
from typing import Any, TypeVar

import orjson

from jobs.rollup import SUMS, Figures, Histogram, numbers
from jobs.store.bulk import Column, Insert
from jobs.store.database import Transaction
from jobs.store.rows import BIG, INT
from jobs.store.tally import Tally

MINUTE_S, HOUR_S, DAY_S = 60, 3_600, 86_400
SPANS_S = (MINUTE_S, HOUR_S, DAY_S)

K = TypeVar("K")

Key = tuple[int, str, str, int]
"""Of a row: span in seconds, queue, task, and the milliseconds at which the span begins."""

_KEYS = (Column("span_s", INT), Column("queue"), Column("task"), Column("at_ms", BIG))
_KEY_NAMES = ", ".join(column.name for column in _KEYS)
_READ = {
    "sqlite": "SELECT span_s, queue, task, at_ms, waits, runs FROM rollup JOIN json_each($1) AS meant"
    " ON span_s = json_extract(value, '$[0]') AND queue = json_extract(value, '$[1]')"
    " AND task = json_extract(value, '$[2]') AND at_ms = json_extract(value, '$[3]')",
    "postgres": "SELECT span_s, queue, task, at_ms, waits, runs FROM rollup"
    " JOIN unnest($1::integer[], $2::text[], $3::text[], $4::bigint[]) AS meant (s, q, t, a)"
    " ON span_s = s AND queue = q AND task = t AND at_ms = a",
}
_ADD = Insert(
    "rollup",
    (*_KEYS, *(Column(name, BIG) for name in SUMS), Column("waits"), Column("runs")),
    f"ON CONFLICT ({_KEY_NAMES}) DO UPDATE SET "
    + ", ".join(f"{name} = rollup.{name} + excluded.{name}" for name in SUMS)
    # Empty where nothing was added: what is stored was not read then.
    + ", waits = CASE excluded.waits WHEN '' THEN rollup.waits ELSE excluded.waits END"
    + ", runs = CASE excluded.runs WHEN '' THEN rollup.runs ELSE excluded.runs END",
)


async def add_up(transaction: Transaction, tally: Tally) -> None:
    """Add what a batch of events changed to the rows of its minutes, hours and days.

    The transaction must be the recorder's, after it has moved the position: nobody else writes these rows then.
    """
    if not tally.minutes:
        return
    added = _spread(tally)
    stored = await _stored(transaction, [key for key, one in added.items() if one.waits.counts or one.runs.counts])
    rows = []
    for key, one in sorted(added.items(), key=itemgetter(0)):
        waits, runs = stored.get(key, ("", ""))
        rows.append((*key, *numbers(one), _merged(waits, one.waits), _merged(runs, one.runs)))
    await _ADD.run(transaction, rows)


def _spread(tally: Tally) -> dict[Key, Figures]:
    """Return the figures of every row that the tally is about."""
    minutes = _summed(
        ((minute * 60_000, *place), figures)
        for (minute, (queue, task)), figures in tally.minutes.items()
        for place in {(queue, task), (queue, ""), ("", task), ("", "")}
    )
    return _summed(
        ((span_s, queue, task, minute_ms - minute_ms % (span_s * 1000)), figures)
        for (minute_ms, queue, task), figures in minutes.items()
        for span_s in SPANS_S
    )


def _summed(parts: Iterable[tuple[K, Figures]]) -> dict[K, Figures]:
    groups: dict[K, list[Figures]] = {}
    for key, figures in parts:
        groups.setdefault(key, []).append(figures)
    return {key: Figures.sum(group) for key, group in groups.items()}


def _merged(stored: str, added: Histogram) -> str:
    if not added.counts:
        return stored
    return str(Histogram.sum([Histogram.read(stored), added]) if stored else added)


async def _stored(transaction: Transaction, keys: list[Key]) -> dict[Key, tuple[str, str]]:
    """Return the histograms of those rows that exist."""
    if not keys:
        return {}
    values: list[Any] = [orjson.dumps(keys).decode()]
    if transaction.dialect == "postgres":
        values = [list(column) for column in zip(*keys, strict=True)]
    rows = await transaction.fetch(_READ[transaction.dialect], values)
    return {(row[0], row[1], row[2], row[3]): (row[4], row[5]) for row in rows}
