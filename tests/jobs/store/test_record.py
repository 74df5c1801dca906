"""Recording: events become history exactly once, and nothing older ever overwrites it."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.clock import new_id
from jobs.errors import Stale
from jobs.event import START, JobEvent, Position
from jobs.job import AttemptState, Durability, Job, JobSpec, LogLevel, Reason, State
from jobs.page import PageRequest
from jobs.quarantine import Source
from jobs.store import Store
from jobs.store.fold import Fold, JobRow
from jobs.where import JobWhere
from tests.factories import make_spec
from tests.jobs.reckoning import compare_attempts
from tests.jobs.store.story import BEGIN_MS, Story, Tale


async def accepted(store: Store, **fields: Any) -> JobSpec:
    spec = make_spec(**fields)
    await store.accept.accept(spec)
    return spec


async def read(store: Store, spec: JobSpec) -> Job:
    job = await store.search.job(spec.id)
    assert job
    return job


async def attempts(store: Store, spec: JobSpec) -> list[tuple[int, int, AttemptState]]:
    found = (await store.search.attempts([spec.id]))[spec.id]
    return [(attempt.run, attempt.number, attempt.state) for attempt in found]


# Position


async def test_the_position_moves_with_the_rows(store: Store) -> None:
    assert await store.history.position() == START
    spec = await accepted(store)
    (event,) = Tale(spec).enqueued().events
    position = Position(1, BEGIN_MS, 0, 0)
    await store.history.record([(position, event)], old=START, new=position)
    assert await store.history.position() == position
    assert (await read(store, spec)).version == 1_000_001
    await store.history.record([], old=position, new=Position(1, BEGIN_MS + 1, 0, 0))
    assert await store.history.position() == Position(1, BEGIN_MS + 1, 0, 0)


async def test_who_does_not_lead_writes_nothing(store: Store) -> None:
    spec = await accepted(store)
    tale = Tale(spec).enqueued().started().logged("x")
    batch = [(Position(1, BEGIN_MS, 0, index), event) for index, event in enumerate(tale.events)]
    new = Position(1, BEGIN_MS, 0, 2)
    results = await asyncio.gather(
        *(store.history.record(batch, old=START, new=new) for _ in range(4)), return_exceptions=True
    )
    assert sorted(map(repr, results)) == sorted(["None"] + [repr(Stale("Another recorder leads."))] * 3)
    with pytest.raises(Stale):
        await store.history.record(batch, old=Position(0, 1, 0, 0), new=new)
    assert await store.history.position() == new
    assert len((await store.search.logs(spec.id, PageRequest())).items) == 1


async def test_events_up_to_the_position_are_not_recorded_twice(store: Store) -> None:
    spec = await accepted(store)
    events = Tale(spec).enqueued().started().logged("a").logged("b").events
    batch = [(Position(1, BEGIN_MS, 0, index), event) for index, event in enumerate(events)]
    await store.history.record(batch[:3], old=START, new=batch[2][0])
    await store.history.record(batch, old=batch[2][0], new=batch[3][0])
    lines = (await store.search.logs(spec.id, PageRequest())).items
    assert [line.message for line in lines] == ["a", "b"]


async def test_an_event_that_cannot_be_written_is_set_aside_and_the_others_are_recorded(store: Store) -> None:
    spec, other = await accepted(store), await accepted(store)
    bad = msgspec.structs.replace(Tale(other).enqueued().events[0], run=1 << 70)
    events = [*Tale(spec).enqueued().logged("x").events, bad, *Tale(spec, version=1_000_001).started().events]
    batch = [(Position(1, 1, 0, index), event) for index, event in enumerate(events)]
    await store.history.record(batch, old=START, new=batch[-1][0])
    assert await store.history.position() == batch[-1][0]
    assert (await read(store, spec)).state is State.ACTIVE
    assert (await read(store, other)).version == 0
    (record,) = (await store.quarantine.page(PageRequest())).items
    assert (record.source, record.ref) == (Source.EVENT, str(batch[2][0]))
    assert other.id in record.record
    assert record.reason


async def test_a_recorder_that_is_stopped_in_the_middle_leaves_all_or_nothing(store: Store) -> None:
    spec = await accepted(store)
    events = Tale(spec).enqueued().started().logged("x").events
    position = START
    for ticks in range(25):
        new = Position(1, BEGIN_MS + ticks, 0, 2)
        batch = [(Position(1, BEGIN_MS + ticks, 0, index), event) for index, event in enumerate(events)]
        recording = asyncio.create_task(store.history.record(batch, old=position, new=new))
        for _ in range(ticks):
            await asyncio.sleep(0)
        recording.cancel()
        await asyncio.gather(recording, return_exceptions=True)
        before, position = position, await store.history.position()
        assert position in (before, new)
    lines = len((await store.search.logs(spec.id, PageRequest(limit=100))).items)
    assert lines <= 25
    await store.history.record([(Position(9, 1, 0, 0), events[2])], old=position, new=Position(9, 1, 0, 0))
    assert len((await store.search.logs(spec.id, PageRequest(limit=100))).items) == lines + 1


# One job


async def test_a_job_from_enqueue_to_its_end(store: Store, story: Story) -> None:
    spec = await accepted(store)
    tale = Tale(spec).enqueued()
    await story.record(tale)
    job = await read(store, spec)
    assert (job.state, job.version, job.updated_ms) == (State.QUEUED, tale.version, tale.at_ms)
    await story.record(tale.started(worker="w7"))
    job = await read(store, spec)
    assert (job.state, job.worker, job.attempts, job.started_ms) == (State.ACTIVE, "w7", 1, tale.at_ms)
    await story.record(tale.progressed(5).logged("half", LogLevel.WARNING, context='{"n":1}'))
    job = await read(store, spec)
    assert job.progress
    assert (job.progress.percentage, job.version) == (50.0, tale.version)
    await story.record(tale.completed(result='{"ok":true}'))
    job = await read(store, spec)
    assert (job.state, job.result, job.finished_ms, job.worker) == (State.COMPLETED, {"ok": True}, tale.at_ms, None)
    (attempt,) = (await store.search.attempts([spec.id]))[spec.id]
    assert (attempt.state, attempt.worker, attempt.finished_ms) == (AttemptState.COMPLETED, "w7", tale.at_ms)
    assert attempt.started_ms == job.started_ms
    (line,) = (await store.search.logs(spec.id, PageRequest())).items
    assert (line.message, line.level, line.context, line.attempt) == ("half", LogLevel.WARNING, {"n": 1}, 1)


async def test_every_way_an_attempt_can_end(store: Store, story: Story) -> None:
    spec = await accepted(store)
    tale = Tale(spec).enqueued().started(1).retrying(1)
    await story.record(tale)
    job = await read(store, spec)
    assert job.error
    assert (job.state, job.scheduled_ms, job.error.message) == (State.RETRYING, BEGIN_MS * 2, "attempt 1")
    await story.record(tale.due().started(2).snoozed(2))
    assert (await read(store, spec)).state is State.SCHEDULED
    await story.record(tale.due().started(3).released(3).started(4).reaped(4).started(5).died(5))
    job = await read(store, spec)
    assert job.error
    assert (job.state, job.reason, job.error.message) == (State.DEAD, Reason.ATTEMPTS_EXHAUSTED, "the end")
    assert (job.attempts, job.crashes, job.finished_ms) == (5, 1, tale.at_ms)
    assert [state for _, _, state in await attempts(store, spec)] == [
        AttemptState.FAILED,
        AttemptState.SNOOZED,
        AttemptState.RELEASED,
        AttemptState.LOST,
        AttemptState.FAILED,
    ]
    errors = [attempt.error for attempt in (await store.search.attempts([spec.id]))[spec.id]]
    assert [error.type if error else None for error in errors] == [
        "ValueError",
        None,
        None,
        "WORKER_LOST",
        "ValueError",
    ]


async def test_a_poison_pill_is_charged_its_crashes(store: Store, story: Story) -> None:
    spec = await accepted(store)
    tale = Tale(spec).enqueued().started(1).reaped(1, 1).started(2).reaped(2, 2).started(3).died(3, Reason.POISON)
    await story.record(tale)
    job = await read(store, spec)
    assert (job.state, job.reason, job.crashes) == (State.DEAD, Reason.POISON, 3)
    assert [state for _, _, state in await attempts(store, spec)] == [AttemptState.LOST] * 3


async def test_a_job_that_is_cancelled(store: Store, story: Story) -> None:
    waiting, running = await accepted(store), await accepted(store)
    ask = Tale(running).enqueued().started().cancel_requested()
    await story.record(Tale(waiting).enqueued().cancelled(), ask)
    assert (await read(store, running)).cancel_requested
    assert (await read(store, waiting)).state is State.CANCELLED
    assert await attempts(store, waiting) == []
    await story.record(ask.cancelled(1))
    assert (await read(store, running)).state is State.CANCELLED
    assert await attempts(store, running) == [(1, 1, AttemptState.CANCELLED)]


async def test_an_end_whose_start_was_never_recorded_still_shows(store: Store, story: Story) -> None:
    spec = await accepted(store)
    tale = Tale(spec)
    await story.record(tale.retrying(3))
    job = await read(store, spec)
    assert (job.state, job.attempts) == (State.RETRYING, 3)
    (attempt,) = (await store.search.attempts([spec.id]))[spec.id]
    assert (attempt.number, attempt.state, attempt.started_ms) == (3, AttemptState.FAILED, tale.at_ms)


# Order


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


# Jobs that only Redis knew


async def test_a_job_of_durability_memory_enters_history_with_its_first_event(store: Store, story: Story) -> None:
    spec = make_spec(args={"a": [1]}, tags=("t",), owner="o", queue="fire", durability=Durability.MEMORY)
    tale = Tale(spec, memory=True).enqueued().started().completed()
    first = list(tale.events)
    await story.record(tale)
    job = await read(store, spec)
    assert (job.state, job.args, job.tags, job.durability) == (
        State.COMPLETED,
        {"a": [1]},
        ("t",),
        Durability.MEMORY,
    )
    assert await store.search.queues() == ["fire"]
    assert (await store.search.jobs(JobWhere(tags=("t",)), PageRequest())).items == [job]
    await story.record(first)
    assert await read(store, spec) == job


async def test_events_of_jobs_that_nobody_knows_are_passed_over(store: Store, story: Story) -> None:
    unknown, known = make_spec(), await accepted(store)
    await story.record(Tale(unknown).enqueued().started().logged("x").progressed(1).completed(), Tale(known).enqueued())
    assert await store.search.job(unknown.id) is None
    assert await attempts(store, unknown) == []
    assert (await read(store, known)).version


async def test_text_that_no_database_takes_does_not_stop_the_recorder(store: Store, story: Story) -> None:
    spec = await accepted(store)
    memory = make_spec(args={"a\x00": ["\x00"], "b": "\\u0000"}, durability=Durability.MEMORY)
    await story.record(
        Tale(spec).enqueued().started().logged("a\x00b", context='{"a":"\\u0000"}').completed(result='"\\u0000"'),
        Tale(memory, memory=True).enqueued(),
    )
    (line,) = (await store.search.logs(spec.id, PageRequest())).items
    assert (line.message, line.context) == ("a�b", {"a": "\x00"})
    assert (await read(store, memory)).args == {"a�": ["�"], "b": "\\u0000"}
    assert (await read(store, spec)).result == "\x00"


async def test_many_jobs_in_one_batch(store: Store, story: Story) -> None:
    specs = [make_spec() for _ in range(500)]
    await store.accept.accept_many(specs)
    await story.record(*(Tale(spec).enqueued().started().completed() for spec in specs))
    assert (await store.search.count(JobWhere(states=(State.COMPLETED,)), limit=1_000)).value == 500
    assert await store.search.unpushed(created_before_ms=BEGIN_MS, limit=10) == []


# Any split of a history into batches gives the same rows, and each attempt counts or does not

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


JOB = new_id()


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
