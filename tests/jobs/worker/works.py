"""A small works for the tests of the worker: a broker, tasks, and engines that run them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from jobs.broker import Broker, Push
from jobs.event import START, JobEvent
from jobs.job import Job, State
from jobs.task import Registry, task
from jobs.worker import Engine
from tests.factories import make_settings, make_spec
from tests.wait import eventually


class Works:
    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.registry = Registry()
        self.engines: list[Engine] = []

    def task(self, **options: Any) -> Callable[[Callable[..., Any]], Any]:
        return task(**options, registry=self.registry)

    async def start(self, *, engine: dict[str, Any] | None = None, **settings: Any) -> Engine:
        values = {"renew_s": 0.1, "grace_s": 5.0, "concurrency": 10} | settings
        started = Engine(self.broker, self.registry, make_settings(**values), **engine or {})
        self.engines.append(started)
        await started.start()
        return started

    async def close(self) -> None:
        await asyncio.gather(*(engine.stop() for engine in self.engines))

    async def push(self, name: str, *, args: Any = None, **fields: Any) -> str:
        known = self.registry.get(name)
        if known is not None:
            definition = known.definition
            fields = {
                "max_attempts": definition.max_attempts,
                "backoff": definition.backoff,
                "timeout_s": definition.timeout_s,
            } | fields
        spec = make_spec(name, args=args, **fields)
        await self.broker.push([Push(spec=spec)])
        return spec.id

    async def job(self, job_id: str) -> Job:
        return (await self.broker.jobs([job_id]))[job_id]

    async def reach(self, job_id: str, *states: State, within_s: float = 10.0) -> Job:
        async def there() -> Job | None:
            job = await self.job(job_id)
            return job if job.state in states else None

        job: Job = await eventually(there, within_s=within_s, what=f"{job_id} to be {states}")
        return job

    async def started(self, job_id: str, times: int) -> None:
        """Wait until so many attempts have started."""

        async def so() -> bool:
            return (await self.kinds(job_id)).count("Started") >= times

        await eventually(so, what=f"{job_id} to start {times} times")

    async def begun(self, job_id: str) -> None:
        """Wait until the function itself has begun and said so with its progress."""

        async def so() -> bool:
            return "Progressed" in await self.kinds(job_id)

        await eventually(so, what=f"{job_id} to begin")

    async def run(self, name: str, *, args: Any = None, **fields: Any) -> Job:
        """Push a job and wait for its end."""
        job_id = await self.push(name, args=args, **fields)
        return await self.reach(job_id, State.COMPLETED, State.CANCELLED, State.DEAD)

    async def events(self, job_id: str) -> list[JobEvent]:
        return [event for _, event in await self.broker.stream.read(START, 100_000) if event.job == job_id]

    async def kinds(self, job_id: str) -> list[str]:
        return [type(event).__name__ for event in await self.events(job_id)]
