"""A job's way through the queue: what is pushed, held under a token, ended, cancelled and forgotten."""

from __future__ import annotations

import asyncio

import pytest
import redis.asyncio

from jobs.broker import Broker, Cancelling, Push, Pushed, Report, Session, keys
from jobs.errors import QueueFull
from jobs.event import Cancelled, Completed, Died, Enqueued, Progressed, Started
from jobs.job import Durability, Progress, Reason, State
from jobs.outcome import Cancel, Complete, Die, Outcome, Release, RetryLater, Snooze
from tests.factories import make_spec, make_vitals
from tests.jobs.broker.steps import FAILURE, QUEUES, events, finish, push, reserve_one, start_one


async def test_job_runs_to_its_end(broker: Broker, session: Session) -> None:
    job_id = await push(broker, args={"a": 1})
    job = await start_one(session)
    assert (job.id, job.attempt, job.run, bytes(job.spec.args)) == (job_id, 1, 1, b'{"a":1}')
    assert await finish(session, job, Complete('"done"')) == []
    live = (await broker.jobs([job_id]))[job_id]
    assert (live.state, live.result, live.attempts) == (State.COMPLETED, "done", 1)
    kinds = [type(event) for event in await events(broker)]
    assert kinds == [Enqueued, Started, Completed]
    versions = [event.version for event in await events(broker)]
    assert versions == [1_000_000, 1_000_001, 1_000_002]
    assert await broker.counts(QUEUES) == {"default": {}}


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (RetryLater(FAILURE, 60_000), State.RETRYING),
        (Snooze(60_000), State.SCHEDULED),
        (Release(), State.QUEUED),
        (Cancel(), State.CANCELLED),
        (Die(Reason.NOT_RETRYABLE, FAILURE), State.DEAD),
    ],
)
async def test_outcome_leads_to_state(broker: Broker, session: Session, outcome: Outcome, state: State) -> None:
    job_id = await push(broker)
    assert await finish(session, await start_one(session), outcome) == []
    assert (await broker.jobs([job_id]))[job_id].state is state


async def test_known_run_is_not_pushed_again(broker: Broker, session: Session) -> None:
    spec = make_spec()
    assert await broker.push([Push(spec=spec)]) == [Pushed.NEW]
    assert await broker.push([Push(spec=spec)]) == [Pushed.KNOWN]
    await finish(session, await start_one(session), Die(Reason.NOT_RETRYABLE, FAILURE))
    assert await broker.push([Push(spec=spec)]) == [Pushed.KNOWN]
    assert await broker.push([Push(spec=spec, run=2)]) == [Pushed.NEW]
    assert (await reserve_one(session)).run == 2


async def test_tombstone_outlives_the_record(broker: Broker, session: Session) -> None:
    spec = make_spec()
    await broker.push([Push(spec=spec)])
    await finish(session, await start_one(session), Complete("1"))
    assert await broker.forget(await broker.stream.last()) == 1
    assert await broker.jobs([spec.id]) == {}
    assert await broker.push([Push(spec=spec)]) == [Pushed.KNOWN]
    assert await broker.cancel([spec.id]) == [Cancelling.FINAL]


async def test_what_has_just_ended_is_not_settled(broker: Broker, session: Session) -> None:
    job_id = await push(broker)
    await finish(session, await start_one(session), Complete("1"))
    last = await broker.stream.last()
    assert await broker.forget(await broker.settled(last)) == 0
    assert job_id in await broker.jobs([job_id])
    await broker.raise_epoch(2)
    assert await broker.settled(last) == last


async def test_unrecorded_job_is_not_forgotten(broker: Broker, session: Session) -> None:
    job_id = await push(broker)
    job = await start_one(session)
    before = await broker.stream.last()
    await finish(session, job, Complete("1"))
    assert await broker.forget(before) == 0
    assert job_id in await broker.jobs([job_id])


async def test_late_push_is_refused(broker: Broker) -> None:
    deadline = await broker.now_ms() - 1
    assert await broker.push([Push(spec=make_spec())], deadline_ms=deadline) == [Pushed.LATE]


async def test_memory_job_travels_in_its_event(broker: Broker) -> None:
    await push(broker, durability=Durability.MEMORY, tags=("a",))
    await push(broker)
    memory, stored = await events(broker)
    assert isinstance(memory, Enqueued)
    assert isinstance(stored, Enqueued)
    assert '"tags":["a"]' in memory.spec
    assert stored.spec == ""


async def test_stale_token_has_no_effect(broker: Broker, session: Session) -> None:
    await push(broker)
    job = await start_one(session)
    await finish(session, job, RetryLater(FAILURE, 0))
    again = await start_one(session)
    assert again.attempt == 2
    assert await finish(session, job, Complete("1")) == [job.id]
    assert (await broker.jobs([job.id]))[job.id].state is State.ACTIVE
    assert await finish(session, again, Complete("2")) == []


