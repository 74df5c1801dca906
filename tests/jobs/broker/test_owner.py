"""Who owns a job is decided by leases and tokens, whatever clocks, timeouts and dead workers say."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
import redis.asyncio
import time_machine

from jobs.broker import Broker, Cancelling, Push, Session, SessionLost
from jobs.clock import now_ms
from jobs.event import START, Cancelled, Reaped
from jobs.job import Failure, Reason, State
from jobs.outcome import Complete, Die, RetryLater
from tests.factories import make_spec, make_vitals, make_worker_info
from tests.jobs.broker.steps import QUEUES, advance, finish, let_leases_run_out, push, reserve_one, start_one


@pytest.mark.parametrize("timeout_s", [0, 120])
async def test_a_dead_workers_job_does_not_wait_for_its_timeout(
    broker: Broker, redis_client: redis.asyncio.Redis, timeout_s: float
) -> None:
    job_id = await push(broker, timeout_s=timeout_s, max_attempts=1)
    dead = await broker.open_session(make_worker_info())
    await start_one(dead)
    await let_leases_run_out(broker, redis_client)
    live = await broker.open_session(make_worker_info())
    again = await start_one(live)
    assert (again.id, again.attempt, again.uncharged) == (job_id, 2, 1)
    await dead.close()
    await live.close()


async def test_a_job_whose_worker_is_dead_can_be_cancelled(broker: Broker, redis_client: redis.asyncio.Redis) -> None:
    job_id = await push(broker)
    dead = await broker.open_session(make_worker_info())
    await start_one(dead)
    assert await broker.cancel([job_id]) == [Cancelling.REQUESTED]
    await let_leases_run_out(broker, redis_client)
    assert (await broker.jobs([job_id]))[job_id].state is State.CANCELLED
    assert isinstance((await broker.stream.read(START, 100))[-1][1], Cancelled)
    await dead.close()


async def test_a_frozen_worker_that_thaws_changes_nothing(broker: Broker, redis_client: redis.asyncio.Redis) -> None:
    job_id = await push(broker)
    frozen = await broker.open_session(make_worker_info())
    old = await start_one(frozen)
    await let_leases_run_out(broker, redis_client)
    live = await broker.open_session(make_worker_info())
    new = await start_one(live)
    with pytest.raises(SessionLost):
        await finish(frozen, old, Complete('"old"'))
    thawed = await broker.open_session(make_worker_info())
    assert await finish(thawed, old, Die(Reason.NOT_RETRYABLE, Failure(type="x", message="y"))) == [job_id]
    assert await finish(live, new, Complete('"new"')) == []
    assert await finish(thawed, old, Complete('"old"')) == [job_id]
    assert (await broker.jobs([job_id]))[job_id].result == "new"
    for session in (frozen, live, thawed):
        await session.close()


@pytest.mark.parametrize("seconds", [-30, 30])
async def test_a_workers_clock_does_not_matter(broker: Broker, seconds: int) -> None:
    """Only the times of Redis count, for leases and for what is due."""
    real_ms = now_ms()
    with time_machine.travel(timedelta(seconds=seconds), tick=True):
        assert abs(now_ms() - real_ms) > 20_000
        session = await broker.open_session(make_worker_info())
        spec = make_spec()
        await broker.push([Push(spec=spec)])
        job = await start_one(session)
        assert not (await asyncio.to_thread(session.renew, make_vitals())).lost
        for _ in range(3):
            assert await broker.reap() == ([], [])
        await finish(session, job, RetryLater(Failure(type="x", message="y"), 20_000))
        step = await session.lane(0).step([], 1, QUEUES)
        assert step.reserved == []
        scheduled_ms = (await broker.jobs([spec.id]))[spec.id].scheduled_ms
        await session.close()
    assert scheduled_ms is not None
    assert 0 <= scheduled_ms - real_ms - 20_000 < 5_000


async def test_only_the_lease_decides_who_is_dead(
    broker: Broker, session: Session, redis_client: redis.asyncio.Redis
) -> None:
    """Slow answers and jobs that say nothing for long are no reason to run them twice."""
    await push(broker)
    job = await start_one(session)
    await broker.reap()
    for seconds in range(3, 60, 3):
        await advance(redis_client, seconds * 1_000)
        assert not (await asyncio.to_thread(session.renew, make_vitals())).lost
        assert await broker.reap() == ([], [])
    assert await finish(session, job, Complete("1")) == []
    assert not any(isinstance(event, Reaped) for _, event in await broker.stream.read(START, 100))


async def test_a_reserved_job_of_a_dead_worker_was_never_an_attempt(
    broker: Broker, redis_client: redis.asyncio.Redis
) -> None:
    job_id = await push(broker)
    dead = await broker.open_session(make_worker_info())
    await reserve_one(dead)
    await let_leases_run_out(broker, redis_client)
    live = await broker.open_session(make_worker_info())
    again = await reserve_one(live)
    assert (again.id, again.attempt, again.crashes) == (job_id, 1, 0)
    await dead.close()
    await live.close()
