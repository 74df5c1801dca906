"""The check of figures itself: what it takes for wrong, and how it reads what databases say of statements."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from tests.system.figures import outside
from tests.system.figures.check import Finding, judge, table
from tests.system.figures.outside import Ranges, Shown
from tests.system.figures.provocation import Provoked, Span
from tests.system.figures.source import Sample
from tests.system.figures.statement_log import ServerLog, Trace
from tests.system.figures.trace import sitecustomize
from tests.system.product import ROOT

AT_S = 1_000.0


def found(metric: str, value: float, sources: list[float], ranges: Ranges | None = None) -> Finding:
    samples = [
        Sample(AT_S - 0.9 + number / 3, AT_S - 0.8 + number / 3, {(metric, ""): one})
        for number, one in enumerate(sources)
    ]
    (finding,) = judge({(metric, ""): value}, samples, AT_S, ranges or {})
    return finding


@pytest.mark.parametrize(("value", "verdict"), [(4, "WRONG"), (5, "ok"), (7, "ok"), (8, "WRONG")])
def test_a_figure_is_right_within_what_its_source_said(value: float, verdict: str) -> None:
    assert found("WORKER_TOTAL", value, [5, 6, 7, 6]).verdict == verdict


def test_a_figure_without_a_source_is_no_good() -> None:
    (finding,) = judge({("REDIS_KEYS", ""): 3}, [], AT_S, {})
    assert finding.verdict == "NO SOURCE"
    assert "NO SOURCE" in table([finding])


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
    statements = tmp_path / "statements"
    statements.mkdir()
    paths = {"PYTHONPATH": str(Path(sitecustomize.__file__).parent), sitecustomize.FOLDER: str(statements)}
    command = [sys.executable, "-c", _TRACED, f"sqlite://{tmp_path}/test.db"]
    said = await asyncio.to_thread(
        subprocess.run, command, cwd=ROOT, env=os.environ | paths, check=True, timeout=30, capture_output=True
    )
    pid, counted = map(int, said.stdout.split())
    log = Trace(statements)
    log.read()
    assert counted == 3 + 4  # BEGIN, one statement, one over many rows, COMMIT
    assert len(log.of[pid].took_ms) == counted
