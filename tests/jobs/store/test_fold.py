"""Any split of a history into batches gives the same rows, and each attempt counts or does not."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.clock import new_id
from jobs.event import JobEvent
from jobs.job import Durability
from jobs.page import PageRequest
from jobs.store import Store
from jobs.store.fold import Fold, JobRow
from tests.factories import make_spec
from tests.jobs.reckoning import compare_attempts
from tests.jobs.store.history import read
from tests.jobs.store.story import BEGIN_MS, Story, Tale

JOB = new_id()
STEPS = st.sampled_from(
    ["enqueued", "due", "started", "progressed", "logged", "completed", "retrying", "snoozed", "released", "reaped",
     "died", "cancel_requested", "cancelled", "recovered", "run", "replay"]
)  # fmt: skip


def history(steps: list[tuple[str, int]]) -> list[JobEvent]:
    """Events that need not make sense: replays, skipped steps, ends without a start, runs out of nowhere."""
    spec = make_spec(id=JOB, created_ms=BEGIN_MS, durability=Durability.MEMORY)
    tale = Tale(spec, memory=True).enqueued()
    for step, number in steps:
        if step == "replay":
            tale.events.append(tale.events[number % len(tale.events)])
        elif step == "recovered":
            tale.again(run=tale.run, version=(tale.version // 1_000_000 + 1) * 1_000_000).enqueued(recovered=True)
        elif step == "run":
            tale.again(run=tale.run + 1).enqueued()
        elif step in ("enqueued", "due", "cancel_requested"):
            getattr(tale, step)()
        elif step == "progressed":
            tale.progressed(number, attempt=number)
        elif step == "logged":
            tale.logged(f"line {number}", attempt=number)
        else:
            getattr(tale, step)(number)
    return tale.events


def folded(events: list[JobEvent]) -> tuple[JobRow, dict[Any, Any], list[Any]]:
    fold = Fold({})
    for event in events:
        fold.add(event)
    return fold.row(JOB), fold.attempts, fold.logs


@given(steps=st.lists(st.tuples(STEPS, st.integers(1, 4)), max_size=30), cuts=st.lists(st.integers(0, 30), max_size=5))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_split_into_batches_gives_the_same_rows(
    store: Store, story: Story, steps: list[tuple[str, int]], cuts: list[int]
) -> None:
    spec = make_spec(created_ms=BEGIN_MS, durability=Durability.MEMORY)
    whole = history(steps)
    row, attempt_rows, logs = folded(whole)
    events = [
        msgspec.structs.replace(
            event,
            job=spec.id,
            **({"spec": event.spec.replace(JOB, spec.id)} if hasattr(event, "spec") else {}),
        )
        for event in whole
    ]
    compare_attempts(row, attempt_rows.values())
    bounds = sorted({0, len(events), *(cut % (len(events) + 1) for cut in cuts)})
    for begin, end in pairwise(bounds):
        await story.record(events[begin:end])
    job = await read(store, spec)
    assert (job.run, job.version, job.state) == (row.run, row.version, row.state)
    assert (job.attempts, job.crashes, job.recoveries) == (row.attempts, row.crashes, row.recoveries)
    assert (job.worker, job.updated_ms, job.finished_ms) == (row.worker, row.updated_ms, row.finished_ms)
    assert (job.result is None) == (row.result is None)
    found = (await store.search.attempts([spec.id]))[spec.id]
    assert {(attempt.run, attempt.number): (attempt.state, attempt.started_ms) for attempt in found} == {
        (attempt.run, attempt.number): (attempt.state, attempt.started_ms) for attempt in attempt_rows.values()
    }
    lines = (await store.search.logs(spec.id, PageRequest(limit=100))).items
    assert [(line.run, line.attempt, line.message) for line in lines] == [(log[1], log[2], log[5]) for log in logs]
