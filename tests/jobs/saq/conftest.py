"""Our Queue, and a worker under it: SAQ's own or ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import saq
import saq.worker

from jobs.saq import Queue, Worker
from tests.jobs.saq.functions import FUNCTIONS, TIMERS
from tests.jobs.saq.steps import NewQueue

WORKERS = [saq.worker.Worker, Worker]


@pytest.fixture
async def new_queue(redis_url: str) -> AsyncIterator[NewQueue]:
    queues = []

    def make(name: str = "default", **options: Any) -> Queue:
        queues.append(Queue.from_url(redis_url, name=name, **options))
        return queues[-1]

    yield make
    for queue in queues:
        await queue.disconnect()


@pytest.fixture
def queue(new_queue: NewQueue) -> Queue:
    return new_queue()


@pytest.fixture(params=WORKERS, ids=["SAQ's worker", "our worker"])
async def worker(request: pytest.FixtureRequest, queue: Queue) -> AsyncIterator[saq.worker.Worker[Any]]:
    worker = request.param(queue, FUNCTIONS, timers=TIMERS)
    working = asyncio.create_task(worker.start())
    yield worker
    await worker.stop()
    await working
