"""Rollups: rows of each minute, hour and day (UTC) in which something happened, written as events are recorded.

A row counts on like a meter: that of a minute since its hour began, that of an hour since its day began, that of a day
since ever (`Span.since`). So what happened between any two moments is the difference of few rows. In a row an empty
task stands for all tasks of the queue, an empty queue for all queues; the row with both empty is about everything.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from operator import attrgetter, itemgetter
from typing import Any

import msgspec
import orjson

from jobs.histogram import Histogram
from jobs.rollup import SUMS, Figures, numbers
from jobs.statistics import Kept, Span
from jobs.store.bulk import Column, Insert
from jobs.store.database import Row, Transaction
from jobs.store.kept import read_kept
from jobs.store.rows import BIG, INT
from jobs.store.tally import Tally

Key = tuple[int, str, str, int]
"""Of a row: span in seconds, queue, task, and the milliseconds at which the span begins."""
Line = tuple[Span, str, str]
"""Span, queue and task of rows that follow each other in time."""
Change = tuple[int, Figures]
"""What happened in a span, and when it begins in milliseconds."""

# ruff: noqa: S608  # names of our own columns
FIGURES = ", ".join(f"r.{name}" for name in (*SUMS, "waits", "runs"))
"""Columns that `read_figures` reads."""
_LATEST = {
    "sqlite": f"SELECT r.span_s, r.queue, r.task, r.at_ms, {FIGURES} FROM json_each($1) AS line"
    " CROSS JOIN rollup AS r ON r.id = (SELECT id FROM rollup WHERE span_s = json_extract(value, '$[0]')"
    " AND queue = json_extract(value, '$[1]') AND task = json_extract(value, '$[2]') ORDER BY at_ms DESC LIMIT 1)",
    "postgres": f"SELECT s, q, t, r.at_ms, {FIGURES}"
    " FROM unnest($1::integer[], $2::text[], $3::text[]) AS line (s, q, t) CROSS JOIN LATERAL"
    " (SELECT * FROM rollup WHERE span_s = s AND queue = q AND task = t ORDER BY at_ms DESC LIMIT 1) AS r",
}
_PLACE = "span_s = $1 AND queue = $2 AND task = $3"
_FROM = (
    f"SELECT r.at_ms, {FIGURES} FROM rollup AS r WHERE {_PLACE} AND at_ms >="
    f" COALESCE((SELECT max(at_ms) FROM rollup WHERE {_PLACE} AND at_ms <= $4), 0) AND at_ms < $5 ORDER BY at_ms"
)
_KEYS = (Column("span_s", INT), Column("queue"), Column("task"), Column("at_ms", BIG))
_FIGURES = (*(Column(name, BIG) for name in SUMS), Column("waits"), Column("runs"))
_WRITE = Insert(
    "rollup",
    (*_KEYS, *_FIGURES),
    f"ON CONFLICT ({', '.join(column.name for column in _KEYS)}) DO UPDATE SET "
    + ", ".join(f"{column.name} = excluded.{column.name}" for column in _FIGURES),
)


class Reading(msgspec.Struct):
    """A row, as it is or as it is to be."""

    at_ms: int
    figures: Figures
    changed: bool = False


def read_figures(row: Row, begin: int) -> Figures:
    """Read a row whose columns from number `begin` on are FIGURES."""
    end = begin + len(SUMS)
    return Figures.of(row[begin:end], Histogram.read(row[end]), Histogram.read(row[end + 1]))


async def add_up(transaction: Transaction, tally: Tally) -> None:
    """Add what a batch of events changed to the rows of its minutes, hours and days, and to those after them.

    The transaction must be the recorder's, after it has moved the position: nobody else writes these rows then.
    """
    if not tally.minutes:
        return
    lines = _spread(tally)
    latest = await _latest(transaction, list(lines))
    late: dict[Line, list[Reading]] = {}
    kept: Kept | None = None
    for line, changes in lines.items():
        known = latest.get(line, [])
        if not known or changes[0][0] < known[0].at_ms:  # they are new, or come late: their rows may be gone
            kept = kept or await read_kept(transaction)
            changes[:] = [one for one in changes if kept.has(line[0], one[0])]
            late[line] = await _from(transaction, line, changes) if known and changes else []
    # Once more after the rows: what is removed in between is not begun anew, as though nothing had been there before.
    kept = await read_kept(transaction) if late else None
    rows: list[tuple[Any, ...]] = []
    for line, changes in sorted(lines.items(), key=itemgetter(0)):
        known = latest.get(line, [])
        if line in late and kept:
            known, changes[:] = late[line], [one for one in changes if kept.has(line[0], one[0])]
        rows += [(*line, one.at_ms, *_values(one.figures)) for one in count_on(line, known, changes) if one.changed]
    await _WRITE.run(transaction, rows)


def count_on(line: Line, known: list[Reading], changes: Sequence[Change]) -> list[Reading]:
    """Add changes to rows, which must reach back to the last one up to the first change."""
    span = line[0]
    for at_ms, change in changes:
        since_ms = span.since(at_ms)
        place = bisect_right(known, at_ms, key=_at)
        before = known[place - 1] if place and known[place - 1].at_ms >= since_ms else None
        if before is None and since_ms < at_ms and line[1:] == ("", "") and span is not Span.DAY:
            # So that it shows whether rows were removed from the beginning: see `read_kept`.
            known.insert(place, Reading(since_ms, Figures(), changed=True))
            place += 1
        if before is None or before.at_ms < at_ms:
            known.insert(place, Reading(at_ms, before.figures if before else Figures()))
            place += 1
        for one in known[place - 1 :]:
            if span.since(one.at_ms) != since_ms:
                break
            one.figures, one.changed = one.figures.plus(change), True
    return known


_at = attrgetter("at_ms")


def _values(figures: Figures) -> tuple[Any, ...]:
    return (*numbers(figures), str(figures.waits), str(figures.runs))


def _spread(tally: Tally) -> dict[Line, list[Change]]:
    """Return what the tally says of each line, in the order of time."""
    parts: defaultdict[tuple[str, str, int], list[Figures]] = defaultdict(list)
    for (minute, (queue, task)), one in tally.minutes.items():
        for place in {(queue, task), (queue, ""), ("", task), ("", "")}:
            parts[(*place, minute * Span.MINUTE.ms)].append(one)
    minutes = [(key, Figures.sum(each)) for key, each in sorted(parts.items(), key=itemgetter(0))]
    lines: dict[Line, list[Change]] = {}
    for span in Span:
        spans: defaultdict[tuple[str, str, int], list[Figures]] = defaultdict(list)
        for (queue, task, at_ms), one in minutes:
            spans[queue, task, at_ms - at_ms % span.ms].append(one)
        for (queue, task, at_ms), each in spans.items():
            lines.setdefault((span, queue, task), []).append((at_ms, Figures.sum(each)))
    return lines


async def _latest(transaction: Transaction, lines: Sequence[Line]) -> dict[Line, list[Reading]]:
    """Return the last row of each line that has one."""
    values: list[Any] = [orjson.dumps(lines).decode()]
    if transaction.dialect == "postgres":
        values = [list(column) for column in zip(*lines, strict=True)]
    rows = await transaction.fetch(_LATEST[transaction.dialect], values)
    return {(Span(row[0]), row[1], row[2]): [Reading(row[3], read_figures(row, 4))] for row in rows}


async def _from(transaction: Transaction, line: Line, changes: Sequence[Change]) -> list[Reading]:
    """Return the rows of a line that count what changes, and the last one before them."""
    (first_ms, _), (last_ms, _) = changes[0], changes[-1]
    return _readings(await transaction.fetch(_FROM, (*line, first_ms, line[0].until(last_ms))))


def _readings(rows: Iterable[Row]) -> list[Reading]:
    return [Reading(row[0], read_figures(row, 1)) for row in rows]
