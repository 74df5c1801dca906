"""Since when there are rollups of minutes and of hours: retention removes them by whole hours and days."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from jobs.rollup import SUMS
from jobs.statistics import Kept, Span
from jobs.store.database import Row

NEVER_MS = 1 << 62

_COUNTS = [name for name in SUMS if not name.startswith("entered") and not name.endswith(("_ms", "_us"))]
_ALL = "FROM rollup WHERE span_s = {} AND queue = '' AND task = ''"
_READ = (
    "SELECT minute_ms, hour_ms, day_ms,"  # noqa: S608  # names of our own columns
    f" (SELECT {' + '.join(_COUNTS)} {_ALL.format(3_600)} AND at_ms >= minute_ms / 86400000 * 86400000"
    " AND at_ms < minute_ms / 3600000 * 3600000 ORDER BY at_ms DESC LIMIT 1) AS earlier FROM"
    f" (SELECT (SELECT min(at_ms) {_ALL.format(60)}) AS minute_ms, (SELECT min(at_ms) {_ALL.format(3_600)}) AS hour_ms,"
    f" (SELECT min(at_ms) {_ALL.format(86_400)}) AS day_ms) AS first"
)


class Reader(Protocol):
    """A database, or a transaction."""

    async def fetch(self, sql: str, values: Sequence[Any] = ()) -> Sequence[Row]:
        """Run a query and return its rows."""


async def read_kept(reader: Reader) -> Kept:
    """Return how far back there are figures of minutes and of hours; 0 where none were removed."""
    (row,) = await reader.fetch(_READ)
    if row["day_ms"] is None:
        return Kept(0, 0)
    hours_ms = _whole(Span.HOUR, row["hour_ms"])
    if hours_ms == row["day_ms"]:
        hours_ms = 0
    minutes_ms = _whole(Span.MINUTE, row["minute_ms"])
    is_first = minutes_ms == row["minute_ms"] and not row["earlier"]
    if hours_ms == 0 and is_first and Span.HOUR.since(minutes_ms) == row["day_ms"]:
        minutes_ms = 0
    return Kept(minutes_ms, hours_ms)


def _whole(span: Span, first_ms: int | None) -> int:
    """Return since when nothing is missing.

    The first row of an hour's minutes, or of a day's hours, is at its beginning: it was removed if it is not there.
    """
    if first_ms is None:
        return NEVER_MS
    since_ms = span.since(first_ms)
    return since_ms if since_ms == first_ms else since_ms + (Span.HOUR if span is Span.MINUTE else Span.DAY).ms
