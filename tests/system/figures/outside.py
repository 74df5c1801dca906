"""What processes count of themselves, as others see it at the moment at which each of them said so."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from jobs.snapshot import ProcessFigures
from jobs.store.figures import BUCKET_S, BUCKETS
from tests.system.figures.deployment import SLOW_MS
from tests.system.figures.provocation import CROWD, POOL_MAX, Provoked
from tests.system.figures.statement_log import StatementLog
from tests.system.figures.watch import Look, Sessions, Use, Watch

Range = tuple[float, float]
Ranges = dict[tuple[str, str], Range]

BEFORE_S, AFTER_S = 0.3, 0.05
"""A process looks, then says what it has seen, then Redis notes when."""
TAKEN_S = 1.0
"""So late a process on a busy machine may come to count a statement that the server has ended."""
OTHERS = 4
"""Queries that an API process makes of its own accord at a time, at most."""
WAITS = 4
"""How many times as long as one with nothing else to do a busy process may wait for an answer that is there."""
SELDOM = 1 / 2_500
"""Part of all answers of PostgreSQL that are there long before a process on a busy machine comes to take them."""
PYTHON_MS = 0.2
"""What Python needs around a statement of SQLite, where it has to wait for its interpreter."""
LATE_S = 0.3
"""How late a loop is besides: the machine is busy."""
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


def active(watch: Watch, at_s: float, took_s: float) -> Ranges:
    """Sessions that ran a statement when the snapshot was taken."""
    looks = watch.between(at_s - AFTER_S, at_s + took_s)
    return {("DATABASE_CONNECTIONS_ACTIVE", ""): _range([one.active for one in looks])}


def pools(watch: Watch, said: Mapping[int, Said], done: Provoked) -> Ranges:
    """The connections of all processes, each when it said how many they are."""

    def over(look: Callable[[list[Use]], Range]) -> Range:
        return _sum(look(_uses(watch, pid, one)) for pid, one in said.items())

    found = {
        ("DATABASE_POOL_SIZE", ""): over(lambda uses: _range([use.open for use in uses])),
        ("DATABASE_POOL_ACTIVE", ""): over(lambda uses: _spread([(use.busy_least, use.busy_most) for use in uses])),
        ("DATABASE_POOL_IDLE", ""): over(
            lambda uses: _spread([(use.open - use.busy_most, use.open - use.busy_least) for use in uses])
        ),
    }
    if isinstance(watch, Sessions):
        waiting = _sum(_waiting(_uses(watch, pid, one), pid, one.at_s, done) for pid, one in said.items())
    else:
        least = sum(min(use.waiting for use in _uses(watch, pid, one)) for pid, one in said.items())
        waiting = least, math.inf  # those behind others of their own process are not seen from outside
    return found | {("DATABASE_POOL_WAITING", ""): waiting}


def _uses(watch: Watch, pid: int, one: Said) -> list[Use]:
    looks: list[Look] = watch.between(one.at_s - BEFORE_S, one.at_s + AFTER_S)
    return [look.of[pid] for look in looks if pid in look.of]


def _waiting(uses: list[Use], pid: int, at_s: float, done: Provoked) -> Range:
    if any(span.pid == pid and span.has(at_s) for span in done.crowded):
        return CROWD - POOL_MAX, CROWD - POOL_MAX + OTHERS
    full = max(use.busy_most for use in uses) >= POOL_MAX
    opened = max(use.open for use in uses) - min(use.open for use in uses)  # who waits for one to be made
    return 0, math.inf if full else opened


def statements(log: StatementLog, watch: Watch, said: Mapping[int, Said], done: Provoked) -> Ranges:
    """Statements of all processes, as the database itself tells of them."""
    ever, minute, slow, took = [], [], [], []
    for pid, one in said.items():
        of = [log.of[key] for key in (watch.ports.get(pid, ()) if isinstance(watch, Sessions) else (pid,))]
        until_s = one.at_s - TAKEN_S, one.at_s + AFTER_S
        counts = [sum(len(each.between(0, moment_s)) for each in of) for moment_s in until_s]
        ever.append((counts[0], counts[1]))
        lately = [[ms for each in of for ms in each.between(_window_s(moment_s), moment_s)] for moment_s in until_s]
        minute.append(_range([len(each) for each in lately]))
        took.append((sum(lately[0]), len(lately[0])))
        all_ms = [ms for each in of for ms in each.between(0, until_s[1])]
        halted = [span for span in (*done.frozen, *done.blocked) if span.pid == pid]
        under_way = sum(len(each.between(span.begun_s - 0.05, span.ended_s)) for each in of for span in halted)
        late = sum(ms >= SLOW_MS / 2 for ms in all_ms) + under_way + round(SELDOM * len(all_ms))
        slow.append((sum(ms >= SLOW_MS for ms in all_ms), late))
    average = sum(ms for ms, _ in took) / max(1, sum(number for _, number in took))
    beyond_ms = WAITS * _beyond_ms(log, watch) if isinstance(watch, Sessions) else PYTHON_MS
    return {
        ("DATABASE_QUERIES", ""): _sum(ever),
        ("DATABASE_QUERIES_MINUTE", ""): _sum(minute),
        ("DATABASE_SLOW_QUERIES", ""): _sum(slow),
        ("DATABASE_AVERAGE_QUERY_MS", ""): (average, average + beyond_ms),
    }


def _beyond_ms(log: StatementLog, sessions: Sessions) -> float:
    """Return how much longer than the server needs a client waits on this machine, on average."""
    since_s = sessions.took_ms[-1][0] - 60.0
    waited = [ms for at_s, ms in sessions.took_ms if at_s > since_s]
    needed = log.of[sessions.port].between(since_s, math.inf)
    return sum(waited) / len(waited) - sum(needed) / max(1, len(needed))


def _window_s(now_s: float) -> float:
    """Return when the minute began that a process speaks of at this moment."""
    offset_s = time.time() - time.perf_counter()
    return (int((now_s - offset_s) / BUCKET_S) - BUCKETS) * BUCKET_S + offset_s


def lateness(said: Mapping[int, Said], workers: Mapping[int, float], done: Provoked) -> Ranges:
    """Workers whose loop is blocked, and how late the latest loop is. `workers`: when each was last heard of."""
    stuck, lags = 0, [(0.0, LATE_S)]
    for span in done.blocked:
        seen_s = workers.get(span.pid)
        if seen_s is not None and span.begun_s + 1.0 + LOOK_S + LATE_S < seen_s < span.ended_s:
            stuck += 1
            lags.append((seen_s - span.begun_s - LOOK_S - LATE_S, seen_s - span.begun_s + LATE_S))
    for pid, one in said.items():
        before_s = one.at_s - 5.0  # its report before this one came then, or half a second earlier
        for span in done.frozen:
            if span.pid == pid and before_s < span.begun_s < one.at_s:
                lasted_s = span.ended_s - span.begun_s
                lags.append((lasted_s - TICK_S - AFTER_S, lasted_s + LATE_S))
    latest = max(least for least, _ in lags), max(most for _, most in lags)
    return {("WORKER_STUCK", ""): (stuck, stuck), ("PROCESS_LOOP_LAG_MS", ""): (1000 * latest[0], 1000 * latest[1])}


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
