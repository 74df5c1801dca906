"""Every filter is led by an index."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from jobs.job import Reason, State
from jobs.page import Direction, PageRequest
from jobs.store.config import sqlite_path
from jobs.store.cursor import Keyset
from jobs.store.lead import plans
from jobs.store.sqlite import numbered
from jobs.store.where import bounds_of, lead_query
from jobs.where import JobWhere, TimeRange

PLANS = {
    "INDEX idx_job_state (state=?)": JobWhere(states=(State.DEAD,)),
    "INDEX idx_job_flow (queue=? AND task=? AND state=?)": JobWhere(states=(State.DEAD,), queues=("q",), tasks=("t",)),
    "INDEX idx_job_owner (owner=?)": JobWhere(owners=("u",)),
    "INDEX idx_job_key (key=?)": JobWhere(keys=("k",)),
    "INDEX idx_job_parent (retry_of=?)": JobWhere(parents=("p",)),
    "INDEX idx_job_reason (reason=?)": JobWhere(reasons=(Reason.POISON,)),
    "INDEX idx_job_error": JobWhere(error="boom"),
    "INDEX idx_job_queue_fda951 (queue=?)": JobWhere(queues=("q",)),
    "INDEX idx_job_task_7fcb9e (task=?)": JobWhere(tasks=("t",)),
    "INDEX sqlite_autoindex_job_tag_1 (tag=?)": JobWhere(tags=("t",)),
    "INDEX sqlite_autoindex_job_1 (id>? AND id<?)": JobWhere(created=TimeRange(from_ms=1, until_ms=2)),
    "SCAN job USING COVERING INDEX sqlite_autoindex_job_1": JobWhere(),
}


@pytest.mark.parametrize("dialect", ["sqlite"])  # whose plans do not depend on statistics
async def test_every_filter_has_an_index_that_gives_the_order(database_url: str) -> None:
    path = sqlite_path(database_url)
    assert path
    with closing(sqlite3.connect(path)) as connection:
        for index, where in PLANS.items():
            (lead,) = plans(where)[0].leads
            found = lead_query("sqlite", lead, bounds_of(where))
            keyset = Keyset(found.key, Direction.DESC, PageRequest())
            sql = f"EXPLAIN QUERY PLAN SELECT {found.key} FROM {found.table}{found.text()} {keyset.order(found.key)}"  # noqa: S608  # values are parameters
            steps = [row[3] for row in connection.execute(numbered(sql), found.values)]
            assert any(index in step for step in steps), steps
            assert not any("ORDER BY" in step for step in steps), steps
