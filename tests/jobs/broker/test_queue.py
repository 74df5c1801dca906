from __future__ import annotations

import asyncio

import pytest
import redis.asyncio

from jobs.broker import Broker, Cancelling, Finished, Push, Pushed, Report, Reserved, Session, SessionLost, keys
from jobs.errors import EpochChanged, QueueFull, RedisEvicts, RedisUnreachable
from jobs.event import START, Cancelled, Completed, Died, Due, Enqueued, Event, Progressed, Reaped, Started
from jobs.job import Durability, Failure, Priority, Progress, Reason, State
from jobs.outcome import Cancel, Complete, Die, Outcome, Release, RetryLater, Snooze
from tests.factories import make_settings, make_spec, make_vitals, make_worker_info

QUEUES = ["default"]
FAILURE = Failure(type="ValueError", message="no")


async def push(broker: Broker, **fields: object) -> str:
    spec = make_spec(**fields)  # type: ignore[arg-type]  # fields of JobSpec
    assert await broker.push([Push(spec=spec)]) == [Pushed.NEW]
    return spec.id


async def reserve_one(session: Session, lane: int = 0) -> Reserved:
    step = await session.lane(lane).step([], 1, QUEUES)
    assert len(step.reserved) == 1
    return step.reserved[0]


async def start_one(session: Session) -> Reserved:
    job = await reserve_one(session)
    assert await session.start([job]) == [True]
    return job


async def finish(session: Session, job: Reserved, outcome: Outcome) -> list[str]:
    return (await session.lane(0).step([Finished(job.id, job.token, outcome)], 0, QUEUES)).stale


async def events(broker: Broker) -> list[Event]:
    return [event for _, event in await broker.stream.read(START, 10_000)]


async def advance(client: redis.asyncio.Redis, ms: int) -> None:
    await client.set(keys.CLOCK, ms)


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


async def test_delayed_job_wakes_a_waiting_lane(broker: Broker, session: Session) -> None:
    job_id = await push(broker, scheduled_ms=await broker.now_ms() + 150)
    lane = session.lane(0)
    step = await lane.step([], 1, QUEUES)
    assert step.reserved == []
    assert 0 < step.wait_ms <= 150
    async with asyncio.timeout(5):
        while not step.reserved:
            await lane.wait(QUEUES, step.wait_ms)
            step = await lane.step([], 1, QUEUES)
    assert step.reserved[0].id == job_id
    assert [type(event) for event in await events(broker)] == [Enqueued, Due]


async def test_new_job_wakes_a_waiting_lane(broker: Broker, session: Session) -> None:
    lane = session.lane(0)
    await lane.step([], 1, QUEUES)
    waiting = asyncio.create_task(lane.wait(QUEUES, 5000))
    await push(broker)
    await asyncio.wait_for(waiting, 2)


async def test_every_priority_gets_its_share(broker: Broker, session: Session) -> None:
    pushes = [Push(spec=make_spec(priority=priority)) for priority in Priority for _ in range(200)]
    await broker.push(pushes)
    lane = session.lane(0)
    drawn = dict.fromkeys(Priority, 0)
    for size in [1] * 31 + [31] * 4:
        for job in (await lane.step([], size, QUEUES)).reserved:
            drawn[job.spec.priority] += 1
    assert list(drawn.values()) == [80, 40, 20, 10, 5]


async def test_every_priority_gets_its_share_in_each_of_several_queues(broker: Broker, session: Session) -> None:
    for queue in ("a", "b"):
        await broker.push([Push(spec=make_spec(queue=queue, priority=one)) for one in Priority for _ in range(200)])
    drawn = dict.fromkeys(Priority, 0)
    for _ in range(10):
        for job in (await session.lane(0).step([], 31, ["a", "b"])).reserved:
            drawn[job.spec.priority] += 1
    assert list(drawn.values()) == [160, 80, 40, 20, 10]


async def test_every_queue_gets_its_share(broker: Broker, session: Session) -> None:
    await broker.push([Push(spec=make_spec(queue=queue)) for queue in ("a", "b", "c") for _ in range(50)])
    step = await session.lane(0).step([], 30, ["a", "b", "c"])
    drawn = [sum(job.spec.queue == queue for job in step.reserved) for queue in ("a", "b", "c")]
    assert drawn == [10, 10, 10]


