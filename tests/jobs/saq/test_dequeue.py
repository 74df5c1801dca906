"""What SAQ's dequeue hands out, and what comes back of it."""

from __future__ import annotations

import asyncio

import saq
from saq.job import Status

from jobs.broker import Push
from jobs.job import State
from jobs.saq import Queue
from tests.factories import make_spec
from tests.jobs.saq.steps import NewQueue, dequeue, enqueue


async def test_cancelled_dequeue_loses_no_job(queue: Queue) -> None:
    got: list[saq.Job] = []
    for turns in range(30):
        waiting = asyncio.create_task(queue.dequeue())
        await asyncio.sleep(0)
        await enqueue(queue, "add", a=turns)
        for _ in range(turns):
            await asyncio.sleep(0)
        waiting.cancel()
        got += [job for job in await asyncio.gather(waiting, return_exceptions=True) if isinstance(job, saq.Job)]

    assert len(got) < 30
    while len(got) < 30:
        got.append(await dequeue(queue))
    assert len({job.key for job in got}) == 30
    assert await queue.dequeue(timeout=0.01) is None


async def test_jobs_not_started_go_back_at_disconnect(new_queue: NewQueue) -> None:
    first, second = new_queue(), new_queue()
    await enqueue(first, "add", a=1)
    await dequeue(first)

    await first.disconnect()

    assert (await dequeue(second)).attempts == 0


async def test_jobs_of_others_are_served_too(queue: Queue) -> None:
    broker = await queue.broker()
    spec = make_spec("add", args={"a": 1}, key="mine", max_attempts=2)
    await broker.push([Push(spec=spec)])

    job = await dequeue(queue)
    assert (job.key, job.kwargs, job.retries) == (spec.id, {"a": 1}, 2)
    await job.update(status=Status.ACTIVE)
    await job.finish(Status.COMPLETE, result=1)
    assert (await broker.jobs([spec.id]))[spec.id].state is State.COMPLETED
