"""The benches of retention run, and count what they say they count."""

from __future__ import annotations

import pytest

from jobs.retention import Kind, Policy
from tests.bench import cleaning, flow, growth


async def test_the_growth_of_a_database_levels_off(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "ROUND", 100)
    monkeypatch.setattr(growth, "BATCH", 50)
    policies = (Policy(kind=Kind.COMPLETED, keep_s=1_000), Policy(kind=Kind.DEAD, keep_count=2))
    monkeypatch.setattr(growth, "policies", lambda _: policies)
    figures = await growth.run(rows=2_000, database=empty_url)
    points = list(figures["timed"].values())
    assert [point["jobs"] for point in points] == list(range(100, 2_001, 100))
    for table in ("job", "job_tag", "attempt", "log_line"):
        rows = f"{table}_rows"
        assert points[11][rows] == points[-1][rows] > points[4][rows]
    assert figures["removed"] == 2_000 - points[-1]["job_rows"]
    assert figures["growth_second_half"] < 1.3


@pytest.mark.timeout(60)
async def test_waits_are_measured_while_jobs_are_removed(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cleaning, "ALONE_S", 0.2)
    figures = await cleaning.run(rows=2_000, database=database_url)
    assert figures["removed"] > 1_500
    assert figures["transactions"] > 1
    assert figures["timed"]["while cleaning"]["accepted"] > 0


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_jobs_of_all_kinds_pass_through_the_whole_system(empty_url: str) -> None:
    figures = await flow.run(jobs=100_000, database=empty_url)
    assert figures["growth"].keys() >= {"database_bytes", "wal_bytes", "redis_bytes", "job_rows", "log_line_rows"}
    last = list(figures["timed"].values())[-1]
    assert last["job_rows"] < 100_000  # a run of the cleaner that goes on has not said yet what it removed
    assert last["job_rows"] + last["COMPLETED_removed"] <= 100_000
