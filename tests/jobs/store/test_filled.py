"""The store's bench fills both databases, and its queries say where they were bounded."""

from __future__ import annotations

from collections import Counter

import pytest

from jobs.job import State
from jobs.page import PageRequest
from jobs.queries.job import COUNT_MAX
from jobs.store import Store
from jobs.where import JobWhere
from tests.bench import store as bench
from tests.bench.fill import fill

ROWS = 2_000


async def test_what_is_filled_in_can_be_read(database_url: str) -> None:
    await fill(database_url, ROWS)
    await fill(database_url, ROWS)  # it has its jobs already
    store = await Store.open(database_url)
    try:
        found = []
        cursor = None
        while True:
            page = await store.search.jobs(JobWhere(), PageRequest(limit=100, after=cursor))
            found += page.items
            if not page.has_next:
                break
            cursor = page.cursors[-1]
        assert len(found) == ROWS
        states = Counter(job.state for job in found)
        assert states[State.COMPLETED] > 0.9 * ROWS
        assert {State.DEAD, State.QUEUED, State.ACTIVE} <= set(states)
        assert all(job.args["user"]["id"] > 0 and job.tags[-1].startswith("region-") for job in found)
        assert all((job.error is not None) is (job.state in (State.DEAD, State.RETRYING)) for job in found)
        assert (await store.quarantine.count()) == COUNT_MAX
        assert await store.search.queues()
    finally:
        await store.close()


async def test_every_query_of_the_bench_answers(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "RUNS", 2)
    monkeypatch.setattr(bench, "WARM", 1)
    figures = await bench.run(rows=ROWS, database=database_url)
    assert figures["queries"] > 300
    assert figures["timed"]["jobs all DESC"]["found"] == 100
    assert figures["timed"]["count all"]["cut_short"] == 100
    assert (
        figures["timed"]["jobs queue: unknown DESC"] | {"found": 0, "cut_short": 0}
        == (figures["timed"]["jobs queue: unknown DESC"])
    )
