"""Steps of a SAQ job's life, and waiting for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import saq

from jobs.saq import Queue

NewQueue = Callable[..., Queue]


async def enqueue(queue: Queue, function: str, **options: Any) -> saq.Job:
    job = await queue.enqueue(function, **options)
    assert job is not None
    return job


async def dequeue(queue: Queue) -> saq.Job:
    job = await queue.dequeue(timeout=5)
    assert job is not None
    return job


async def ended(queue: Queue, job: saq.Job) -> saq.Job:
    await job.refresh(until_complete=10)
    return job


async def forget(queue: Queue) -> None:
    """What the recorder does once it has written everything to history."""
    broker = await queue.broker()
    await broker.forget(await broker.stream.last())
