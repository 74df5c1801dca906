"""A worker that is told what to do while it works, and jobs that last as long as they are wanted."""

from __future__ import annotations

import asyncio
from typing import Any

from jobs import Context
from jobs.broker import Vitals, WorkerRecord, WorkerState, WorkerWish
from jobs.worker import Engine
from tests.jobs.worker.works import Works
from tests.wait import eventually


class Steered:
    """A worker whose tasks `hold` run until they are let go, and what is known of it."""

    def __init__(self, works: Works) -> None:
        self.works = works
        self.ran: list[str] = []
        self.go_on = asyncio.Event()
        self.engine: Engine

        @works.task()
        async def hold(ctx: Context) -> None:
            self.ran.append(ctx.job_id)
            await self.go_on.wait()

        @works.task()
        async def small(ctx: Context) -> None:
            self.ran.append(ctx.job_id)

    async def start(self, **options: Any) -> Steered:
        self.engine = await self.works.start(**options)
        return self

    async def record(self) -> WorkerRecord:
        return next(one for one in await self.works.broker.workers() if one.id == self.engine.session_id)

    async def tell(self, **wish: Any) -> Vitals:
        """Tell the worker, and wait until it says that it is so."""
        assert self.engine.session_id
        wanted = WorkerWish(**wish)
        assert await self.works.broker.steer(self.engine.session_id, wanted)
        return await self.until_like(wanted)

    async def until_like(self, wanted: WorkerWish) -> Vitals:
        async def alike() -> Vitals | None:
            vitals = (await self.record()).vitals if self.engine.session_id else None
            if vitals is None or (vitals.state is WorkerState.QUIET) != wanted.quiet:
                return None
            if wanted.concurrency and vitals.concurrency != wanted.concurrency:
                return None
            return None if wanted.queues and vitals.queues != wanted.queues else vitals

        vitals: Vitals = await eventually(alike, what=f"the worker to be {wanted}")
        return vitals

    async def until_running(self, count: int) -> None:
        async def so_many() -> bool:
            vitals = (await self.record()).vitals
            return vitals is not None and vitals.active == count

        await eventually(so_many, what=f"{count} running jobs")