async def test_jobs_of_a_lost_worker_run_elsewhere(broker: Broker, redis_client: redis.asyncio.Redis) -> None:
    dead = await broker.open_session(make_worker_info())
    for _ in range(2):
        await push(broker)
    started, reserved = (await dead.lane(0).step([], 2, QUEUES)).reserved
    await dead.start([started])
    await broker.reap()
    await advance(redis_client, 4_000)
    await broker.reap()
    assert (await broker.reap())[0] == []
    await advance(redis_client, 8_000)
    await broker.reap()
    await advance(redis_client, 11_000)
    assert await broker.reap() == ([started.id], [dead.id])
    with pytest.raises(SessionLost):
        await dead.lane(0).step([Finished(started.id, started.token, Complete("1"))], 1, QUEUES)
    live = await broker.open_session(make_worker_info())
    again = {job.id: job for job in (await live.lane(0).step([], 2, QUEUES)).reserved}
    assert (again[started.id].attempt, again[started.id].uncharged, again[started.id].crashes) == (2, 1, 1)
    assert (again[reserved.id].attempt, again[reserved.id].crashes) == (1, 0)
    assert sum(isinstance(event, Reaped) for event in await events(broker)) == 1
    assert (await asyncio.to_thread(dead.renew, make_vitals())).lost
    await dead.close()
    await live.close()


async def test_a_late_start_does_not_let_go_of_the_next_run(
    broker: Broker, session: Session, redis_client: redis.asyncio.Redis
) -> None:
    spec = make_spec()
    await broker.push([Push(spec=spec)])
    late = await reserve_one(session)
    await broker.cancel([spec.id])
    await broker.push([Push(spec=spec, run=2)])
    again = await reserve_one(session, lane=1)
    assert await session.start([again]) == [True]
    assert await session.start([late]) == [False]
    await broker.reap()
    for seconds in (4, 8, 12):
        await advance(redis_client, seconds * 1000)
        await broker.reap()
    assert (await broker.jobs([spec.id]))[spec.id].state is State.QUEUED


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


async def test_an_older_copy_of_redis_is_not_believed(broker: Broker, redis_client: redis.asyncio.Redis) -> None:
    await broker.raise_epoch(3)
    await redis_client.set(keys.EPOCH, 2)
    with pytest.raises(EpochChanged):
        await push(broker)
    assert broker.epoch == 3


async def test_nothing_is_reaped_right_after_a_pause(
    broker: Broker, session: Session, redis_client: redis.asyncio.Redis
) -> None:
    await push(broker)
    await start_one(session)
    await broker.reap()
    await advance(redis_client, 60_000)
    assert await broker.reap() == ([], [])
    assert not (await asyncio.to_thread(session.renew, make_vitals())).lost
    assert await broker.reap() == ([], [])


async def test_closing_gives_back_what_was_not_started(broker: Broker) -> None:
    leaving = await broker.open_session(make_worker_info())
    job_id = await push(broker)
    await reserve_one(leaving)
    await leaving.close()
    staying = await broker.open_session(make_worker_info())
    assert (await reserve_one(staying)).id == job_id
    await staying.close()


async def test_old_epoch_changes_nothing(broker: Broker, redis_url: str) -> None:
    other = await Broker.open(redis_url, make_settings())
    await other.raise_epoch(2)
    await other.client.flushall()
    with pytest.raises(EpochChanged):
        await broker.push([Push(spec=make_spec())])
    assert await other.client.dbsize() == 0
    await other.raise_epoch(3)
    assert await broker.push([Push(spec=make_spec())]) == [Pushed.NEW]
    assert broker.epoch == 3
    assert (await events(broker))[0].version == 3_000_000
    await other.close()


async def test_discard_removes_what_history_knows_as_ended(broker: Broker, session: Session) -> None:
    job_id = await push(broker)
    assert await broker.discard([(job_id, 1)]) == 1
    assert await broker.jobs([job_id]) == {}
    assert (await session.lane(0).step([], 1, QUEUES)).reserved == []
    assert await broker.counts(QUEUES) == {"default": {}}


async def test_workers_are_listed(broker: Broker, session: Session) -> None:
    await push(broker)
    await reserve_one(session)
    (worker,) = await broker.workers()
    assert (worker.id, worker.info.host, worker.active) == (session.id, "test", 1)


async def test_start_is_refused_with_an_eviction_policy(redis_url: str, redis_client: redis.asyncio.Redis) -> None:
    await redis_client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        with pytest.raises(RedisEvicts, match="allkeys-lru"):
            await Broker.open(redis_url, make_settings())
    finally:
        await redis_client.config_set("maxmemory-policy", "noeviction")


async def test_start_is_refused_without_redis() -> None:
    with pytest.raises(RedisUnreachable, match=r"redis://\*\*\*@127.0.0.1:1"):
        await Broker.open("redis://:secret@127.0.0.1:1", make_settings())


async def test_waiting_after_a_restart_does_not_read_the_stream_again_and_again(broker: Broker) -> None:
    for _ in range(5):
        await push(broker)
    last = await broker.stream.last()
    await broker.raise_epoch(2)
    assert await broker.stream.read(last, 100) == []
    await broker.client.config_resetstat()
    assert await broker.stream.read(last, 100, block_ms=200) == []
    assert (await broker.client.info("commandstats"))["cmdstat_xrange"]["calls"] <= 2
    await push(broker)
    assert len(await broker.stream.read(last, 100, block_ms=200)) == 1
