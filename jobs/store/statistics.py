"""Reading rollups: any window is the difference of six rows at most, however long it is."""

# ruff: noqa: S608  # names of our own columns
from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from itertools import chain
from operator import itemgetter, sub
from typing import Any, NamedTuple

import msgspec
import orjson

from jobs.histogram import Histogram
from jobs.job import State
from jobs.rollup import ENTERED, SUMS, Figures, numbers
from jobs.statistics import Asked, Kept, Mark, Part, Report, Span, Window, marks
from jobs.store.database import Database, Dialect, Row
from jobs.store.kept import read_kept
from jobs.store.rollup import FIGURES

GROUPS_MAX = 1_000
"""Queues, tasks, or pairs of them, that are told apart: the first by name."""
POINTS_MAX = 10_000
"""Steps of all lines of a series: as many lines as have so many, the first by name."""
ALONE_MAX = 50
"""More places than these are read by two connections of PostgreSQL side by side."""
TRIES = 3
"""Where retention removes rows while a report is made, it is made again."""

Place = tuple[str, str]
"""Queue and task, "" for all."""


class Places(NamedTuple):
    """Queues and tasks that are told apart, by name."""

    whole: Place
    """What they are parts of."""
    known: list[Place]
    are_all: bool = True
    """Whether there are no more than those."""

    def first(self, most: int) -> Places:
        """Return them without those behind so many."""
        return self if len(self.known) <= most else Places(self.whole, self.known[:most], are_all=False)


_NAMES = (
    "WITH RECURSIVE known (name) AS (SELECT min({name}) FROM rollup WHERE span_s = 86400 AND {name} > ''{where}"
    " UNION ALL SELECT (SELECT min({name}) FROM rollup WHERE span_s = 86400 AND {name} > known.name{where})"
    " FROM known WHERE name IS NOT NULL) SELECT name FROM known WHERE name IS NOT NULL LIMIT {limit}"
)
"""From one name to the next in the index, however many rows each has."""
_PAIRS = (
    "WITH RECURSIVE known (id) AS (SELECT (SELECT id FROM rollup WHERE span_s = 86400 AND queue > ''"
    " ORDER BY queue, task LIMIT 1) UNION ALL SELECT COALESCE((SELECT id FROM rollup WHERE span_s = 86400"
    " AND queue = r.queue AND task > r.task ORDER BY task LIMIT 1), (SELECT id FROM rollup WHERE span_s = 86400"
    " AND queue > r.queue ORDER BY queue, task LIMIT 1)) FROM known JOIN rollup AS r ON r.id = known.id)"
    " SELECT queue, task FROM known JOIN rollup AS r ON r.id = known.id WHERE task > '' LIMIT {limit}"
)
"""As above, for both."""


def _given(dialect: Dialect, number: int) -> str:
    """Write the table of places that the parameters from this number on are."""
    if dialect == "sqlite":
        columns = "json_extract(value, '$[0]') AS q, json_extract(value, '$[1]') AS t"
        return f"(SELECT {columns} FROM json_each(${number})) AS place"
    return f"unnest(${number}::text[], ${number + 1}::text[]) AS place (q, t)"


_TOGETHER = ", ".join(
    (
        *(f"{{begin}}sum(sign * r.{name}){{end}}" for name in SUMS),
        *(
            f"{{join}}(r.{name}, ';') FILTER (WHERE sign {which} 0 AND r.{name} > '')"
            for name in ("waits", "runs")
            for which in "><"
        ),
    )
)
"""Numbers with their sign, and the histograms that are added, and those that are taken away."""
_LAST: dict[Dialect, str] = {
    "sqlite": "WITH mark (span, since, until, sign) AS MATERIALIZED (SELECT json_extract(value, '$[0]'),"
    " json_extract(value, '$[1]'), json_extract(value, '$[2]'), json_extract(value, '$[3]') FROM json_each($1)),"
    f" place AS MATERIALIZED (SELECT q, t FROM {_given('sqlite', 2)})"
    f" SELECT q, t, {_TOGETHER.format(begin='', end='', join='group_concat')} FROM place CROSS JOIN mark"
    " CROSS JOIN rollup AS r ON r.id = (SELECT id FROM rollup WHERE span_s = span AND queue = q AND task = t"
    " AND at_ms >= since AND at_ms < until ORDER BY at_ms DESC LIMIT 1) GROUP BY q, t",
    "postgres": f"SELECT q, t, {_TOGETHER.format(begin='', end='::bigint', join='string_agg')}"
    f" FROM {_given('postgres', 5)}"
    " CROSS JOIN unnest($1::integer[], $2::bigint[], $3::bigint[], $4::integer[]) AS mark (span, since, until, sign)"
    " CROSS JOIN LATERAL (SELECT * FROM rollup WHERE span_s = span AND queue = q AND task = t"
    " AND at_ms >= since AND at_ms < until ORDER BY at_ms DESC LIMIT 1) AS r GROUP BY q, t",
}
_SERIES = (
    "WITH line (q, t, since) AS (SELECT q, t, COALESCE((SELECT max(at_ms) FROM rollup"
    " WHERE span_s = $1 AND queue = q AND task = t AND at_ms < $3), $3) FROM {given})"
    f" SELECT r.queue, r.task, r.at_ms, {FIGURES} FROM line CROSS JOIN rollup AS r"
    " WHERE r.span_s = $1 AND r.queue = q AND r.task = t AND r.at_ms >= since AND r.at_ms < $2"
)
"""Those of a window, and the one before it."""


