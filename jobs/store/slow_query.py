"""Statements that took long: logged, counted, and the worst of them kept where admins can read them.

Noticing one never waits for the database: `flush` writes what was noticed, a few seconds later.
"""

from __future__ import annotations

import hashlib
import os
import socket
import threading
from collections import OrderedDict

import msgspec
import structlog

from jobs.clock import Clock
from jobs.errors import StoreUnavailable
from jobs.store.bulk import Column, Insert
from jobs.store.database import Database, Row

log = structlog.get_logger(__name__)

KEPT_MAX = 100
"""Statements that are kept; those that were never as slow as the others give way."""
NOTED_MAX = 200
"""Statements that wait for `flush`, and that are remembered to have been logged."""
LOG_EVERY_MS = 60_000
SQL_MAX = 10_000
LOGGED_SQL_MAX = 2_000


class SlowQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A statement that took as long as the threshold, or longer, at least once."""

    fingerprint: str
    """SHA-256 of its text."""
    sql: str
    """Its text, without any value that it was given; at most 10,000 characters."""
    count: int
    """How many times it was slow."""
    total_ms: float
    """Of those times."""
    worst_ms: float
    worst_at_ms: int
    last_at_ms: int
    process: str
    """Where it was slowest: host and process id."""


_NAMES = ", ".join(SlowQuery.__struct_fields__)
_WORSE = "excluded.worst_ms > slow_query.worst_ms"
_ADD = Insert(
    "slow_query",
    (
        Column("fingerprint"),
        Column("sql"),
        Column("count", "bigint"),
        Column("total_ms", "double precision"),
        Column("worst_ms", "double precision"),
        Column("worst_at_ms", "bigint"),
        Column("last_at_ms", "bigint"),
        Column("process"),
    ),
    "ON CONFLICT (fingerprint) DO UPDATE SET count = slow_query.count + excluded.count,"
    " total_ms = slow_query.total_ms + excluded.total_ms,"
    f" worst_ms = CASE WHEN {_WORSE} THEN excluded.worst_ms ELSE slow_query.worst_ms END,"
    f" worst_at_ms = CASE WHEN {_WORSE} THEN excluded.worst_at_ms ELSE slow_query.worst_at_ms END,"
    f" process = CASE WHEN {_WORSE} THEN excluded.process ELSE slow_query.process END,"
    " last_at_ms = CASE WHEN excluded.last_at_ms > slow_query.last_at_ms"
    " THEN excluded.last_at_ms ELSE slow_query.last_at_ms END",
)
_WORST_FIRST = f"SELECT {_NAMES} FROM slow_query ORDER BY worst_ms DESC, fingerprint LIMIT {KEPT_MAX}"  # noqa: S608  # names of our own columns
_MAKE_ROOM = (
    "DELETE FROM slow_query WHERE fingerprint NOT IN"  # noqa: S608  # a number of ours
    f" (SELECT fingerprint FROM slow_query ORDER BY worst_ms DESC, fingerprint LIMIT {KEPT_MAX})"
)


class SlowQueries:
    """The slow statements of one process, and the table of the worst of all processes."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._guard = threading.Lock()
        self._noted: dict[str, SlowQuery] = {}
        self._logged: OrderedDict[str, int] = OrderedDict()
        database.meter.on_slow = self.notice

    def notice(self, sql: str, took_ms: float) -> None:
        """Note that a statement took long; log it, at most once a minute for each text. For any thread."""
        now_ms = self._clock()
        with self._guard:
            self._note(_seen_once(sql, took_ms, now_ms))
            logged_ms = self._logged.get(sql)
            silent = logged_ms is not None and now_ms - logged_ms < LOG_EVERY_MS
            if not silent:
                self._logged[sql] = now_ms
                self._logged.move_to_end(sql)
                while len(self._logged) > NOTED_MAX:
                    self._logged.popitem(last=False)
        if not silent:
            log.warning("store.slow_query", sql=sql[:LOGGED_SQL_MAX], took_ms=round(took_ms, 1))

    async def flush(self) -> None:
        """Write what was noticed since the last time. While the database is away the worst 200 wait for the next time.

        Never raises StoreUnavailable, and does nothing where nothing was slow.
        """
        with self._guard:
            noted, self._noted = self._noted, {}
        if not noted:
            return
        rows = [msgspec.structs.astuple(one) for _, one in sorted(noted.items())]
        try:
            async with self._database.transaction() as transaction:
                await _ADD.run(transaction, rows)
                await transaction.execute(_MAKE_ROOM)
        except StoreUnavailable as error:
            with self._guard:
                for one in noted.values():
                    self._note(one)
            log.info("store.slow_queries_not_written", statements=len(noted), reason=str(error))

    async def worst(self) -> list[SlowQuery]:
        """Return those that are kept, the worst first: 100 at most. Raises StoreUnavailable."""
        return [_slow_query(row) for row in await self._database.fetch(_WORST_FIRST)]

    async def clear(self, fingerprint: str | None = None) -> int:
        """Forget one, or all of them; return how many were kept. Raises StoreUnavailable."""
        with self._guard:
            for one in [fingerprint] if fingerprint is not None else list(self._noted):
                self._noted.pop(one, None)
        sql = "DELETE FROM slow_query WHERE $1 = '' OR fingerprint = $1"
        async with self._database.transaction() as transaction:
            return await transaction.execute(sql, (fingerprint or "",))

    def _note(self, one: SlowQuery) -> None:
        known = self._noted.get(one.fingerprint)
        self._noted[one.fingerprint] = _together(known, one) if known else one
        if len(self._noted) > NOTED_MAX:
            del self._noted[min(self._noted, key=lambda fingerprint: self._noted[fingerprint].worst_ms)]


def _seen_once(sql: str, took_ms: float, at_ms: int) -> SlowQuery:
    return SlowQuery(
        fingerprint=hashlib.sha256(sql.encode()).hexdigest(),
        sql=sql[:SQL_MAX],
        count=1,
        total_ms=took_ms,
        worst_ms=took_ms,
        worst_at_ms=at_ms,
        last_at_ms=at_ms,
        process=f"{socket.gethostname()}:{os.getpid()}",
    )


def _together(one: SlowQuery, other: SlowQuery) -> SlowQuery:
    worse = max(one, other, key=lambda query: query.worst_ms)
    return msgspec.structs.replace(
        worse,
        count=one.count + other.count,
        total_ms=one.total_ms + other.total_ms,
        last_at_ms=max(one.last_at_ms, other.last_at_ms),
    )


def _slow_query(row: Row) -> SlowQuery:
    return SlowQuery(**{name: row[name] for name in SlowQuery.__struct_fields__})
