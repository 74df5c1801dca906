"""Retention leaves alone what has not ended, and what is retried while it looks."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.errors import InvalidState, NotFound
from jobs.job import FINAL, State
from jobs.page import PageRequest
from jobs.retention import DAY_S, HOUR_S, Kind, Policy
from jobs.store import Store, ended
from jobs.where import JobWhere
from tests.factories import make_spec
from tests.jobs.store.past import NOW_MS, Past, ago, left, rows, run
from tests.jobs.store.story import Story, Tale


async def test_a_job_that_was_retried_stays(store: Store, past: Past) -> None:
    specs = await past.ended(*[ago(2 * DAY_S)] * 3, state=State.DEAD)
    await store.accept.rerun(specs[1].id)
    assert await run(store, Policy(kind=Kind.DEAD, keep_s=DAY_S)) == 2
    assert await left(store, specs) == [1]
    await past.end(specs[1], NOW_MS, State.DEAD, run=2)
    assert await run(store, Policy(kind=Kind.DEAD, keep_s=DAY_S)) == 0


async def test_a_job_that_is_retried_between_a_look_and_its_removal_stays(
    store: Store, past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    specs = await past.ended(*[ago(2 * DAY_S)] * 3, state=State.DEAD)
    find = ended.Ended.find
    retried: list[str] = []

    async def slowly(self: ended.Ended) -> bool:
        found = await find(self)
        if found and not retried:
            retried.append(specs[1].id)
            await store.accept.rerun(specs[1].id)
        return found

    monkeypatch.setattr(ended.Ended, "find", slowly)
    assert await run(store, Policy(kind=Kind.DEAD, keep_s=DAY_S)) == 2
    assert await left(store, specs) == [1]
    assert len((await store.search.attempts([specs[1].id]))[specs[1].id]) == 1


async def test_retrying_while_everything_is_removed_leaves_each_job_whole_or_gone(store: Store, past: Past) -> None:
    specs = await past.ended(*[ago(2 * DAY_S)] * 60, state=State.DEAD, tags=("t",), key="", lines=2)
    retried: list[str] = []

    async def retry() -> None:
        for spec in reversed(specs):
            try:
                await store.accept.rerun(spec.id)
                retried.append(spec.id)
            except (NotFound, InvalidState):
                pass

    removed, _ = await asyncio.gather(run(store, Policy(kind=Kind.DEAD, keep_s=DAY_S)), retry())
    assert removed + len(retried) == len(specs)
    known = await store.search.jobs_by_id([spec.id for spec in specs])
    assert sorted(known) == sorted(retried)
    assert all(job.state is State.QUEUED and job.run == 2 for job in known.values())
    for job_id in retried:
        assert len((await store.search.attempts([job_id]))[job_id]) == 1
        assert len((await store.search.logs(job_id, PageRequest())).items) == 2
    kept = len(retried)
    assert await rows(store) == {"job": kept, "job_tag": kept, "job_key": 0, "attempt": kept, "log_line": 2 * kept}


@st.composite
def stories(draw: st.DrawFn) -> list[tuple[str, int, int]]:
    """How far each job has come, when, and how many runs it has had."""
    steps = st.sampled_from(["accepted", "queued", "active", "retrying", "snoozed", "completed", "dead", "cancelled"])
    return draw(st.lists(st.tuples(steps, st.integers(0, 3), st.integers(1, 2)), min_size=1, max_size=12))


@pytest.mark.parametrize("dialect", ["sqlite"])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    jobs=stories(),
    keep_s=st.none() | st.sampled_from([0, DAY_S, 2 * DAY_S]),
    keep_count=st.none() | st.integers(0, 4),
)
async def test_only_jobs_that_have_ended_and_violate_the_policy_go(
    store: Store, story: Story, jobs: list[tuple[str, int, int]], keep_s: int | None, keep_count: int | None
) -> None:
    queue = make_spec().id[-12:]
    ends: dict[State, list[tuple[int, str]]] = {state: [] for state in FINAL}
    kept: set[str] = set()
    for step, days, runs in jobs:
        spec = make_spec(queue=queue)
        await store.accept.accept(spec)
        at_ms = ago(days * DAY_S + HOUR_S)
        for number in range(1, runs + 1):
            last = number == runs
            tale = Tale(spec, run=number)
            tale.at_ms = at_ms - 30
            if not last or step == "dead":
                tale.enqueued().started().died()
            elif step != "accepted":
                tale.enqueued()
                _go_on(tale, step)
            await story.record(tale)
            if not last:
                await store.accept.rerun(spec.id)
        state = {"completed": State.COMPLETED, "dead": State.DEAD, "cancelled": State.CANCELLED}.get(step)
        if state:
            job = await store.search.job(spec.id)
            assert job
            assert job.finished_ms
            ends[state].append((job.finished_ms, spec.id))
        else:
            kept.add(spec.id)
    expected = set(kept)
    for kind, state in ((Kind.COMPLETED, State.COMPLETED), (Kind.DEAD, State.DEAD), (Kind.CANCELLED, State.CANCELLED)):
        newest = sorted(ends[state], reverse=True)
        for place, (finished_ms, job_id) in enumerate(newest):
            too_old = keep_s is not None and finished_ms < ago(keep_s)
            if not too_old and (keep_count is None or place < keep_count):
                expected.add(job_id)
        await run(store, Policy(kind=kind, queue=queue, keep_s=keep_s, keep_count=keep_count))
    found = await store.search.jobs(JobWhere(queues=(queue,)), PageRequest(limit=100))
    assert {job.id for job in found.items} == expected


def _go_on(tale: Tale, step: str) -> None:
    if step != "queued":
        tale.started()
    match step:
        case "retrying":
            tale.retrying()
        case "snoozed":
            tale.snoozed()
        case "completed":
            tale.completed()
        case "cancelled":
            tale.cancelled(1)
