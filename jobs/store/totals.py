"""What happened since statistics began, by queue and task: sums of rollups, which never go down."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from jobs.clock import Clock
from jobs.rollup import SUMS, Figures, Histogram
from jobs.store.database import Database, Row
from jobs.store.rollup import DAY_S, MINUTE_S

DAY_MS = DAY_S * 1000
STALE_MS = 7 * DAY_MS
"""What did not happen for so long is left out: the task is gone."""

_READ = (
    f"SELECT queue, task, at_ms, {', '.join(SUMS)}, waits, runs FROM rollup"  # noqa: S608  # names of our own columns
    " WHERE span_s = $1 AND queue <> '' AND task <> '' AND at_ms >= $2 AND at_ms < $3"
)
_LATELY = (
    "SELECT queue, sum(completed + dead + cancelled) AS finished, sum(dead) AS dead FROM rollup"
    " WHERE span_s = $1 AND queue <> '' AND task = '' AND at_ms >= $2 GROUP BY queue"
)

Place = tuple[str, str]
"""Queue and task."""
Found = dict[Place, tuple[int, Figures]]
"""The last day on which something happened, and the figures."""


class Lately(msgspec.Struct, frozen=True):
    """How jobs of a queue ended within a span of time."""

    finished: int
    """In whatever way."""
    dead: int


class Totals:
    """Adds rollups up. Every method may raise StoreUnavailable."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._old: Found = {}
        self._old_until_ms = -1

    async def each(self) -> dict[Place, Figures]:
        """Return the figures of each queue and task in which something happened within the last seven days."""
        now = self._clock()
        yesterday = now // DAY_MS * DAY_MS - DAY_MS
        if self._old_until_ms != yesterday:
            self._old, self._old_until_ms = await self._read(0, yesterday), yesterday
        fresh = await self._read(yesterday, now + DAY_MS)
        return {
            place: Figures.sum([found[place][1] for found in (self._old, fresh) if place in found])
            for place in sorted(self._old.keys() | fresh.keys())
            if place in fresh or self._old[place][0] > now - STALE_MS
        }

    async def lately(self, span_s: float) -> dict[str, Lately]:
        """Return how jobs ended within the last so many seconds, by queue; whole minutes, the present one included."""
        since_ms = self._clock() - round(span_s * 1000)
        rows = await self._database.fetch(_LATELY, (MINUTE_S, since_ms - since_ms % (MINUTE_S * 1000)))
        return {row["queue"]: Lately(int(row["finished"]), int(row["dead"])) for row in rows}

    async def _read(self, since_ms: int, until_ms: int) -> Found:
        rows = await self._database.fetch(_READ, (DAY_S, since_ms, until_ms))
        return await asyncio.to_thread(_add_up, rows)  # of all days it is a lot of histograms


def _add_up(rows: Sequence[Row]) -> Found:
    days: dict[Place, list[Figures]] = {}
    last_ms: dict[Place, int] = {}
    for row in rows:
        place = row["queue"], row["task"]
        figures = Figures(*[row[name] for name in SUMS])
        figures.waits, figures.runs = Histogram.read(row["waits"]), Histogram.read(row["runs"])
        days.setdefault(place, []).append(figures)
        last_ms[place] = max(last_ms.get(place, 0), row["at_ms"])
    return {place: (last_ms[place], Figures.sum(each)) for place, each in days.items()}
