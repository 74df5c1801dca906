"""What the queue tells of its jobs."""

from __future__ import annotations

import asyncio

import pytest
import saq
from saq.job import Status

from jobs.broker import Finished, Lane
from jobs.job import State
from jobs.outcome import Complete
from jobs.saq import Queue
from jobs.saq.job import HeldJob
from jobs.saq.status import STATUS, status_of
from tests.jobs.saq.steps import dequeue, enqueue


async def test_info_lists_what_has_not_ended(queue: Queue) -> None:
    for scheduled in (0, 0, saq.utils.now_seconds() + 60):
        await enqueue(queue, "add", a=1, scheduled=scheduled)
    await (await dequeue(queue)).update(status=Status.ACTIVE)

    info = await queue.info(jobs=True)
    assert (info["queued"], info["active"], info["scheduled"]) == (1, 1, 1)
    assert sorted(job["status"] for job in info["jobs"]) == ["active", "queued", "queued"]
    assert len((await queue.info(jobs=True, offset=1, limit=1))["jobs"]) == 1
    assert len([job async for job in queue.iter_jobs([Status.ACTIVE])]) == 1


async def test_listener_hears_of_an_end_that_came_before_it(queue: Queue) -> None:
    job = await enqueue(queue, "add", a=1)
    await job.finish(Status.COMPLETE)
    heard = []

    def hear(key: str, status: Status) -> bool:
        heard.append((key, status))
        return True

    await queue.listen([job.key], hear, timeout=5)
    assert heard == [(job.key, Status.COMPLETE)]

    forgotten = await enqueue(queue, "add", a=1)
    listening = asyncio.create_task(queue.listen([forgotten.key], lambda *_: False, timeout=0))
    await forgotten.update()
    await (await queue.broker()).discard([(msg, 1) for msg in (await (await queue.broker()).ids())[1]])
    async with asyncio.timeout(5):
        await listening
    with pytest.raises(TimeoutError):
        await queue.listen(["unknown"], lambda *_: True, timeout=0.05)


async def test_job_with_no_ttl_is_gone_at_its_end(queue: Queue) -> None:
    job = await enqueue(queue, "add", a=1, ttl=-1)
    held = await dequeue(queue)
    await held.update(status=Status.ACTIVE)
    assert await queue.job(job.key) is not None
    assert isinstance(held, HeldJob)
    assert held.reserved is not None
    # The step that ends it, and not yet what follows: the note that removes its record.
    lane = (await (await queue.desk()).session()).lane(1)
    await Lane.step(lane, [Finished(held.reserved.id, held.reserved.token, Complete("1"))], 0, [])

    assert await queue.job(job.key) is None


def test_every_state_has_a_status() -> None:
    assert set(STATUS) == set(State)
    assert status_of(State.ACTIVE, cancel_requested=True) is Status.ABORTING
    assert status_of(State.COMPLETED, cancel_requested=True) is Status.COMPLETE
