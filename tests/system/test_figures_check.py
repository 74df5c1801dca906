"""The check of figures itself: what it takes for wrong, and how it reads what databases say of statements."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import orjson
import pytest

from jobs.event import Died, Enqueued, Position, Started
from jobs.job import Priority, Reason, State
from tests.system.figures import outside
from tests.system.figures.check import Finding, judge, table
from tests.system.figures.outside import Ranges, Shown
from tests.system.figures.provocation import Provoked, Span
from tests.system.figures.replay import Replay
from tests.system.figures.source import Sample
from tests.system.figures.statement_log import ServerLog, Trace
from tests.system.figures.trace import sitecustomize
from tests.system.figures.vitals import Vitals
from tests.system.product import ROOT
from tests.wait import until

AT_S = 1_000.0
TAKEN = AT_S, AT_S + 0.2


def found(metric: str, value: float, sources: list[float], ranges: Ranges | None = None) -> Finding:
    samples = [
        Sample(AT_S - 0.4 + number / 10, AT_S - 0.3 + number / 10, {(metric, ""): one})
        for number, one in enumerate(sources)
    ]
    (finding,) = judge({(metric, ""): value}, samples, TAKEN, ranges or {})
    return finding


@pytest.mark.parametrize(("value", "verdict"), [(4, "WRONG"), (5, "ok"), (7, "ok"), (8, "WRONG")])
def test_a_figure_is_right_within_what_its_source_said_while_it_was_taken(value: float, verdict: str) -> None:
    assert found("WORKER_TOTAL", value, [1, 2, 3, 5, 6, 6, 7, 9]).verdict == verdict


def test_a_figure_without_a_source_is_no_good() -> None:
    (finding,) = judge({("REDIS_KEYS", ""): 3}, [], TAKEN, {})
    assert finding.verdict == "NO SOURCE"
    assert "NO SOURCE" in table([finding])


def test_a_figure_that_is_not_there_is_missed() -> None:
    sample = Sample(AT_S - 0.1, AT_S, {("REDIS_KEYS", ""): 3})
    findings = judge({("WORKER_TOTAL", ""): 1}, [sample], TAKEN, {("WORKER_TOTAL", ""): (1, 1)}, ["QUEUE_DEAD"])
    assert {one.metric: one.verdict for one in findings} == {
        "QUEUE_DEAD": "NO SOURCE",
        "REDIS_KEYS": "MISSING",
        "WORKER_TOTAL": "ok",
    }


def test_what_a_process_counts_is_held_against_its_range() -> None:
    ranges: Ranges = {("DATABASE_QUERIES", ""): (10, 12)}
    assert found("DATABASE_QUERIES", 12, [99], ranges).verdict == "ok"
    assert found("DATABASE_QUERIES", 13, [99], ranges).verdict == "WRONG"


def test_a_blocked_worker_is_stuck_when_it_was_heard_of_late_enough() -> None:
    done = Provoked(blocked=[Span(7, AT_S - 3, AT_S + 1)])
    stuck, lag = ("WORKER_STUCK", ""), ("PROCESS_LOOP_LAG_MS", "")
    ranges = outside.lateness({}, {7: AT_S}, done)
    assert ranges[stuck] == (1, 1)
    assert ranges[lag][0] <= 3_000 <= ranges[lag][1]
    assert outside.lateness({}, {7: AT_S + 2}, done)[stuck] == (0, 0)
    assert outside.lateness({}, {8: AT_S}, done)[lag][0] == 0


def test_a_report_is_found_by_what_the_snapshot_shows_of_it() -> None:
    assert outside.said_by({}, [Shown("API", 1, 5, 3)]) == {}


def test_the_log_of_postgresql_tells_of_statements_by_port(tmp_path: Path) -> None:
    def line(message: str, second: int, severity: str = "LOG") -> bytes:
        at = f"2026-11-26 08:00:{second:02}.000 UTC"
        return orjson.dumps(
            {"timestamp": at, "remote_port": 5, "error_severity": severity, "message": message},
            option=orjson.OPT_APPEND_NEWLINE,
        )

    lines = [
        line("duration: 1.5 ms  parse __asyncpg_stmt_1__: SELECT 1", 1),
        line("duration: 0.5 ms  bind __asyncpg_stmt_1__: SELECT 1", 1),
        line("duration: 2.0 ms  execute __asyncpg_stmt_1__: SELECT 1", 2),
        line("duration: 1.0 ms  statement: SELECT pg_advisory_unlock_all();\nCLOSE ALL;", 3),
        line("duration: 1.0 ms  execute __asyncpg_stmt_2__:  SELECT set_config('jit', 'off', false) AS new", 3),
        line("duration: 3.0 ms  statement: COMMIT;", 4),
        line("canceling statement due to lock timeout", 5, "ERROR"),
    ]
    log = ServerLog(tmp_path)
    (tmp_path / "1.json").write_bytes(b"".join(lines)[:-9])  # the last one is being written
    log.read()
    assert log.of[5].took_ms == [4.0, 3.0]
    (tmp_path / "1.json").write_bytes(b"".join(lines))
    log.read()
    assert log.of[5].took_ms == [4.0, 3.0, 0.0]
    first_s = log.of[5].ended_s[0]
    assert log.of[5].between(first_s, first_s + 2) == [4.0, 3.0]


_TRACED = """
import asyncio, os, sys
from jobs.store.figures import Meter
from jobs.store.migrate import connect

