"""Since when there are rollups of minutes and of hours: retention removes them by whole hours and days."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from jobs.rollup import SUMS
from jobs.statistics import Kept, Span
from jobs.store.database import Row

NEVER_MS = 1 << 62

# ruff: noqa: S608  # names of our own columns
_ALL = "FROM rollup WHERE span_s = {} AND queue = '' AND task = ''"
_COUNTS = " OR ".join(f"{name} <> 0" for name in SUMS)
_READ = (
    "SELECT minute_ms, hour_ms, day_ms,"
    f" (SELECT at_ms {_ALL.format(3_600)} AND at_ms < COALESCE(minute_ms, {NEVER_MS}) AND ({_COUNTS})"
    " ORDER BY at_ms DESC LIMIT 1) AS last_hour_ms,"
    f" (SELECT max(at_ms) {_ALL.format(86_400)} AND at_ms < COALESCE(hour_ms, {NEVER_MS})) AS last_day_ms FROM"
    f" (SELECT (SELECT min(at_ms) {_ALL.format(60)}) AS minute_ms, (SELECT min(at_ms) {_ALL.format(3_600)}) AS hour_ms,"
    f" (SELECT min(at_ms) {_ALL.format(86_400)}) AS day_ms) AS first"
)
"""`last_hour_ms`: the last hour before all minutes there are in which anything happened; `last_day_ms`: as that."""


class Reader(Protocol):
    """A database, or a transaction."""

    async def fetch(self, sql: str, values: Sequence[Any] = ()) -> Sequence[Row]:
        """Run a query and return its rows."""


async def read_kept(reader: Reader) -> Kept:
    """Return how far back there are figures of minutes and of hours; 0 where none were removed."""
    (row,) = await reader.fetch(_READ)
    if row["day_ms"] is None:
        return Kept(0, 0)
    # Nothing is missing of what is after the last hour, or day, that has none: what comes late counts there. Else a
    # clock that was ahead once, by which all was removed but rows of the future, would keep out all until then.
    last_hour_ms, last_day_ms = row["last_hour_ms"], row["last_day_ms"]
    hours_ms = min(_whole(Span.HOUR, row["hour_ms"]), 0 if last_day_ms is None else last_day_ms + Span.DAY.ms)
    empty_ms = hours_ms if last_hour_ms is None else last_hour_ms + Span.HOUR.ms
    # Minutes that are kept for longer than hours tell nothing: a moment is put together of days, hours and minutes.
    return Kept(max(hours_ms, min(_whole(Span.MINUTE, row["minute_ms"]), empty_ms)), hours_ms)


def _whole(span: Span, first_ms: int | None) -> int:
    """Return since when nothing is missing.

    The first row of an hour's minutes, or of a day's hours, is at its beginning: it was removed if it is not there.
    """
    if first_ms is None:
        return NEVER_MS
    since_ms = span.since(first_ms)
    return since_ms if since_ms == first_ms else since_ms + (Span.HOUR if span is Span.MINUTE else Span.DAY).ms
