"""What happened since statistics began, by queue and task: counted by rollups, which never go down."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from jobs.clock import Clock
from jobs.rollup import Figures
from jobs.statistics import EVER, Span, Window
from jobs.store.database import Database
from jobs.store.statistics import Place, Statistics

STALE_MS = 7 * Span.DAY.ms
"""What did not happen for so long is left out: the task is gone."""
PLACES_MAX = 500
"""Queues and tasks whose figures are returned: the first by name."""

_PLACES = (
    "SELECT queue, task, count(*) OVER () AS number FROM rollup"
    " WHERE span_s = $1 AND at_ms >= $2 AND queue > '' AND task > '' GROUP BY queue, task ORDER BY queue, task LIMIT $3"
)
_QUEUES = "SELECT DISTINCT queue FROM rollup WHERE span_s = $1 AND at_ms >= $2 AND queue > '' AND task = ''"


class Lately(msgspec.Struct, frozen=True):
    """How jobs of a queue ended within a span of time."""

    finished: int
    """In whatever way."""
    dead: int


class Each(msgspec.Struct, frozen=True):
    """What happened, by queue and task."""

    figures: dict[Place, Figures]
    left_out: int
    """Beyond PLACES_MAX."""


class Totals:
    """Reads what rollups have counted. Every method may raise StoreUnavailable."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._statistics = Statistics(database)
        self._clock = clock

    async def each(self) -> Each:
        """Return the figures of each queue and task in which something happened within the last seven days."""
        since_ms = max(0, self._clock() - STALE_MS)
        rows = await self._database.fetch(_PLACES, (Span.DAY, since_ms, PLACES_MAX))
        places = [(row["queue"], row["task"]) for row in rows]
        lately = msgspec.structs.replace(EVER, from_ms=since_ms)
        return Each(await self._statistics.counted(places, [lately]), rows[0]["number"] - len(rows) if rows else 0)

    async def queues(self) -> set[str]:
        """Return the queues in which something happened within the last seven days."""
        rows = await self._database.fetch(_QUEUES, (Span.DAY, max(0, self._clock() - STALE_MS)))
        return {row["queue"] for row in rows}

    async def lately(self, span_s: float, queues: Sequence[str]) -> dict[str, Lately]:
        """Return how jobs of these queues ended within the last so many seconds; whole minutes, the present one too.

        Queues in which nothing happened are left out.
        """
        now_ms = self._clock()
        since_ms, until_ms = now_ms - round(span_s * 1000), now_ms + Span.MINUTE.ms
        window = Window(since_ms - since_ms % Span.MINUTE.ms, until_ms - until_ms % Span.MINUTE.ms)
        places = [(queue, "") for queue in queues]
        return {
            queue: Lately(one.completed + one.dead + one.cancelled, one.dead)
            for (queue, _), one in (await self._statistics.counted(places, window.marks())).items()
        }