async def run():
    database = await connect(sys.argv[1], Meter())
    for _ in range(3):
        await database.fetch("SELECT 1")
    async with database.transaction() as transaction:
        await transaction.execute("CREATE TEMP TABLE here (number)")
        await transaction.execute_rows("INSERT INTO here VALUES ($1)", [(number,) for number in range(9)])
    print(os.getpid(), database.meter.figures(database.pool()).since_start.count)
    await database.close()

asyncio.run(run())
"""


async def test_the_trace_of_sqlite_counts_as_the_process_does(tmp_path: Path) -> None:
    statements, times = tmp_path / "statements", tmp_path / "times"
    statements.mkdir()
    times.mkdir()
    paths = {
        "PYTHONPATH": str(Path(sitecustomize.__file__).parent),
        sitecustomize.DATABASE: str(statements),
        sitecustomize.DRIVER: str(times),
    }
    command = [sys.executable, "-c", _TRACED, f"sqlite://{tmp_path}/test.db"]
    said = await asyncio.to_thread(
        subprocess.run, command, cwd=ROOT, env=os.environ | paths, check=True, timeout=30, capture_output=True
    )
    pid, counted = map(int, said.stdout.split())
    assert counted == 3 + 4  # BEGIN, one statement, one over many rows, COMMIT
    for folder in (statements, times):
        log = Trace(folder)
        log.read()
        assert len(log.of[pid].took_ms) == counted


def test_a_replay_tells_how_many_jobs_were_in_each_state_at_any_moment() -> None:
    replay = Replay()
    begun = Enqueued("a", 1, 0, 1, State.QUEUED, "q", "t", Priority.NORMAL, 0, False, "")
    for second, one in enumerate(
        [begun, Started("a", 2, 0, 1, 1, "w"), Died("a", 3, 0, 1, 1, Reason.NOT_RETRYABLE, "{}")]
    ):
        replay.take(f"{1000 * second}-0", msgspec.msgpack.encode([1, [one]]))
    assert replay.live(0.5, 0.6)["QUEUE_WAITING", "q"] == (1, 1)
    assert replay.live(0.5, 1.5)["QUEUE_WAITING", ""] == (0, 1)
    assert replay.live(1.5, 1.6)["QUEUE_ACTIVE", "q"] == (1, 1)
    assert replay.live(2.5, 2.6)["QUEUE_ACTIVE", "q"] == (0, 0)
    started, died = Position(1, 1000, 0, 0), Position(1, 2000, 0, 0)
    assert replay.died(started, died, 0)["QUEUE_FAILED", "q"] == (0, 1)
    assert replay.died(died, died, 60)["ERROR_DEAD_HOUR", ""] == (0, 0)
    behind = replay.behind(started, 2.5, started, 2.6)
    assert behind["RECORDER_LAG_EVENTS", ""] == (1, 1)
    assert behind["RECORDER_LAG_MS", ""] == (500, 601)


async def test_the_kernel_says_how_busy_a_process_is() -> None:
    vitals = Vitals(lambda: [os.getpid()])
    vitals.near = True
    with vitals:
        await until(lambda: vitals.knows(os.getpid()))
        began_s = time.time()
        until_s = time.process_time() + 0.2
        while time.process_time() < until_s:
            pass
        ended_s = time.time()
        until_s = ended_s + 0.05
        await until(lambda: time.time() > until_s)
    least_s, _ = vitals.busy_s(os.getpid(), began_s, began_s)
    _, most_s = vitals.busy_s(os.getpid(), ended_s, ended_s)
    assert 0.1 < most_s - least_s < 5
    assert vitals.memory(os.getpid(), began_s, ended_s)[0] > 1_000_000
