"""Retention in short transactions: heavy jobs go piece by piece, and who stops or dies on the way leaves whole jobs."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from contextlib import aclosing
from itertools import pairwise
from pathlib import Path

import pytest

from jobs.clock import now_ms
from jobs.job import State
from jobs.retention import DAY_S, Kind, Policy
from jobs.store import Store, ended, pace
from jobs.store.database import Dialect
from tests.bench.fill import fill
from tests.jobs.store.past import GRACE_MS, NOW_MS, Past, ago, batches, rows, run


async def test_of_a_heavy_job_no_more_is_counted_than_that_it_is_one(
    store: Store, past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    (spec,) = await past.ended(ago(2 * DAY_S), lines=ended.HEAVY + 200)
    jobs = ended.Ended(store._database, "default", State.COMPLETED, now_ms=NOW_MS, grace_ms=GRACE_MS)
    await jobs.bound(Policy(kind=Kind.COMPLETED, keep_s=DAY_S))
    assert await jobs.find()
    assert [(one.id, one.rows) for one in jobs._found] == [(spec.id, ended.HEAVY + 1 + 1)]


async def test_a_job_that_has_talked_a_lot_goes_in_several_transactions_itself_last(
    store: Store, past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ended, "HEAVY", 20)
    monkeypatch.setitem(pace.STEP_MIN, store.dialect, 300)
    monkeypatch.setattr("jobs.store.pace.SHARE_MIN_S", 0.0)
    specs = await past.ended(ago(2 * DAY_S), lines=900)
    specs += await past.ended(ago(2 * DAY_S), lines=1)
    seen = []
    async with aclosing(batches(store, Policy(kind=Kind.COMPLETED, keep_s=DAY_S))) as sweeps:
        async for removed in sweeps:
            seen.append((removed, (await rows(store))["job"]))
    assert seen[:2] == [(0, 2)] * 2
    assert sum(removed for removed, _ in seen) == 2
    assert all(jobs == 2 - sum(one for one, _ in seen[: place + 1]) for place, (_, jobs) in enumerate(seen))
    assert not any((await rows(store)).values())


async def test_a_job_that_has_talked_more_than_was_counted_goes_in_steps_as_well(
    store: Store, past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ended, "_FIND", ended._FIND.replace(f"LIMIT {ended.HEAVY + 1}", "LIMIT 200"))
    monkeypatch.setattr(ended, "HEAVY", 150)
    monkeypatch.setattr("jobs.store.pace.SHARE_MIN_S", 0.0)
    await past.ended(ago(2 * DAY_S), lines=3_000)
    left = [3_000]
    async with aclosing(batches(store, Policy(kind=Kind.COMPLETED, keep_s=DAY_S))) as sweeps:
        left += [(await rows(store))["log_line"] async for _ in sweeps]
    assert max(before - after for before, after in pairwise(left)) <= pace.STEP_MAX[store.dialect]
    assert not any((await rows(store)).values())


async def test_whoever_stops_in_the_middle_leaves_whole_jobs(
    store: Store, past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(pace.STEP_MIN, store.dialect, 300)
    monkeypatch.setattr("jobs.store.pace.SHARE_MIN_S", 0.0)
    await past.ended(*[ago(2 * DAY_S)] * 200, tags=("t",), lines=2)
    sweeps = batches(store, Policy(kind=Kind.COMPLETED, keep_s=DAY_S))
    removed = await anext(sweeps)
    await sweeps.aclose()
    assert 0 < removed < 200
    kept = 200 - removed
    assert await rows(store) == {"job": kept, "job_tag": kept, "job_key": 0, "attempt": kept, "log_line": 2 * kept}
    assert await run(store, Policy(kind=Kind.COMPLETED, keep_s=DAY_S)) == kept


def test_a_busy_machine_makes_steps_smaller_but_not_too_small(dialect: Dialect) -> None:
    steps = pace.Pace(dialect)
    for _ in range(9):
        steps.note_step(steps.rows, pace.STEP_S / 100)
    assert steps.rows == pace.STEP_MAX[dialect]
    steps.note_step(steps.rows, pace.STEP_S * 1.5)
    assert pace.STEP_MIN[dialect] < steps.rows < pace.STEP_MAX[dialect]
    steps.note_step(steps.rows, pace.STEP_S * 100)
    assert steps.rows == pace.STEP_MIN[dialect]


_WHOLE = (
    "SELECT job.id, (SELECT count(*) FROM attempt WHERE job_id = job.id) AS attempts,"
    " (SELECT count(*) FROM log_line WHERE job_id = job.id) AS lines, tags FROM job WHERE state = 'COMPLETED'"
)
_TAGGED = "SELECT job_id, tag FROM job_tag"
_ORPHANS = "SELECT count(*) AS n FROM {} WHERE NOT EXISTS (SELECT 1 FROM job WHERE job.id = job_id)"


async def test_a_process_that_is_killed_in_the_middle_has_removed_whole_jobs(database_url: str) -> None:
    await fill(database_url, 4_000)
    store = await Store.open(database_url)
    try:
        fetch = store._database.fetch
        before = {row["id"]: (row["attempts"], row["lines"], row["tags"]) for row in await fetch(_WHOLE)}
        remover = subprocess.Popen([sys.executable, str(Path(__file__).with_name("remover.py")), database_url])
        try:
            async with asyncio.timeout(30):
                while (await rows(store))["job"] > 4_000 - 50:
                    await asyncio.sleep(0.002)
        finally:
            remover.send_signal(signal.SIGKILL)
            remover.wait()
        after = {row["id"]: (row["attempts"], row["lines"], row["tags"]) for row in await fetch(_WHOLE)}
        assert 0 < len(after) < len(before)
        assert all(before[job_id] == one for job_id, one in after.items())
        tagged = {(row["job_id"], row["tag"]) for row in await fetch(_TAGGED)}
        assert {(job_id, tag) for job_id, one in after.items() for tag in json.loads(one[2])} <= tagged
        assert [(await fetch(_ORPHANS.format(table)))[0]["n"] for table in ("job_tag", "attempt", "log_line")] == [
            0
        ] * 3
        again = store.retention.run(Policy(kind=Kind.COMPLETED, keep_s=60), now_ms=now_ms(), grace_ms=60_000)
        assert sum([removed async for removed in again]) > 0
    finally:
        await store.close()
