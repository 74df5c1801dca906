"""Recording: events become history exactly once, and a job's rows say what happened to it."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from jobs.errors import Stale
from jobs.event import START, Position
from jobs.job import AttemptState, Durability, LogLevel, Reason, State
from jobs.page import PageRequest
from jobs.quarantine import Source
from jobs.store import Store
from jobs.where import JobWhere
from tests.factories import make_spec
from tests.jobs.store.history import accepted, attempts, read
from tests.jobs.store.story import BEGIN_MS, Story, Tale

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
