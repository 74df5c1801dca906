"""What processes count of themselves, as others see it at the moment at which each of them said so."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from jobs.snapshot import ProcessFigures
from jobs.store.figures import BUCKET_S, BUCKETS
from tests.system.figures.deployment import SLOW_MS
from tests.system.figures.provocation import CROWD, POOL_MAX, Provoked, Span
from tests.system.figures.statement_log import StatementLog
from tests.system.figures.vitals import Vitals
from tests.system.figures.watch import Look, Sessions, Use, Watch

Range = tuple[float, float]
Ranges = dict[tuple[str, str], Range]

BEFORE_S, AFTER_S = 0.15, 0.01
"""A process looks, then says what it has seen, then Redis notes when."""
TAKEN_S = 1.0
"""So late a process on a busy machine may come to count a statement that the server has ended."""
OTHERS = 3
"""Queries that a process makes of its own accord at a time, at most."""
PYTHON_MS, PYTHON_PART = 0.02, 0.04
"""What Python needs around a call of sqlite3 or asyncpg: more, where that waits long, since others run meanwhile."""
LATE_S = 0.15
"""How late a loop or a thread may be besides: the machine is busy."""
STUCK_S = 1.0
LOOK_S, TICK_S = 0.5, 0.5
"""How often a worker's loop and that of another process is asked whether it is late."""


@dataclass(frozen=True)
class Said:
    """What one process said, and when."""

    at_s: float
    figures: ProcessFigures


@dataclass(frozen=True)
class Shown:
    """A process in a snapshot."""

    kind: str
    pid: int
    seen_ms: int
    queries: int | None

    @property
    def scope(self) -> str:
        return f"{self.kind} {self.pid}"


def active(watch: Watch, at_s: float, took_s: float) -> Ranges:
    """Sessions that ran a statement when the snapshot was taken."""
    looks = watch.between(at_s - AFTER_S, at_s + took_s)
    return {("DATABASE_CONNECTIONS_ACTIVE", ""): _range([one.active for one in looks])}


def vitals(seen: Vitals, shown: Sequence[Shown], before_ms: Mapping[int, int]) -> Ranges:
    """Processor time and memory of each process. `before_ms`: when it had said so the time before.

    It looks some time before it is heard, and /proc counts in hundredths of a second: over the two seconds between two
    reports of a worker, both make a few hundredths of a core.
    """
    found: Ranges = {}
    for one in shown:
        begun_s, ended_s = before_ms[one.pid] / 1000, one.seen_ms / 1000
        from_s = seen.busy_s(one.pid, begun_s - BEFORE_S, begun_s)
        to_s = seen.busy_s(one.pid, ended_s - BEFORE_S, ended_s)
        lasted_s = ended_s - begun_s
        found["PROCESS_CPU", one.scope] = (
            max(0.0, to_s[0] - from_s[1]) / (lasted_s + BEFORE_S),
            (to_s[1] - from_s[0]) / (lasted_s - BEFORE_S),
        )
        found["PROCESS_MEMORY_BYTES", one.scope] = seen.memory(one.pid, ended_s - BEFORE_S, ended_s)
    for metric in ("PROCESS_CPU", "PROCESS_MEMORY_BYTES"):
        found[metric, ""] = _sum(each for (name, _), each in found.items() if name == metric)
    return found


def pools(watch: Watch, said: Mapping[int, Said], done: Provoked) -> Ranges:
    """The connections of all processes, each when it said how many they are.

    Most statements are shorter than the time between its look and its word: what is in use then is 0 or 1. One of them
    all may be in use for less than the time between two of our looks.
    """

    def over(look: Callable[[list[Use]], Range]) -> Range:
        return _sum(look(_uses(watch, pid, one)) for pid, one in said.items())

    least, most = over(lambda uses: _spread([(use.busy_least, use.busy_most) for use in uses]))
    idle = over(lambda uses: _spread([(use.open - use.busy_most, use.open - use.busy_least) for use in uses]))
    return {
        ("DATABASE_POOL_SIZE", ""): over(lambda uses: _range([use.open for use in uses])),
        ("DATABASE_POOL_ACTIVE", ""): (least, most + 1),
        ("DATABASE_POOL_IDLE", ""): (idle[0] - 1, idle[1]),
        ("DATABASE_POOL_WAITING", ""): _sum(
            _waiting(_uses(watch, pid, one), pid, one.at_s, done, is_pool=isinstance(watch, Sessions))
            for pid, one in said.items()
        ),
    }


def _uses(watch: Watch, pid: int, one: Said) -> list[Use]:
    looks: list[Look] = watch.between(one.at_s - BEFORE_S, one.at_s + AFTER_S)
    return [look.of[pid] for look in looks if pid in look.of]


def _waiting(uses: list[Use], pid: int, at_s: float, done: Provoked, *, is_pool: bool) -> Range:
    busy = max(use.busy_most for use in uses)
    if any(span.pid == pid and span.has(at_s) for span in done.crowded):
        # Nobody sees from outside who stands behind another one of the same process; one of them may be served.
        served = POOL_MAX if is_pool else max(use.busy_least for use in uses)
        return CROWD - max(served, 0 if is_pool else 1), CROWD - (POOL_MAX if is_pool else 0) + OTHERS
    if is_pool:
        opened = max(use.open for use in uses) - min(use.open for use in uses)  # who waits for one to be made
        return 0, OTHERS + CROWD if busy >= POOL_MAX else opened
    waits = [use.waiting for use in uses]
    return min(waits), OTHERS if busy or max(waits) else 0


