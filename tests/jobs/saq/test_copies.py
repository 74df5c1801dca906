"""Copies of jobs, as SAQ's HTTP proxy passes them on: each speaks for the attempt that it was dequeued in."""

from __future__ import annotations

import json
from typing import Any

import pytest
import saq
from saq.job import Status
from saq.queue.http import HttpProxy, HttpQueue

from jobs.broker import keys
from jobs.errors import BrokerUnavailable
from jobs.saq import Queue
from tests.jobs.saq.steps import NewQueue, enqueue


class Near(HttpQueue):
    """SAQ's HTTP queue without the HTTP."""

    def __init__(self, queue: Queue) -> None:
        super().__init__("http://near", name=queue.name)
        self._proxy = HttpProxy(queue)

    async def _send(self, kind: str, **kwargs: Any) -> str:
        return await self._proxy.process(json.dumps({"kind": kind, **kwargs})) or ""


async def start(queue: Near) -> saq.Job:
    job = await queue.dequeue(timeout=5)
    assert job is not None
    job.attempts += 1
    await job.update(status=Status.ACTIVE)
    return job


async def test_copy_of_an_earlier_attempt_has_no_effect(queue: Queue, new_queue: NewQueue) -> None:
    job = await enqueue(queue, "add", a=1, retries=3, meta={"tenant": 7})
    # The second proxy does not know what the first one has handed out.
    far, other = Near(queue), Near(new_queue())
    old = await start(far)
    await far.retry(old, "once")
    new = await start(far)

    for proxy in (far, other):
        await proxy.retry(old, "twice")
        await proxy.finish(old, Status.COMPLETE, result="old")
        await proxy.update(old, progress=0.9)
    await job.refresh()
    assert (job.status, job.attempts, job.progress) == (Status.ACTIVE, 2, 0.0)
    assert await queue.count("queued") == 0

    await other.finish(new, Status.COMPLETE, result="new")
    await job.refresh()
    assert (job.status, job.result, job.meta) == (Status.COMPLETE, "new", {"tenant": 7})


async def test_job_that_came_too_late_is_not_said_to_be_there_already(queue: Queue) -> None:
    broker = await queue.broker()
    await broker.client.set(f"{keys.PREFIX}:began", await broker.now_ms() + 60_000)

    with pytest.raises(BrokerUnavailable):
        await queue.enqueue("add", a=1)
