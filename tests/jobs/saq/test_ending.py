"""How an attempt of a SAQ job ends, and who may still have a say."""

from __future__ import annotations

import asyncio
from typing import Any

import saq
import saq.worker
from saq.job import Status

from jobs.job import State
from jobs.saq import Queue
from tests.jobs.saq.functions import TIMERS
from tests.jobs.saq.steps import NewQueue, dequeue, ended, enqueue


async def test_final_state_stays_final(queue: Queue) -> None:
    job = await enqueue(queue, "add", a=1)
    held = await dequeue(queue)
    await held.update(status=Status.ACTIVE)
    await held.finish(Status.COMPLETE, result=7)

    await job.abort("too late")
    await job.finish(Status.FAILED, error="too late")
    await job.update(meta={"late": True})
    await job.retry("too late")

    await job.refresh()
    assert (job.status, job.result, job.error, job.meta) == (Status.COMPLETE, 7, None, {})


async def test_whoever_has_no_token_uses_the_current_one(queue: Queue, new_queue: NewQueue) -> None:
    outside = new_queue()
    job = await enqueue(outside, "add", a=1)
    await (await dequeue(queue)).update(status=Status.ACTIVE)

    await job.finish(Status.COMPLETE, result=1)
    await job.refresh()
    assert (job.status, job.attempts) == (Status.COMPLETE, 1)

    by_hand = await enqueue(outside, "add", a=1)
    await by_hand.finish(Status.COMPLETE, result=2)
    await by_hand.refresh()
    assert (by_hand.status, by_hand.attempts) == (Status.COMPLETE, 1)
    assert await queue.dequeue(timeout=0.05) is None


async def test_retry_waits_for_its_delay(queue: Queue) -> None:
    job = await enqueue(queue, "fail", retries=2, retry_delay=30)
    held = await dequeue(queue)
    await held.update(status=Status.ACTIVE)
    await held.retry("Traceback\n  in f\nValueError: oops")

    await job.refresh()
    assert (job.status, job.attempts, job.started) == (Status.QUEUED, 1, 0)
    assert job.error is not None
    assert job.error.endswith("ValueError: oops")
    assert (await queue.count("queued"), await queue.count("incomplete")) == (0, 1)
    broker = await queue.broker()
    live = (await broker.jobs((await broker.ids())[1])).popitem()[1]
    assert live.error is not None
    assert (live.state, live.error.type, live.error.message) == (State.RETRYING, "ValueError", "oops")


async def test_job_that_missed_its_heartbeat_is_stopped_and_retried(queue: Queue) -> None:
    began = []

    async def silent(_: Any) -> None:
        began.append(1)
        await asyncio.Event().wait()

    worker = saq.worker.Worker(queue, [("silent", silent)], timers=TIMERS)
    working = asyncio.create_task(worker.start())
    job = await enqueue(queue, "silent", heartbeat=0.3, retries=2, timeout=60)
    await ended(queue, job)
    await worker.stop()
    await working

    assert (job.status, job.error, len(began)) == (Status.FAILED, "swept", 2)
