"""Sums that are cheap at any number of jobs: how jobs ended from rollups, what is dead within a bound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from jobs.clock import Clock
from jobs.rollup import Histogram
from jobs.snapshot import DEAD_MAX
from jobs.store.database import Database, Row, among, array
from jobs.store.rollup import DAY_S, MINUTE_S

MINUTE_MS = 60_000
HOUR_MINUTES = 60

# A row of an empty task is about all tasks of its queue. There is one for each day.
_ENDED = (
    "SELECT queue, sum(completed) AS completed, sum(dead) AS failed, sum(cancelled) AS cancelled"
    " FROM rollup WHERE span_s = $2 AND task = '' AND {among} GROUP BY queue"
)
_DEAD = (
    "SELECT name, (SELECT count(*) FROM (SELECT 1 FROM job"  # noqa: S608  # a number of ours
    f" WHERE queue = name AND state = 'DEAD' AND finished_ms IS NOT NULL LIMIT {DEAD_MAX}) AS found) AS dead"
    " FROM {names}"
)
_NAMES = {
    "sqlite": "(SELECT value AS name FROM json_each($1)) AS wanted",
    "postgres": "unnest($1::text[]) AS wanted (name)",
}
_HOUR = (
    "SELECT completed, failed, dead, run_ms, runs FROM rollup"
    " WHERE span_s = $1 AND queue = '' AND task = '' AND at_ms >= $2"
)


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
        self._clock = clock

    async def ended(self, queues: Sequence[str]) -> dict[str, Ended]:
        """Return how the jobs of these queues have ended, by queue."""
        dialect, names = self._database.dialect, array(self._database.dialect, list(queues))
        sums = await self._database.fetch(_ENDED.format(among=among(dialect, "queue", 1)), (names, DAY_S))
        known = {row["queue"]: row for row in sums}
        nothing = {"completed": 0, "failed": 0, "cancelled": 0}
        return {
            row["name"]: _ended(known.get(row["name"], nothing), row["dead"])
            for row in await self._database.fetch(_DEAD.format(names=_NAMES[dialect]), (names,))
        }

    async def last_hour(self) -> Hour:
        """Return what was done in the 60 minutes up to now."""
        since_ms = (self._clock() // MINUTE_MS - HOUR_MINUTES + 1) * MINUTE_MS
        rows = await self._database.fetch(_HOUR, (MINUTE_S, since_ms))
        timed = sum(Histogram.read(row["runs"]).total for row in rows)
        return Hour(
            completed=sum(row["completed"] for row in rows),
            failed=sum(row["failed"] for row in rows),
            dead=sum(row["dead"] for row in rows),
            average_run_ms=sum(row["run_ms"] for row in rows) / timed if timed else None,
        )


def _ended(sums: Mapping[str, int] | Row, dead: int) -> Ended:
    return Ended(
        completed=int(sums["completed"]), failed=int(sums["failed"]), cancelled=int(sums["cancelled"]), dead=dead
    )
