"""Sessions of workers: who is there, who is lost, and what becomes of the jobs of those that go."""

from __future__ import annotations

import asyncio

import pytest
import redis.asyncio

from jobs.broker import Broker, Finished, Push, Session, SessionLost
from jobs.event import Reaped
from jobs.job import State
from jobs.outcome import Complete
from tests.factories import make_spec, make_vitals, make_worker_info
from tests.jobs.broker.steps import QUEUES, advance, events, push, reserve_one, start_one


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


async def test_workers_are_listed(broker: Broker, session: Session) -> None:
    await push(broker)
    await reserve_one(session)
    (worker,) = await broker.workers()
    assert (worker.id, worker.info.host, worker.active) == (session.id, "test", 1)
