"""Recording what is old, comes again, or comes from an older copy of Redis: nothing older ever overwrites history."""

from __future__ import annotations

import pytest

from jobs.job import AttemptState, State
from jobs.page import PageRequest
from jobs.store import Store
from tests.jobs.store.history import accepted, attempts, read
from tests.jobs.store.story import Story, Tale


async def test_what_is_old_never_overwrites(store: Store, story: Story) -> None:
    spec = await accepted(store)
    tale = Tale(spec).enqueued().started().progressed(1).retrying().due().started(2).progressed(7, 2)
    events = list(tale.events)
    await story.record(tale)
    before = await read(store, spec), await attempts(store, spec)
    await story.record(list(reversed(events)))
    await story.record(events[:4])
    assert (await read(store, spec), await attempts(store, spec)) == before


async def test_a_final_state_is_final(store: Store, story: Story) -> None:
    spec = await accepted(store)
    tale = Tale(spec).enqueued().started().completed()
    await story.record(tale)
    before = await read(store, spec)
    await story.record(tale.started(2).progressed(3, 2).died(2))
    await story.record(tale.again(version=9_000_000).enqueued(recovered=True).started().cancelled(1))
    assert await read(store, spec) == before
    assert await attempts(store, spec) == [(1, 1, AttemptState.COMPLETED)]


async def test_another_run_begins_anew(store: Store, story: Story) -> None:
    spec = await accepted(store)
    first = Tale(spec).enqueued().started().logged("one").progressed(3).died()
    old = list(first.events)
    await story.record(first)
    _, run = await store.accept.rerun(spec.id)
    second = Tale(spec, run=run).enqueued().started().logged("two")
    await story.record(second)
    await story.record(old)
    job = await read(store, spec)
    assert (job.run, job.state, job.attempts, job.error, job.progress) == (2, State.ACTIVE, 1, None, None)
    await story.record(second.completed())
    assert await attempts(store, spec) == [(1, 1, AttemptState.FAILED), (2, 1, AttemptState.COMPLETED)]
    lines = (await store.search.logs(spec.id, PageRequest())).items
    assert [(line.run, line.message) for line in lines] == [(1, "one"), (2, "two")]


async def test_a_run_that_is_only_known_from_its_events(store: Store, story: Story) -> None:
    spec = await accepted(store)
    await story.record(Tale(spec).enqueued().started().died())
    await story.record(Tale(spec, run=2).enqueued().started())
    job = await read(store, spec)
    assert (job.run, job.state, job.finished_ms, job.reason) == (2, State.ACTIVE, None, None)


async def test_a_job_that_redis_lost_goes_on_where_history_left_it(store: Store, story: Story) -> None:
    spec = await accepted(store)
    tale = Tale(spec).enqueued().started(1).retrying(1).due().started(2)
    await story.record(tale)
    (known,) = await store.search.unfinished(after_id="", limit=10)
    assert (known.attempts, known.uncharged, known.recoveries) == (2, 1, 0)
    await story.record(tale.again(version=2_000_000).enqueued(recovered=True))
    job = await read(store, spec)
    assert (job.state, job.recoveries, job.attempts, job.worker) == (State.QUEUED, 1, 2, None)
    assert await attempts(store, spec) == [(1, 1, AttemptState.FAILED), (1, 2, AttemptState.LOST)]
    await story.record(tale.started(3).completed(3))
    assert (await read(store, spec)).attempts == 3
    assert (await attempts(store, spec))[-1] == (1, 3, AttemptState.COMPLETED)


async def test_the_end_of_a_run_counts_whatever_its_version(store: Store, story: Story) -> None:
    spec = await accepted(store)
    tale = Tale(spec).enqueued().started(1).retrying(1)
    await story.record(tale)
    # Redis came back with a state from before the first attempt, and a worker was faster than the reconciler
    await story.record(tale.again(version=1_000_001).completed(1))
    job = await read(store, spec)
    assert job.state is State.COMPLETED
    assert job.version > 1_000_001


async def test_a_checkpoint_lasts_as_long_as_its_run(store: Store, story: Story) -> None:
    spec = await accepted(store)
    tale = Tale(spec).enqueued().started().progressed(1, checkpoint='{"at":"\\u0000"}').progressed(2)
    await story.record(tale)

    async def checkpoint() -> str:
        (known,) = await store.search.unfinished(after_id="", limit=10)
        return known.checkpoint

    assert await checkpoint() == '{"at":"\\u0000"}'
    await story.record(tale.progressed(3, checkpoint="2").retrying().due().started(2))
    late = Tale(spec).again(version=1_000_001).progressed(4, checkpoint='"of an attempt that is over"')
    await story.record(late)
    await story.record(tale.again(version=2_000_000).enqueued(recovered=True))
    assert await checkpoint() == "2"
    await story.record(tale.died(2))
    _, run = await store.accept.rerun(spec.id)
    assert await checkpoint() == ""
    await story.record(Tale(spec, run=run).enqueued().started().progressed(1, checkpoint="3"))
    assert await checkpoint() == "3"
    # the end of this run was not recorded before the next began
    await story.record(Tale(spec, run=run + 1).enqueued().started())
    assert await checkpoint() == ""


@pytest.mark.parametrize("again", ["reaped", "released", "snoozed"])
async def test_an_attempt_that_an_older_copy_of_redis_ends_once_more_is_uncharged_once(
    store: Store, story: Story, again: str
) -> None:
    spec = await accepted(store)
    tale = Tale(spec).enqueued().started(1).retrying(1).due().started(2)
    await story.record(tale)
    # A copy from the first attempt came back, in which the worker gives back what it has no more.
    await story.record(getattr(tale.again(version=2_000_000), again)(1))
    (known,) = await store.search.unfinished(after_id="", limit=10)
    assert (known.attempts, known.uncharged) == (2, 1)
    await story.record(getattr(tale, again)(2))
    (known,) = await store.search.unfinished(after_id="", limit=10)
    assert (known.attempts, known.uncharged) == (2, 1)
    assert [state for _, _, state in await attempts(store, spec)] == [AttemptState.FAILED, AttemptState.LOST]


async def test_an_attempt_that_runs_in_no_copy_of_redis_any_more_is_closed(store: Store, story: Story) -> None:
    spec = await accepted(store)
    tale = Tale(spec).enqueued(due_ms=1).due().started(1)
    await story.record(tale)
    await story.record(tale.again(version=2_000_000).due())
    (known,) = await store.search.unfinished(after_id="", limit=10)
    assert (known.attempts, known.uncharged) == (1, 1)
    await story.record(tale.completed(2))
    assert await attempts(store, spec) == [(1, 1, AttemptState.LOST), (1, 2, AttemptState.COMPLETED)]


async def test_attempts_are_told_apart_where_redis_lost_count(store: Store, story: Story) -> None:
    spec = await accepted(store)
    tale = Tale(spec).enqueued().started(1).retrying(1).due().started(2)
    await story.record(tale)
    # Redis came back with a state from before the first attempt
    tale.again(version=2_000_000).started(1).logged("again", attempt=1).retrying(1).due().started(2).completed(2)
    await story.record(tale)
    assert [(number, state) for _, number, state in await attempts(store, spec)] == [
        (1, AttemptState.FAILED),
        (2, AttemptState.LOST),
        (3, AttemptState.FAILED),
        (4, AttemptState.COMPLETED),
    ]
    (line,) = (await store.search.logs(spec.id, PageRequest())).items
    assert (line.attempt, (await read(store, spec)).attempts) == (3, 4)
