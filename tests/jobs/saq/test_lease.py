"""A worker whose lease ran out."""

from __future__ import annotations

import pytest
import redis
from saq.job import Status

from jobs.broker import Broker, keys
from jobs.errors import Stale
from tests.factories import make_settings
from tests.jobs.broker.watch import dump, restore
from tests.jobs.saq.steps import NewQueue, dequeue, enqueue
from tests.redis_server import RedisServer


async def lose_leases(broker: Broker) -> None:
    """Let the time pass after which the reaper takes the jobs of all sessions that nobody renews."""
    for seconds in range(0, 16, 4):
        await broker.client.set(keys.CLOCK, seconds * 1000)
        await broker.reap()


async def test_stale_worker_has_no_effect(new_queue: NewQueue) -> None:
    settings = make_settings(renew_s=3600)
    frozen, other = new_queue(settings=settings), new_queue()
    job = await enqueue(frozen, "add", a=1, retries=3)
    old = await dequeue(frozen)
    await old.update(status=Status.ACTIVE)
    broker = await other.broker()
    await lose_leases(broker)

    new = await dequeue(other)
    await new.update(status=Status.ACTIVE)
    await old.finish(Status.COMPLETE, result="old")
    await old.update(progress=0.9)
    await job.refresh()
    assert (job.status, job.progress) == (Status.ACTIVE, 0.0)

    await new.finish(Status.COMPLETE, result="new")
    await job.refresh()
    assert (job.status, job.result) == (Status.COMPLETE, "new")
    assert (frozen.complete, other.complete) == (0, 1)


async def test_worker_that_lost_its_session_opens_another(new_queue: NewQueue) -> None:
    queue = new_queue(settings=make_settings(renew_s=3600))
    await enqueue(queue, "add", a=1)
    job = await dequeue(queue)
    broker = await queue.broker()
    await lose_leases(broker)

    with pytest.raises(Stale):
        await job.update(status=Status.ACTIVE)
    again = await dequeue(queue)
    await again.update(status=Status.ACTIVE)
    await again.finish(Status.COMPLETE)
    assert queue.complete == 1


async def test_what_an_older_copy_of_redis_believes_the_desk_has_runs_again(
    new_queue: NewQueue, redis_server: RedisServer
) -> None:
    """The process and its lease outlive the loss, so no reaper takes back what has ended there already."""
    queue = new_queue(settings=make_settings(renew_s=0.1))
    jobs = [await enqueue(queue, "add", key=key, a=1) for key in ("ended", "running")]
    ended, running = [await dequeue(queue) for _ in jobs]
    for job in (ended, running):
        await job.update(status=Status.ACTIVE)
    with redis.Redis.from_url(redis_server.url) as client:
        copy = dump(client)
        await ended.finish(Status.COMPLETE, result=1)
        restore(client, copy)
    broker = await queue.broker()
    (worker,) = await broker.workers()
    await broker.raise_epoch(broker.epoch + 1)
    again = await dequeue(queue)
    assert again.key == "ended"
    await again.update(status=Status.ACTIVE)
    for job in (again, running):
        await job.finish(Status.COMPLETE, result=2)
    for job in jobs:
        await job.refresh()
        assert (job.status, job.result, job.attempts) == (Status.COMPLETE, 2, 2 if job.key == "ended" else 1)
    assert [one.id for one in await broker.workers()] == [worker.id]
