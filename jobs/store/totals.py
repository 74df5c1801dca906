"""What happened since statistics began, by queue and task: counted by rollups, which never go down."""

from __future__ import annotations

import msgspec

from jobs.clock import Clock
from jobs.rollup import Figures
from jobs.statistics import EVER, Asked, Span, Window
from jobs.store.database import Database
from jobs.store.statistics import Place, Statistics

STALE_MS = 7 * Span.DAY.ms
"""What did not happen for so long is left out: the task is gone."""


class Lately(msgspec.Struct, frozen=True):
    """How jobs of a queue ended within a span of time."""

    finished: int
    """In whatever way."""
    dead: int


class Totals:
    """Reads what rollups have counted. Every method may raise StoreUnavailable."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._statistics = Statistics(database)
        self._clock = clock

    async def each(self) -> dict[Place, Figures]:
        """Return the figures of each queue and task in which something happened within the last seven days."""
        places = await self._statistics.places(Asked(by_queue=True, by_task=True))
        lately = msgspec.structs.replace(EVER, from_ms=max(0, self._clock() - STALE_MS))
        return await self._statistics.counted(places, [lately])

    async def lately(self, span_s: float) -> dict[str, Lately]:
        """Return how jobs ended within the last so many seconds, by queue; whole minutes, the present one included."""
        now_ms = self._clock()
        since_ms, until_ms = now_ms - round(span_s * 1000), now_ms + Span.MINUTE.ms
        window = Window(since_ms - since_ms % Span.MINUTE.ms, until_ms - until_ms % Span.MINUTE.ms)
        queues = await self._statistics.places(Asked(by_queue=True))
        return {
            queue: Lately(one.completed + one.dead + one.cancelled, one.dead)
            for (queue, _), one in (await self._statistics.counted(queues, window.marks())).items()
        }
