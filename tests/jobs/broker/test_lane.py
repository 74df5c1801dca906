"""What a lane gets: what has come or become due at once, and of every priority and queue its share."""

from __future__ import annotations

import asyncio

from jobs.broker import Broker, Push, Session
from jobs.event import Due, Enqueued
from jobs.job import Priority
from tests.factories import make_spec
from tests.jobs.broker.steps import QUEUES, events, push


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