async def test_final_state_stays(broker: Broker, session: Session) -> None:
    await push(broker)
    job = await start_one(session)
    await finish(session, job, Complete("1"))
    assert await finish(session, job, Die(Reason.NOT_RETRYABLE, FAILURE)) == [job.id]
    assert await broker.cancel([job.id]) == [Cancelling.FINAL]
    assert (await broker.jobs([job.id]))[job.id].state is State.COMPLETED


async def test_repeated_step_is_answered_not_done_again(broker: Broker, session: Session) -> None:
    for _ in range(3):
        await push(broker)
    lane = session.lane(0)
    first = await lane.step([], 2, QUEUES)
    lane._request -= 1  # as if the answer had been lost
    again = await lane.step([], 2, QUEUES)
    assert [job.id for job in again.reserved] == [job.id for job in first.reserved]
    assert [job.token for job in again.reserved] == [job.token for job in first.reserved]
    assert len((await lane.step([], 2, QUEUES)).reserved) == 1


async def test_repeated_start_and_report_count_once(broker: Broker, session: Session) -> None:
    job_id = await push(broker)
    job = await reserve_one(session)
    assert await session.start([job]) == [True]
    assert await session.start([job]) == [True]
    assert (await broker.jobs([job_id]))[job_id].attempts == 1


async def test_a_report_says_whose_attempt_is_over(broker: Broker, session: Session) -> None:
    await push(broker)
    await push(broker)
    mine, over = await start_one(session), await start_one(session)
    await finish(session, over, RetryLater(FAILURE, 0))
    reports = [
        Report(id=job.id, token=job.token, progress=Progress(done=1), checkpoint='{"value":1}') for job in (mine, over)
    ]
    assert await session.report(reports) == {over.token}
    session._reports -= 1  # as if the answer had been lost
    assert await session.report(reports) == {over.token}
    assert [event.job for event in await events(broker) if isinstance(event, Progressed)] == [mine.id]
    await finish(session, mine, Release())
    assert (await reserve_one(session)).checkpoint == '{"value":1}'


async def test_cancelled_while_reserved_does_not_start(broker: Broker, session: Session) -> None:
    job_id = await push(broker)
    job = await reserve_one(session)
    assert await broker.cancel([job_id]) == [Cancelling.CANCELLED]
    assert await session.start([job]) == [False]
    assert [type(event) for event in await events(broker)] == [Enqueued, Cancelled]


async def test_cancel_of_a_running_job_reaches_its_worker(broker: Broker, session: Session) -> None:
    job_id = await push(broker)
    job = await start_one(session)
    assert await broker.cancel([job_id, "unknown"]) == [Cancelling.REQUESTED, Cancelling.UNKNOWN]
    assert (await asyncio.to_thread(session.renew, make_vitals())).cancelled == {job_id}
    await finish(session, job, RetryLater(FAILURE, 0))
    assert (await broker.jobs([job_id]))[job_id].state is State.CANCELLED
    assert (await asyncio.to_thread(session.renew, make_vitals())).cancelled == frozenset()


async def test_an_unreadable_job_ends_and_stops_nobody(
    broker: Broker, session: Session, redis_client: redis.asyncio.Redis
) -> None:
    bad, good = await push(broker), await push(broker)
    await redis_client.hset(keys.job(bad), "b", '{"from": "the future"}')
    lane = session.lane(0)
    step = await lane.step([], 2, QUEUES)
    assert [job.id for job in step.reserved] == [good]
    await lane.step([], 0, QUEUES)
    ended = (await events(broker))[-1]
    assert isinstance(ended, Died)
    assert (ended.job, "cannot read" in ended.error) == (bad, True)


async def test_a_full_redis_refuses_new_jobs_and_finishes_old_ones(
    broker: Broker, session: Session, redis_client: redis.asyncio.Redis
) -> None:
    job_id = await push(broker)
    await redis_client.config_set("maxmemory", "1mb")
    try:
        with pytest.raises(QueueFull):
            await push(broker)
        await finish(session, await start_one(session), Complete("1"))
        assert await broker.forget(await broker.stream.last()) == 1
    finally:
        await redis_client.config_set("maxmemory", "0")
    assert await broker.jobs([job_id]) == {}


@pytest.mark.parametrize(("field", "text"), [("b", b"\xff{}"), ("cp", b"\xff"), ("cp", b"no JSON")])
async def test_a_text_that_is_damaged_ends_its_job_and_stops_nobody(
    broker: Broker, session: Session, redis_client: redis.asyncio.Redis, field: str, text: bytes
) -> None:
    bad, good = await push(broker), await push(broker)
    await redis_client.hset(keys.job(bad), field, text)
    lane = session.lane(0)
    assert [job.id for job in (await lane.step([], 2, QUEUES)).reserved] == [good]
    await lane.step([], 0, QUEUES)
    assert await redis_client.hget(keys.job(bad), "s") == b"DEAD"


async def test_discard_removes_what_history_knows_as_ended(broker: Broker, session: Session) -> None:
    job_id = await push(broker)
    assert await broker.discard([(job_id, 1)]) == 1
    assert await broker.jobs([job_id]) == {}
    assert (await session.lane(0).step([], 1, QUEUES)).reserved == []
    assert await broker.counts(QUEUES) == {"default": {}}
