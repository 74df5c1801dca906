"""One step of a job's life at a time, and a clock of Redis that is put forward."""

from __future__ import annotations

import redis.asyncio

from jobs.broker import Broker, Finished, Push, Pushed, Reserved, Session, keys
from jobs.event import START, Event
from jobs.job import Failure
from jobs.outcome import Outcome
from tests.factories import make_spec

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


async def let_leases_run_out(broker: Broker, client: redis.asyncio.Redis) -> None:
    offset_ms = int(await client.get(keys.CLOCK) or 0)
    for _ in range(30):
        await broker.reap()
        if not await broker.workers():
            return
        offset_ms += 2_000
        await advance(client, offset_ms)
    raise AssertionError("a session does not end")
