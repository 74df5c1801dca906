"""Stopping in order."""

from __future__ import annotations

import asyncio
import threading

import pytest
from structlog.testing import capture_logs

from jobs import Context
from jobs.broker import keys
from jobs.job import State
from jobs.worker import Engine
from tests.factories import make_settings
from tests.jobs.worker.works import Works
from tests.wait import eventually, until


async def test_what_runs_may_end(works: Works) -> None:
    go_on = asyncio.Event()

    @works.task()
    async def work() -> str:
        await go_on.wait()
        return "done"

    engine = await works.start()
    job_id = await works.push("work")
    await works.reach(job_id, State.ACTIVE)
    stopping = asyncio.create_task(engine.stop())
    late = await works.push("work")
    await asyncio.wait([stopping], timeout=0.2)
    assert not stopping.done()
    go_on.set()
    await stopping
    job = await works.job(job_id)
    assert (job.state, job.result) == (State.COMPLETED, "done")
    assert (await works.job(late)).state is State.QUEUED
    assert await works.broker.workers() == []


async def test_what_takes_longer_than_the_grace_is_given_back_and_runs_elsewhere(works: Works) -> None:
    runs: list[str] = []

    @works.task(max_attempts=1)
    async def work(ctx: Context) -> int:
        runs.append("begin")
        if len(runs) == 1:
            try:
                await asyncio.Event().wait()
            finally:
                runs.append("clean up")
        return ctx.attempt

    engine = await works.start(grace_s=0.1)
    job_id = await works.push("work")
    await works.reach(job_id, State.ACTIVE)
    await engine.stop()
    assert (await works.job(job_id)).state is State.QUEUED
    await works.start()
    job = await works.reach(job_id, State.COMPLETED)
    assert (job.result, job.crashes) == (2, 0)
    assert runs == ["begin", "clean up", "begin"]
    assert await works.kinds(job_id) == ["Enqueued", "Started", "Released", "Started", "Completed"]


async def test_a_thread_that_looks_ends_with_the_grace(works: Works) -> None:
    looked = threading.Event()

    @works.task()
    def work(ctx: Context) -> None:
        while not looked.wait(0.005):
            ctx.check()

    engine = await works.start(grace_s=0.1)
    job_id = await works.push("work")
    await works.reach(job_id, State.ACTIVE)
    await engine.stop()
    looked.set()
    assert (await works.kinds(job_id))[-1] == "Released"


async def test_a_thread_that_does_not_end_is_abandoned(works: Works, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.worker.tenure.CLEAN_UP_S", 0.1)
    release = threading.Event()

    @works.task()
    def stuck() -> str:
        release.wait(20)
        return "nobody listens"

    engine = await works.start(grace_s=0.05)
    job_id = await works.push("stuck")
    await works.reach(job_id, State.ACTIVE)
    await engine.stop()
    assert (await works.kinds(job_id))[-1] == "Released"
    release.set()


async def test_a_busy_worker_loses_nothing_when_it_stops(works: Works) -> None:
    ran: list[str] = []

    @works.task()
    async def small(ctx: Context) -> None:
        if len(ran) % 3 == 0:
            await asyncio.sleep(0)
        ran.append(ctx.job_id)

    ids = [await works.push("small") for _ in range(300)]
    engine = await works.start(concurrency=20)

    async def begun() -> bool:
        return len(ran) > 20

    await eventually(begun)
    await engine.stop()
    states = {job.state for job in (await works.broker.jobs(ids)).values()}
    assert states <= {State.COMPLETED, State.QUEUED}
    await works.start()
    for job_id in ids:
        await works.reach(job_id, State.COMPLETED)
    assert sorted(ran) == sorted(ids)


async def test_an_idle_worker_stops_at_once_and_stopping_twice_is_allowed(works: Works) -> None:
    engine = await works.start()
    async with asyncio.timeout(2):
        await asyncio.gather(engine.stop(), engine.stop())
        await engine.stop()


async def test_run_until_stopped(works: Works) -> None:
    engine = await works.start()
    running = asyncio.create_task(engine.run_until_stopped())

    @works.task()
    async def small() -> None: ...

    await works.run("small")
    engine.request_stop()
    async with asyncio.timeout(5):
        await running
    assert engine.session_id is None


async def test_a_worker_that_still_waits_for_redis_stops_at_once(works: Works) -> None:
    await works.broker.client.delete(keys.EPOCH)
    engine = Engine(works.broker, works.registry, make_settings())
    running = await waiting(engine)
    engine.request_stop()
    async with asyncio.timeout(2):
        await running


async def waiting(engine: Engine) -> asyncio.Task[None]:
    """Let it run until it says that it waits, or has ended."""
    with capture_logs() as logs:
        running = asyncio.create_task(engine.run_until_stopped())
        await until(lambda: running.done() or "worker.waits_for_broker" in [entry["event"] for entry in logs])
    return running


async def test_a_worker_outlives_whatever_keeps_it_from_its_lease(works: Works) -> None:
    @works.task()
    async def small() -> None: ...

    await works.broker.client.set(keys.LEASES, "damaged")
    engine = Engine(works.broker, works.registry, make_settings())
    running = await waiting(engine)
    await works.broker.client.delete(keys.LEASES)
    assert (await works.run("small")).state is State.COMPLETED
    engine.request_stop()
    await running


async def test_cancelling_the_worker_stops_it_in_order(works: Works) -> None:
    @works.task()
    async def work() -> None:
        await asyncio.Event().wait()

    engine = await works.start(grace_s=0.1)
    running = asyncio.create_task(engine.run_until_stopped())
    job_id = await works.push("work")
    await works.reach(job_id, State.ACTIVE)
    running.cancel()
    await asyncio.wait([running])
    await engine.stop()
    assert (await works.job(job_id)).state is State.QUEUED
