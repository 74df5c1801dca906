"""Cancelling from another process: every kind of job that can end has ended within two seconds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from jobs import Context
from jobs.broker import Broker
from jobs.event import Logged
from jobs.job import State
from tests.factories import make_settings
from tests.jobs.worker.isolated_tasks import registry
from tests.jobs.worker.works import Works

WITHIN_S = 2.0
KILLED = ["Its process was killed: it had been told to end and went on."]


@pytest.fixture
async def elsewhere(works: Works, redis_url: str) -> AsyncIterator[Broker]:
    """What another process would cancel with."""
    broker = await Broker.open(redis_url, make_settings())
    await broker.refresh_epoch()
    yield broker
    await broker.close()


async def cancelled_within_s(works: Works, elsewhere: Broker, job_id: str) -> float:
    began = time.monotonic()
    await elsewhere.cancel([job_id])
    await works.reach(job_id, State.CANCELLED)
    return time.monotonic() - began


async def test_coroutines_and_threads_that_look(works: Works, elsewhere: Broker) -> None:
    @works.task(timeout=0)
    async def coroutine(ctx: Context) -> None:
        await ctx.progress(1)
        await asyncio.Event().wait()

    @works.task(timeout=0)
    def thread(ctx: Context) -> None:
        ctx.progress(1)
        while True:
            time.sleep(0.01)
            ctx.check()

    await works.start(renew_s=1.0)  # as the settings have it
    ids = [await works.push(name) for name in ("coroutine", "thread")]
    for job_id in ids:
        await works.begun(job_id)
    took_s = await asyncio.gather(*(cancelled_within_s(works, elsewhere, job_id) for job_id in ids))
    assert max(took_s) < WITHIN_S


@pytest.mark.parametrize(
    ("name", "says"), [("patient", []), ("hang", ["cleaned up"]), ("stuck_for_ever", KILLED), ("stuck_async", KILLED)]
)
async def test_processes_whatever_they_do(works: Works, elsewhere: Broker, name: str, says: list[str]) -> None:
    works.registry = registry
    await works.start(renew_s=1.0)
    job_id = await works.push(name)
    await works.begun(job_id)
    assert await cancelled_within_s(works, elsewhere, job_id) < WITHIN_S
    assert [event.message for event in await works.events(job_id) if isinstance(event, Logged)] == says
