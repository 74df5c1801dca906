"""Removing old records that are not jobs, the oldest first.

Their keys grow with time, or their times have an index, so that nothing is read which is too young; the few tables
where neither holds are read to their end, in slices.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import msgspec

from jobs.retention import CLOCKS_APART_MAX_S, DAY_S, HOUR_S, Kind, Share
from jobs.store.database import Database, Transaction, among, array

SLICE = 1_000
FUTURE_MS = DAY_S * 1000
"""A time that is further ahead was written by a clock that was wrong, and tells nothing about what comes behind it."""


class Shelf(msgspec.Struct, frozen=True):
    """Where records of a kind are. In conditions `$1` is the moment before which they are too old."""

    table: str
    due: str
    """Condition of a record that is to go."""
    at: str = "at_ms"
    """The time that a record has."""
    key: str = "id"
    key_type: str = "bigint"
    order: str = "id"
    """Column that the records are read by."""
    ties: str = ""
    """Columns by which those are read that are the same in it."""
    only: str = ""
    """Which records of the table are of the kind."""
    made: str = ""
    """The time that grows, by and large, in the order that the records are read in; "" where none does."""
    spare_s: int = 0
    """For how much longer than that they are kept."""
    whole_s: int = 1
    """Records go by whole hours or days: those of one are added up to the figures of the next coarser kind."""

    def read(self) -> str:
        """Write the query of a slice behind the place `$2`; `old` holds for what may be ahead of what is to go."""
        only = f"{self.only} AND " if self.only else ""
        # What shares its place with others in the index of times is gone by the time the next slice is read.
        after = f"{self.order} > $2" if self.order == self.key else f"{self.order} >= $2"
        old = f"{self.made} < $1" if self.made else "TRUE"
        if self.made and self.order != self.made:
            old += f" OR {self.made} > $4"
        return (
            f"SELECT {self.key} AS key, {self.order} AS place, {self.at} AS at_ms,"  # noqa: S608  # names of our own columns
            f" CASE WHEN {self.due} THEN 1 ELSE 0 END AS due, CASE WHEN {old} THEN 1 ELSE 0 END AS old"
            f" FROM {self.table} WHERE {only}{after} ORDER BY {self.order}{self.ties} LIMIT $3"
        )

    def values(self, place: int | str, limit: int, *, now_ms: int, before_ms: int) -> tuple[int | str, ...]:
        """Return what the query of a slice is asked with."""
        asked = (before_ms, place, limit)
        return (*asked, now_ms + FUTURE_MS) if self.made and self.order != self.made else asked

    @property
    def begin(self) -> int | str:
        """The place before all others."""
        return "" if self.key_type == "text" else 0


_BY_AGE = "at_ms < $1"


def _rollups(span_s: int, whole_s: int) -> Shelf:
    return Shelf(
        "rollup",
        _BY_AGE,
        order="at_ms",
        ties=", queue, task",  # the row about everything goes first: it tells what is left (store/kept.py)
        only=f"span_s = {span_s}",
        made="at_ms",
        spare_s=whole_s,  # a recorder that is behind counts on from what is there
        whole_s=whole_s,
    )


SHELVES = {
    Kind.ATTEMPT: Shelf("attempt", "finished_ms IS NOT NULL AND finished_ms < $1", at="finished_ms", made="started_ms"),
    Kind.LOG: Shelf("log_line", _BY_AGE, made="at_ms"),
    Kind.SNAPSHOT: Shelf("system_health_snapshots", _BY_AGE, order="at_ms", made="at_ms"),
    Kind.ROLLUP_MINUTE: _rollups(60, HOUR_S),
    Kind.ROLLUP_HOUR: _rollups(HOUR_S, DAY_S),
    Kind.QUARANTINE: Shelf("quarantine", _BY_AGE, made="at_ms"),
    Kind.SLOW_QUERY: Shelf(
        "slow_query", "last_at_ms < $1", at="last_at_ms", key="fingerprint", key_type="text", order="fingerprint"
    ),
    Kind.KEY: Shelf(
        "job_key",
        "expires_ms IS NOT NULL AND expires_ms < $1",
        at="expires_ms",
        key="hash",
        key_type="text",
        order="hash",
        spare_s=CLOCKS_APART_MAX_S,  # who accepts jobs asks a clock of its own
    ),
    Kind.TOKEN: Shelf(
        "token",
        "COALESCE(revoked_ms, expires_ms) < $1",
        at="COALESCE(revoked_ms, expires_ms)",
        key_type="text",
    ),
}


class Old:
    """Records of a kind that are older than `keep_s`."""

    def __init__(self, database: Database, shelf: Shelf, *, keep_s: int, now_ms: int) -> None:
        self._database = database
        self._shelf = shelf
        before_ms = now_ms - (keep_s + shelf.spare_s) * 1000
        self._now_ms = now_ms
        self._before_ms = before_ms - before_ms % (shelf.whole_s * 1000)
        self._place = shelf.begin
        self._ended = False
        self._found: deque[Any] = deque()
        lock = " FOR UPDATE SKIP LOCKED" if database.dialect == "postgres" else ""
        given = among(database.dialect, shelf.key, 2, shelf.key_type)
        self._delete = (
            f"DELETE FROM {shelf.table} WHERE {shelf.key} IN"  # noqa: S608  # names of our own columns
            f" (SELECT {shelf.key} FROM {shelf.table} WHERE {given} AND {shelf.due}{lock})"
        )

    @property
    def has_found(self) -> bool:
        """Whether anything is left of what was found."""
        return bool(self._found)

    async def find(self) -> bool:
        """Look at one slice; False once there are no more. Raises StoreUnavailable."""
        if not self._found and not self._ended:
            rows = await self._database.fetch(self._shelf.read(), self._values(self._place, SLICE))
            self._found.extend(row["key"] for row in rows if row["due"])
            self._ended = len(rows) < SLICE or not rows[-1]["old"]
            if rows:
                self._place = rows[-1]["place"]
        return self.has_found or not self._ended

    async def step(self, transaction: Transaction, rows: int) -> tuple[int, int]:
        """Remove so many records."""
        keys = [self._found.popleft() for _ in range(min(rows, len(self._found)))]
        gone = await transaction.execute(self._delete, (self._before_ms, array(transaction.dialect, keys)))
        return len(keys), gone

    async def count(self, limit: int) -> Share | None:
        """Count the records that are to go, looking at `limit` of them at most; None where there is none."""
        sql = (
            "SELECT sum(due) AS value, count(*) AS seen, min(CASE WHEN due = 1 THEN at_ms END) AS oldest_ms,"  # noqa: S608  # as above
            f" max(CASE WHEN due = 1 THEN at_ms END) AS newest_ms, min(old) AS old FROM ({self._shelf.read()}) AS seen"
        )
        (row,) = await self._database.fetch(sql, self._values(self._shelf.begin, limit))
        if not row["value"]:
            return None
        whole = row["seen"] < limit or not row["old"]
        return Share(
            queue="",
            value=int(row["value"]),
            whole=whole,
            oldest_ms=row["oldest_ms"],
            newest_ms=row["newest_ms"],
        )

    def _values(self, place: int | str, limit: int) -> tuple[int | str, ...]:
        return self._shelf.values(place, limit, now_ms=self._now_ms, before_ms=self._before_ms)
