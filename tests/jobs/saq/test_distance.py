"""A worker far from Redis, and others beside it that look for dead workers as fast as they can."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from saq.job import Status

from jobs.event import START
from jobs.saq import Queue
from tests.factories import make_settings
from tests.jobs.saq.conftest import WORKERS
from tests.jobs.saq.steps import NewQueue, enqueue
from tests.tcp_proxy import TcpProxy
from tests.wait import eventually

JOBS = 60
ONE_WAY_S = 0.15
LEASE_S = 2.5


@pytest.mark.parametrize("make", WORKERS, ids=["SAQ's worker", "our worker"])
async def test_each_job_of_a_distant_worker_of_saq_runs_once(make: Any, redis_url: str, new_queue: NewQueue) -> None:
    ran: list[int] = []

    async def run(_: Any, *, number: int) -> None:
        await asyncio.sleep(0.1)
        ran.append(number)

    near = new_queue()
    broker = await near.broker()
    swept: list[str] = []

    async def ended() -> bool:
        swept.extend(await near.sweep() + await near.schedule())
        return {job.status for job in await near.jobs(keys) if job} == {Status.COMPLETE}

    with TcpProxy(redis_url) as proxy:
        far = Queue.from_url(proxy.url, settings=make_settings(lease_s=LEASE_S, renew_s=0.3))
        keys = [(await enqueue(near, "run", number=number, retries=3)).key for number in range(JOBS)]
        proxy.delay_s = ONE_WAY_S
        worker = make(far, [("run", run)], concurrency=10, timers={"sweep": 1})
        working = asyncio.create_task(worker.start())
        (begun,) = await eventually(broker.workers)
        await eventually(ended, within_s=40)
        (seen,) = await broker.workers()
        await worker.stop()
        await working
        await far.disconnect()
    assert swept == []
    assert Counter(ran) == dict.fromkeys(range(JOBS), 1)
    kinds = Counter(type(event).__name__ for _, event in await broker.stream.read(START, 100_000))
    assert (kinds["Started"], kinds["Completed"], kinds["Reaped"]) == (JOBS, JOBS, 0)
    assert seen.id == begun.id
    assert seen.seen_ms - begun.seen_ms > LEASE_S * 1000  # or nobody had to renew anything
