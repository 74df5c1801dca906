"""Reading rollups: any window from few rows, since its inside is covered by days and its edges by hours and minutes."""

from __future__ import annotations

from collections.abc import Sequence

from jobs.job import State
from jobs.rollup import ENTERED, SUMS, Figures, Histogram
from jobs.statistics import Asked, Kept, Part, Report, Span, Tile, Window
from jobs.store.database import Database, Row
from jobs.store.where import Query

NAMES_MAX = 1_000
"""Queues, and tasks, that are told apart; those behind them by name are left out."""

_KEPT = (
    "SELECT first.at_ms AS at_ms, (SELECT min(at_ms) FROM rollup WHERE span_s = {coarse}) AS oldest_ms,"
    " (SELECT sum({all}) FROM rollup WHERE span_s = {fine} AND queue = '' AND task = ''"
    " AND at_ms >= first.at_ms / {ms} * {ms} AND at_ms < first.at_ms / {ms} * {ms} + {ms}) AS parts,"
    " (SELECT {all} FROM rollup WHERE span_s = {coarse} AND queue = '' AND task = ''"
    " AND at_ms = first.at_ms / {ms} * {ms}) AS whole"
    " FROM (SELECT min(at_ms) AS at_ms FROM rollup WHERE span_s = {fine}) AS first"
)
_COUNTS = [name for name in SUMS if not name.startswith("entered") and not name.endswith(("_ms", "_us"))]
_NAMES = (
    "WITH RECURSIVE known (name) AS (SELECT min({name}) FROM rollup WHERE span_s = 86400 AND {name} > ''{where}"
    " UNION ALL SELECT (SELECT min({name}) FROM rollup WHERE span_s = 86400 AND {name} > known.name{where})"
    " FROM known WHERE name IS NOT NULL) SELECT name FROM known WHERE name IS NOT NULL LIMIT {limit}"
)
"""From one name to the next in the index, however many rows each has."""
_ADDED = ", ".join(f"CAST(sum({name}) AS bigint) AS {name}" for name in SUMS)
_JOINED = {
    "sqlite": "group_concat(NULLIF(waits, ''), ';') AS waits, group_concat(NULLIF(runs, ''), ';') AS runs",
    "postgres": "string_agg(NULLIF(waits, ''), ';') AS waits, string_agg(NULLIF(runs, ''), ';') AS runs",
}


class Statistics:
    """Figures of any window. Every method may raise StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._dialect = database.dialect

    async def kept(self) -> Kept:
        """Return how far back there are figures of minutes and of hours."""
        return Kept(await self._kept(Span.MINUTE, Span.HOUR), await self._kept(Span.HOUR, Span.DAY))

    async def report(self, asked: Asked, from_ms: int, until_ms: int, step: Span | None = None) -> Report:
        """Return the figures of a window, as a whole or for each step; its ends move out to what there is."""
        kept = await self.kept()
        if step:
            step = kept.step(step, from_ms)
            window = Window(from_ms // step.ms * step.ms, -(-until_ms // step.ms) * step.ms, step)
            tiles = [Tile(step, window.from_ms, window.until_ms)]
        else:
            window = kept.window(from_ms, until_ms)
            tiles = list(window.tiles())
        return Report(window=window, step=step, parts=await self._read(asked, tiles, window, by_time=bool(step)))

    async def states(self, at_ms: int, queue: str | None = None) -> tuple[int, Span, dict[State, int]]:
        """Return how many jobs were in each state that is not final, when exactly, and how precise that is.

        That is the last moment up to `at_ms` that there are figures of.
        """
        at_ms, precision = (await self.kept()).down(at_ms)
        tiles = [tile for tile in Window(0, at_ms).tiles() if tile.until_ms > 0]
        found = await self._read(Asked(queue=queue), tiles, Window(0, at_ms), by_time=False)
        figures = found[0].figures if found else Figures()
        return at_ms, precision, {State(state): max(0, getattr(figures, name)) for state, name in ENTERED.items()}

    async def _kept(self, fine: Span, coarse: Span) -> int:
        sql = _KEPT.format(fine=int(fine), coarse=int(coarse), ms=coarse.ms, all=" + ".join(_COUNTS))
        (row,) = await self._database.fetch(sql)
        if row["oldest_ms"] is None:
            return 0
        if row["at_ms"] is None:
            return 1 << 62
        first_ms: int = row["at_ms"] - row["at_ms"] % coarse.ms
        if row["parts"] != row["whole"]:  # some of its parts are gone already
            return first_ms + coarse.ms
        return 0 if row["oldest_ms"] >= first_ms else first_ms

    async def _read(self, asked: Asked, tiles: Sequence[Tile], window: Window, *, by_time: bool) -> list[Part]:
        if not tiles:
            return []
        places = await self._places(asked)
        if [] in places.values():
            return []
        query = Query(self._dialect)
        union = " UNION ALL ".join(self._tile(query, places, tile) for tile in tiles)
        at = "at_ms" if by_time else "0"
        rows = await self._database.fetch(
            f"SELECT queue, task, {at} AS time_ms, {_ADDED}, {_JOINED[self._dialect]} FROM ({union}) AS tiled"  # noqa: S608  # values are parameters
            " GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
            query.values,
        )
        return [_part(row, row["time_ms"] if by_time else window.from_ms) for row in rows]

    async def _places(self, asked: Asked) -> dict[str, str | list[str]]:
        """Return what the columns of place must be: one value, or any of these."""
        places: dict[str, str | list[str]] = {"queue": asked.queue or "", "task": asked.task or ""}
        if asked.by_queue and asked.queue is None:
            places["queue"] = await self._names("queue")
        if asked.by_task and asked.task is None:
            places["task"] = await self._names("task", asked.queue or "")
        return places

    async def _names(self, name: str, queue: str | None = None) -> list[str]:
        query = Query(self._dialect)
        where = "" if queue is None else f" AND queue = {query.value(queue)}"
        rows = await self._database.fetch(_NAMES.format(name=name, where=where, limit=NAMES_MAX), query.values)
        return [row["name"] for row in rows]

    def _tile(self, query: Query, places: dict[str, str | list[str]], tile: Tile) -> str:
        conditions = [f"span_s = {int(tile.span)}"]
        for column, meant in places.items():
            if isinstance(meant, str):
                conditions.append(f"{column} = {query.value(meant)}")
            else:
                conditions.append(query.any_of(column, meant))
        conditions.append(f"at_ms >= {query.value(tile.from_ms)} AND at_ms < {query.value(tile.until_ms)}")
        return f"SELECT * FROM rollup WHERE {' AND '.join(conditions)}"  # noqa: S608  # as above


def _part(row: Row, at_ms: int) -> Part:
    figures = Figures(
        **{name: row[name] for name in SUMS},
        waits=Histogram.read(row["waits"] or ""),
        runs=Histogram.read(row["runs"] or ""),
    )
    return Part(queue=row["queue"] or None, task=row["task"] or None, at_ms=at_ms, figures=figures)
