"""Jobs whose process ends while they run."""

from __future__ import annotations

import redis.asyncio

from jobs.broker import Broker, Push
from jobs.event import Died
from jobs.job import Reason, State
from jobs.outcome import Complete
from tests.factories import make_spec, make_worker_info
from tests.jobs.broker.steps import QUEUES, advance, events, finish, push, start_one


async def test_third_crash_is_poison(broker: Broker, redis_client: redis.asyncio.Redis) -> None:
    job_id = await push(broker)
    for crash in range(1, 4):
        session = await broker.open_session(make_worker_info())
        await start_one(session)
        await broker.reap()
        for step in range(3):
            await advance(redis_client, crash * 12_000 - 8_000 + step * 4_000)
            await broker.reap()
        await session.close()
    job = (await broker.jobs([job_id]))[job_id]
    assert (job.state, job.reason, job.crashes) == (State.DEAD, Reason.POISON, 3)
    assert isinstance((await events(broker))[-1], Died)


async def test_a_suspect_in_a_process_of_its_own_is_not_charged_with_a_lost_worker(
    broker: Broker, redis_client: redis.asyncio.Redis
) -> None:
    spec = make_spec()
    await broker.push([Push(spec=spec, crashes=2)])
    for loss in range(1, 11):
        session = await broker.open_session(make_worker_info())
        session.lane(0).suspects_max = 4
        await start_one(session)
        await broker.reap()
        for step in range(3):
            await advance(redis_client, loss * 12_000 - 8_000 + step * 4_000)
            await broker.reap()
        await session.close()
        job = (await broker.jobs([spec.id]))[spec.id]
        assert (job.state, job.crashes) == ((State.QUEUED, 2) if loss < 10 else (State.DEAD, 3))


async def crash(broker: Broker, client: redis.asyncio.Redis, began_ms: int) -> list[str]:
    """A session starts what it gets, and dies. Returns what it had."""
    session = await broker.open_session(make_worker_info())
    jobs = (await session.lane(0).step([], 10, QUEUES)).reserved
    assert all(await session.start(jobs))
    await broker.reap()
    for step in range(3):
        await advance(client, began_ms + 4_000 * (step + 1))
        await broker.reap()
    await session.close()
    return [job.id for job in jobs]


async def test_a_killer_does_not_take_its_neighbours_with_it(broker: Broker, redis_client: redis.asyncio.Redis) -> None:
    ids = [await push(broker) for _ in range(4)]
    killer = ids[1]
    for round_number in range(2):
        assert sorted(await crash(broker, redis_client, round_number * 12_000)) == sorted(ids)
    session = await broker.open_session(make_worker_info())
    ended: list[str] = []
    while True:
        (job,) = (await session.lane(0).step([], 10, QUEUES)).reserved
        assert await session.start([job]) == [True]
        if job.id == killer:
            break
        assert (await session.lane(0).step([], 10, QUEUES)).reserved == [], "one suspect at a time"
        await finish(session, job, Complete("1"))
        ended.append(job.id)
    for step in range(3):
        await broker.reap()
        await advance(redis_client, 28_000 + 4_000 * step)
    await broker.reap()
    assert (await broker.jobs([killer]))[killer].reason is Reason.POISON
    other = await broker.open_session(make_worker_info())
    while reserved := (await other.lane(0).step([], 10, QUEUES)).reserved:
        assert await other.start(reserved) == [True]
        await finish(other, reserved[0], Complete("1"))
        ended.append(reserved[0].id)
    assert sorted([*ended, killer]) == sorted(ids)
    await session.close()
    await other.close()
