"""A steady stream of jobs through the broker, as workers and the pusher make it; nothing is recorded."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec

from jobs.broker import Broker, Finished, Push, Reserved, WorkerInfo
from jobs.clock import new_id, now_ms
from jobs.job import JobSpec
from jobs.outcome import Complete

QUEUE = "bench"
EVENTS = 3
"""Of each job: enqueued, started, completed."""
KINDS = 100
"""Kinds of jobs, each of which has subscribers of its own."""
TICK_S = 0.02


def where_of(kind: int) -> dict[str, Any]:
    """The filter for one kind of jobs; filters are of several kinds as well."""
    match kind % 4:
        case 0 | 1:
            return {"tags": [f"tag-{kind}"]}
        case 2:
            return {"owners": [f"owner-{kind}"], "queues": [QUEUE]}
        case _:
            return {"text": f"tag:tag-{kind} task:bench"}


class Feeder:
    """Enqueues, starts and completes so many jobs a second: three events each, all kinds in turn."""

    def __init__(self, broker: Broker, jobs_per_s: float) -> None:
        self._broker = broker
        self.jobs_per_s = jobs_per_s
        self.jobs = 0
        self.fed = 0
        """In the last run."""
        self.kinds: dict[str, int] = {}
        """Of every job that was fed."""

    async def run(self, seconds: float) -> None:
        """Feed for so long, then end what has begun."""
        session = await self._broker.open_session(_worker())
        lane = session.lane(0)
        self.fed, began, running = 0, time.monotonic(), list[Reserved]()
        try:
            while (now := time.monotonic()) - began < seconds:
                due = int((now - began) * self.jobs_per_s) - self.fed
                await self._broker.push([Push(spec=self._spec(self.jobs + at)) for at in range(due)])
                self.jobs, self.fed = self.jobs + due, self.fed + due
                running = await self._step(session, lane, running, due)
                await asyncio.sleep(max(0.0, TICK_S - (time.monotonic() - now)))
            while running:
                running = await self._step(session, lane, running, 1_000)
        finally:
            await session.close()

    async def _step(self, session: Any, lane: Any, running: list[Reserved], want: int) -> list[Reserved]:
        done = [Finished(job.id, job.token, Complete('{"ok":true}')) for job in running]
        reserved: list[Reserved] = (await lane.step(done, want, [QUEUE])).reserved
        await session.start(reserved)
        return reserved

    def _spec(self, number: int) -> JobSpec:
        kind = number % KINDS
        job_id = new_id()
        self.kinds[job_id] = kind
        return JobSpec(
            id=job_id,
            task="bench",
            queue=QUEUE,
            created_ms=now_ms(),
            args=msgspec.Raw(b'{"kind":%d,"to":"somebody@example.com"}' % kind),
            tags=(f"tag-{kind}", "bench"),
            owner=f"owner-{kind}",
        )


def _worker() -> WorkerInfo:
    return WorkerInfo(
        host="bench", pid=0, version="0", queues=[QUEUE], tasks=["bench"], concurrency=1_000, started_ms=now_ms()
    )
