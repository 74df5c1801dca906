"""Sums that are cheap at any number of jobs: how jobs ended from rollups, what is dead within a bound."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from jobs.clock import Clock
from jobs.rollup import Figures
from jobs.snapshot import DEAD_MAX
from jobs.statistics import EVER, Span, Window
from jobs.store.database import Database, array
from jobs.store.statistics import Statistics

HOUR_MINUTES = 60

_DEAD = (
    "SELECT name, (SELECT count(*) FROM (SELECT 1 FROM job"  # noqa: S608  # a number of ours
    f" WHERE queue = name AND state = 'DEAD' AND finished_ms IS NOT NULL LIMIT {DEAD_MAX}) AS found) AS dead"
    " FROM {names}"
)
_NAMES = {
    "sqlite": "(SELECT value AS name FROM json_each($1)) AS wanted",
    "postgres": "unnest($1::text[]) AS wanted (name)",
}


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How the jobs of a queue have ended, since statistics began; `dead` are those that still are, up to DEAD_MAX."""

    completed: int
    failed: int
    cancelled: int
    dead: int


class Hour(msgspec.Struct, frozen=True, kw_only=True):
    """What was done in the last 60 minutes, the present one included."""

    completed: int
    failed: int
    """Attempts, the last ones of their jobs too."""
    dead: int
    """Jobs."""
    average_run_ms: float | None
    """Of the attempts that ended; None where there was none."""


class Sums:
    """Adds up. Every method may raise StoreUnavailable."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._statistics = Statistics(database)
        self._clock = clock

    async def ended(self, queues: Sequence[str]) -> dict[str, Ended]:
        """Return how the jobs of these queues have ended, by queue."""
        names = array(self._database.dialect, list(queues))
        sums = await self._statistics.counted([(queue, "") for queue in queues], [EVER])
        return {
            row["name"]: _ended(sums.get((row["name"], ""), Figures()), row["dead"])
            for row in await self._database.fetch(_DEAD.format(names=_NAMES[self._database.dialect]), (names,))
        }

    async def last_hour(self) -> Hour:
        """Return what was done in the 60 minutes up to now."""
        until_ms = (self._clock() // Span.MINUTE.ms + 1) * Span.MINUTE.ms
        window = Window(until_ms - HOUR_MINUTES * Span.MINUTE.ms, until_ms)
        done = (await self._statistics.counted([("", "")], window.marks())).get(("", ""), Figures())
        timed = done.runs.total
        return Hour(
            completed=done.completed,
            failed=done.failed,
            dead=done.dead,
            average_run_ms=done.run_ms / timed if timed > 0 else None,
        )


def _ended(sums: Figures, dead: int) -> Ended:
    return Ended(completed=sums.completed, failed=sums.dead, cancelled=sums.cancelled, dead=dead)