def statements(log: StatementLog, watch: Watch, said: Mapping[int, Said], shown: Sequence[Shown]) -> Ranges:
    """Statements of all processes, as the database itself tells of them."""
    ever: Ranges = {}
    minute = []
    for pid, one in said.items():
        of = [log.of[key] for key in (watch.ports.get(pid, ()) if isinstance(watch, Sessions) else (pid,))]
        until_s = one.at_s - TAKEN_S, one.at_s + AFTER_S
        scope = next(each.scope for each in shown if each.pid == pid)
        least, most = [sum(len(each.between(0, moment_s)) for each in of) for moment_s in until_s]
        ever["DATABASE_QUERIES", scope] = least, most
        lately = [
            sum(len(each.between(_window_s(begun_s) - late_s, moment_s)) for each in of)
            for begun_s, moment_s in product(until_s, repeat=2)  # the minute may move on before the last are counted
            for late_s in (0.0, BEFORE_S)  # what ended then may have been counted when the minute had begun
        ]
        minute.append(_range(lately))
    return ever | {
        ("DATABASE_QUERIES", ""): _sum(ever.values()),
        ("DATABASE_QUERIES_MINUTE", ""): _sum(minute),
    }


def times(driver: StatementLog, said: Mapping[int, Said]) -> Ranges:
    """How long statements of all processes took, as SQLite and asyncpg tell of them."""
    slow, totals, numbers = [], [], []
    for pid, one in said.items():
        until_s = one.at_s - BEFORE_S, one.at_s + AFTER_S
        lately = [driver.of[pid].between(_window_s(moment_s), moment_s) for moment_s in until_s]
        totals.append(_range([sum(each) for each in lately]))
        numbers.append(_range([len(each) for each in lately]))
        before, ever = [driver.of[pid].between(0, moment_s) for moment_s in until_s]
        slow.append((sum(ms >= SLOW_MS for ms in before), sum(ms >= SLOW_MS * 0.95 for ms in ever)))
    (least_ms, most_ms), (least, most) = _sum(totals), _sum(numbers)
    return {
        ("DATABASE_SLOW_QUERIES", ""): _sum(slow),
        ("DATABASE_AVERAGE_QUERY_MS", ""): (
            least_ms / max(1, most),
            (1 + PYTHON_PART) * most_ms / max(1, least) + PYTHON_MS,
        ),
    }


def _window_s(now_s: float) -> float:
    """Return when the minute began that a process speaks of at this moment."""
    offset_s = time.time() - time.perf_counter()
    return (int((now_s - offset_s) / BUCKET_S) - BUCKETS) * BUCKET_S + offset_s


def lateness(said: Mapping[int, Said], workers: Mapping[int, float], done: Provoked) -> Ranges:
    """Workers whose loop is blocked, and how late the latest loop is. `workers`: when each was last heard of.

    A loop is asked twice a second: it may have been held up for half a second before it is late.
    """
    stuck, lags = [(0, 0)], [(0.0, LATE_S)]
    for span in done.blocked:
        seen_s = workers.get(span.pid)
        if seen_s is not None and span.has(seen_s):
            late_s = max(0.0, seen_s - span.begun_s - LOOK_S - LATE_S), seen_s - span.begun_s + AFTER_S
            stuck.append((int(late_s[0] > STUCK_S), int(late_s[1] > STUCK_S)))
            lags.append(late_s)
    for pid, one in said.items():
        before_s = one.at_s - 5.0  # its report before this one came then, or half a second earlier
        for span in done.frozen:
            if span.pid == pid and before_s < span.begun_s < one.at_s:
                lags.append(_frozen_s(span, done))
    latest = max(least for least, _ in lags), max(most for _, most in lags)
    return {("WORKER_STUCK", ""): _sum(stuck), ("PROCESS_LOOP_LAG_MS", ""): (1000 * latest[0], 1000 * latest[1])}


def _frozen_s(span: Span, done: Provoked) -> Range:
    """How late a loop is that was frozen. It ticks twice a second from its report on, unless that held it up."""
    least_s = span.ended_s - span.begun_s - TICK_S - AFTER_S
    if any(held.begun_s < span.said_s + 1.5 and span.said_s < held.ended_s for held in done.held):
        return least_s, span.ended_s - span.begun_s + LATE_S
    ticks = math.ceil((span.begun_s - span.said_s) / TICK_S)
    tick_s = span.said_s + ticks * TICK_S
    return max(least_s, span.ended_s - tick_s - LATE_S), span.ended_s - tick_s + LATE_S


def said_by(reports: Mapping[int, Mapping[int, ProcessFigures]], shown: Sequence[Shown]) -> dict[int, Said]:
    """Find the report of each process that a snapshot has its figures from."""
    found = {}
    for one in shown:
        for seen_ms, said in reports.get(one.pid, {}).items():
            queries = said.pool.queries if said.pool else None  # a worker is seen more often than it reports
            if queries == one.queries if one.kind == "WORKER" else seen_ms == one.seen_ms:
                found[one.pid] = Said(seen_ms / 1000, said)
    return found


def _range(values: Sequence[float]) -> Range:
    return min(values), max(values)


def _spread(ranges: Sequence[Range]) -> Range:
    return min(least for least, _ in ranges), max(most for _, most in ranges)


def _sum(ranges: Iterable[Range]) -> Range:
    parts = list(ranges)
    return sum(least for least, _ in parts), sum(most for _, most in parts)
