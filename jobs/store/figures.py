"""What the database costs this process: how many connections it has, and how long its statements take.

The engine modules time every statement, also inside of transactions. SQLite's are timed in the thread that runs them;
PostgreSQL's as this process waits for the answer. Connecting, and waiting for a connection or for the turn to write,
is counted apart. BEGIN and COMMIT count as statements of their own: with one of them SQLite waits for writers that take
no turn, with the other the disk is waited for.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

import msgspec

BUCKET_S = 5.0
BUCKETS = 12
"""Besides the one that is being filled: the latest 60 to 65 seconds are known."""
SLOW_MS = 200.0


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """Some statements, or some waits."""

    count: int
    total_ms: float
    slow: int
    """Those that took as long as the threshold, or longer."""
    longest_ms: float | None
    """None where there was none."""

    @property
    def average_ms(self) -> float | None:
        """None where there was none."""
        return self.total_ms / self.count if self.count else None


class Pool(msgspec.Struct, frozen=True, kw_only=True):
    """The connections of one process. SQLite has two: one writes, one reads."""

    size: int
    """Connections that are open."""
    max: int
    """Connections that may be open."""
    active: int
    """Connections in use now."""
    idle: int
    waiting: int
    """Tasks that wait for one. SQLite: for the turn to write, also after other processes, or behind another read."""


class StoreFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The database as one process sees it."""

    pool: Pool
    window_s: float
    """What `statements` and `waits` are about: so many seconds until now, 60 to 65 once the process is that old."""
    statements: Timing
    """Statements that ended in the window. One that is run over many rows counts once; failed ones count as well."""
    waits: Timing
    """Waits for a connection (or for one to be made), or for the turn to write, that ended in the window."""
    since_start: Timing
    """Statements since the start of the process."""


class _Sum:
    __slots__ = ("count", "longest_s", "slow", "total_s")

    def __init__(self) -> None:
        self.count = 0
        self.total_s = 0.0
        self.slow = 0
        self.longest_s = 0.0

    def add(self, seconds: float, slow: bool) -> None:
        self.count += 1
        self.total_s += seconds
        if seconds > self.longest_s:  # noqa: PLR1730  # max() costs as much as all of the rest
            self.longest_s = seconds
        if slow:
            self.slow += 1

    def merge(self, other: _Sum) -> None:
        self.count += other.count
        self.total_s += other.total_s
        self.slow += other.slow
        self.longest_s = max(self.longest_s, other.longest_s)

    def timing(self) -> Timing:
        longest_ms = self.longest_s * 1000 if self.count else None
        return Timing(count=self.count, total_ms=self.total_s * 1000, slow=self.slow, longest_ms=longest_ms)


class _Bucket:
    __slots__ = ("number", "statements", "until", "waits")

    def __init__(self, number: int) -> None:
        self.number = number
        self.until = (number + 1) * BUCKET_S
        self.statements = _Sum()
        self.waits = _Sum()


class Meter:
    """Counts the statements of one database and how long they took. Any thread may call it.

    `on_slow` is called with the text and the milliseconds of each statement that took `slow_ms` or longer, in the
    thread that ran it; it must be quick and never raise.
    """

    def __init__(self, *, slow_ms: float = SLOW_MS, now: Callable[[], float] = time.perf_counter) -> None:
        self.now = now
        """Clock of `begun`, in seconds."""
        self.on_slow: Callable[[str, float], None] | None = None
        self._slow_s = slow_ms / 1000
        self._guard = threading.Lock()
        self._began = now()
        self._bucket = _Bucket(self._number(self._began))
        self._past: deque[_Bucket] = deque()
        self._before = _Sum()
        """Of the buckets that were given up."""

    def add(self, sql: str, begun: float) -> None:
        """Count a statement that began at `begun` and has just ended."""
        now = self.now()
        seconds = now - begun
        slow = seconds >= self._slow_s
        with self._guard:
            self._current(now).statements.add(seconds, slow)
        if slow and self.on_slow:
            self.on_slow(sql, seconds * 1000)

    def waited(self, begun: float) -> None:
        """Count a wait for a connection, or for the turn to write, that began at `begun` and has just ended."""
        now = self.now()
        seconds = now - begun
        with self._guard:
            self._current(now).waits.add(seconds, seconds >= self._slow_s)

    def figures(self, pool: Pool) -> StoreFigures:
        """Sum up the window."""
        now = self.now()
        first = self._number(now) - BUCKETS
        statements, waits = _Sum(), _Sum()
        with self._guard:
            since_start = _Sum()
            since_start.merge(self._before)
            for bucket in (*self._past, self._bucket):
                since_start.merge(bucket.statements)
                if bucket.number >= first:
                    statements.merge(bucket.statements)
                    waits.merge(bucket.waits)
        return StoreFigures(
            pool=pool,
            window_s=now - max(self._began, first * BUCKET_S),
            statements=statements.timing(),
            waits=waits.timing(),
            since_start=since_start.timing(),
        )

    def _current(self, now: float) -> _Bucket:
        bucket = self._bucket
        if now < bucket.until:
            return bucket
        self._past.append(bucket)
        if len(self._past) > BUCKETS:
            self._before.merge(self._past.popleft().statements)
        self._bucket = _Bucket(self._number(now))
        return self._bucket

    @staticmethod
    def _number(now: float) -> int:
        return int(now / BUCKET_S)
