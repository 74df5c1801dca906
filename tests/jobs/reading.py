"""Subscribers, and what they are given to read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from jobs.client import Client
from jobs.commands import EnqueueRequest
from jobs.event import JobEvent
from jobs.feed import EventSubscription, GapReason
from jobs.job import Job
from jobs.viewer import Role, Viewer
from tests.wait import until

VIEWER = Viewer(id="v", name="viewer", role=Role.OPERATOR)
T = TypeVar("T")


async def enqueue(client: Client, task: str = "noop", **fields: Any) -> Job:
    return (await client.commands.job.enqueue(VIEWER, EnqueueRequest(task=task, **fields))).job


async def enqueue_many(client: Client, count: int) -> None:
    done = client.pusher.pushed + count
    await client.commands.job.enqueue_many(VIEWER, [EnqueueRequest(task="noop") for _ in range(count)])
    await until(lambda: client.pusher.pushed == done)


async def following(stream: AsyncIterator[T]) -> T:
    return await asyncio.wait_for(anext(stream), 10)


@asynccontextmanager
async def counting(owner: Any, name: str) -> AsyncIterator[list[Any]]:
    """Note the calls of a method meanwhile."""
    calls: list[Any] = []
    method = getattr(owner, name)

    async def counted(*given: Any, **named: Any) -> Any:
        calls.append(given)
        return await method(*given, **named)

    setattr(owner, name, counted)
    try:
        yield calls
    finally:
        delattr(owner, name)


class Reading:
    """What one subscription has delivered."""

    def __init__(self, subscription: EventSubscription) -> None:
        self.subscription = subscription
        self.events: list[tuple[str, JobEvent]] = []
        self.gaps: list[GapReason] = []
        self.cursor = ""

    async def batch(self) -> None:
        batch = await following(self.subscription)
        self.events += batch.events
        self.cursor = batch.end_cursor
        if batch.gap:
            self.gaps.append(batch.gap.reason)

    async def until(self, count: int) -> list[JobEvent]:
        """Read until there are so many events."""
        while len(self.events) < count:
            await self.batch()
        return [event for _, event in self.events]

    async def gap(self) -> GapReason:
        while not self.gaps:
            await self.batch()
        return self.gaps[-1]