class Statistics:
    """Figures of any window. Every method may raise StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._dialect = database.dialect

    async def kept(self) -> Kept:
        """Return how far back there are figures of minutes and of hours."""
        return await read_kept(self._database)

    async def report(self, asked: Asked, from_ms: int, until_ms: int, step: Span | None = None) -> Report:
        """Return the figures of a window, as a whole or for each step; its ends move out to what there is."""
        kept, places = await asyncio.gather(self.kept(), self._places(asked))
        for _ in range(TRIES):
            found = await self._report(kept, places, from_ms, until_ms, step)
            before, kept = kept, await self.kept()
            if kept == before:
                break
        return found

    async def _report(self, kept: Kept, places: Places, from_ms: int, until_ms: int, step: Span | None) -> Report:
        if step:
            step = kept.step(step, from_ms)
            window = Window(from_ms // step.ms * step.ms, -(-until_ms // step.ms) * step.ms, step)
            places = places.first(POINTS_MAX * step.ms // (window.until_ms - window.from_ms))
            parts = await self._series(places.known, window, step)
            return Report(window=window, step=step, parts=parts, is_complete=places.are_all)
        window = kept.window(from_ms, until_ms)
        sums = await self.counted(list({places.whole, *places.known}), window.marks())
        parts = [_part(place, window.from_ms, sums[place]) for place in places.known if place in sums]
        total = sums.get(places.whole, Figures())
        return Report(window=window, step=None, parts=parts, total=total, is_complete=places.are_all)

    async def states(self, at_ms: int, queue: str | None = None) -> tuple[int, Span, dict[State, int]]:
        """Return how many jobs were in each state that is not final, when exactly, and how precise that is.

        That is the last moment up to `at_ms` that there are figures of.
        """
        at_ms, precision = (await self.kept()).down(at_ms)
        place = (queue or "", "")
        figures = (await self.counted([place], list(marks(at_ms)))).get(place, Figures())
        return at_ms, precision, {State(state): max(0, getattr(figures, name)) for state, name in ENTERED.items()}

    async def counted(self, places: Sequence[Place], wanted: Sequence[Mark]) -> dict[Place, Figures]:
        """Return what these rows count together, by place, without those in which nothing happened."""
        if not places or not wanted:
            return {}
        when = self._columns([msgspec.structs.astuple(one) for one in wanted])
        middle = len(places) // 2 if self._dialect == "postgres" and len(places) > ALONE_MAX else 0
        halves = [half for half in (places[:middle], places[middle:]) if half]
        asked = (self._database.fetch(_LAST[self._dialect], (*when, *self._columns(half))) for half in halves)
        rows = {(row[0], row[1]): row for row in chain.from_iterable(await asyncio.gather(*asked))}
        found = ((place, _together(rows[place])) for place in places if place in rows)
        return {place: figures for place, figures in found if any(numbers(figures))}

    async def _series(self, places: Sequence[Place], window: Window, step: Span) -> list[Part]:
        if not places:
            return []
        values = (int(step), window.until_ms, window.from_ms, *self._columns(places))
        rows = list(await self._database.fetch(_SERIES.format(given=_given(self._dialect, 4)), values))
        rows.sort(key=itemgetter(0, 1, 2))  # as good as sorted already; the database would write them out for it
        return [_part((row[0], row[1]), row[2], figures) for row, figures in _differences(rows, step, window.from_ms)]

    def _columns(self, rows: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Make parameters of rows: JSON, or an array for each column."""
        if self._dialect == "sqlite":
            return [orjson.dumps(rows).decode()]
        return [list(column) for column in zip(*rows, strict=True)]

    async def _places(self, asked: Asked) -> Places:
        """Return the queues and tasks that are to be told apart, by name."""
        by_queue, by_task = asked.by_queue and asked.queue is None, asked.by_task and asked.task is None
        queue, task = whole = asked.queue or "", asked.task or ""
        if not by_queue and not by_task:
            return Places(whole, [whole])
        if by_queue and by_task:
            rows = await self._database.fetch(_PAIRS.format(limit=GROUPS_MAX + 1))
            return Places(whole, [(row["queue"], row["task"]) for row in rows]).first(GROUPS_MAX)
        names = await self._names("queue" if by_queue else "task", queue)
        return Places(whole, [(name, task) if by_queue else (queue, name) for name in names]).first(GROUPS_MAX)

    async def _names(self, name: str, queue: str) -> list[str]:
        """Return one more than GROUPS_MAX where there are more."""
        where, values = (" AND queue = $1", [queue]) if name == "task" else ("", [])
        rows = await self._database.fetch(_NAMES.format(name=name, where=where, limit=GROUPS_MAX + 1), values)
        return [row["name"] for row in rows]


_NOTHING: Sequence[int] = (0,) * len(SUMS)
_NONE = Histogram()


def _together(row: Row) -> Figures:
    end = 2 + len(SUMS)
    waits, waits_before, runs, runs_before = (Histogram.read(text or "") for text in row[end : end + 4])
    return Figures.of(row[2:end], waits.minus(waits_before), runs.minus(runs_before))


def _differences(rows: Sequence[Row], step: Span, from_ms: int) -> Iterator[tuple[Row, Figures]]:
    """Return what happened in each step of those from a moment on in which something did."""
    line: tuple[Any, ...] = ()
    end = 3 + len(SUMS)
    for row in rows:
        if (of := (row[0], row[1], step.since(row[2]))) != line:
            line, before, waits_before, runs_before = of, _NOTHING, _NONE, _NONE
        sums, waits, runs = row[3:end], Histogram.read(row[end]), Histogram.read(row[end + 1])
        if row[2] >= from_ms and any(by := list(map(sub, sums, before))):
            yield row, Figures.of(by, waits.minus(waits_before), runs.minus(runs_before))
        before, waits_before, runs_before = sums, waits, runs


def _part(place: Place, at_ms: int, figures: Figures) -> Part:
    return Part(queue=place[0] or None, task=place[1] or None, at_ms=at_ms, figures=figures)
