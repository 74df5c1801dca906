"""That jobs which share an asyncio task cannot tell."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import Any

from jobs import Context
from jobs.job import State
from tests.jobs.worker.works import Works

colour: contextvars.ContextVar[str] = contextvars.ContextVar("colour", default="none")


async def run_many(works: Works, name: str, count: int) -> None:
    ids = [await works.push(name) for _ in range(count)]
    await works.start(concurrency=count)
    for job_id in ids:
        await works.reach(job_id, State.COMPLETED)


async def test_context_variables_do_not_leak(works: Works) -> None:
    seen: list[str] = []

    @works.task()
    async def paint(ctx: Context) -> None:
        seen.append(colour.get())
        colour.set(ctx.job_id)

    await run_many(works, "paint", 20)
    assert seen == ["none"] * 20


async def test_context_variables_do_not_leak_between_threads(works: Works) -> None:
    seen: list[str] = []

    @works.task()
    def paint(ctx: Context) -> None:
        seen.append(colour.get())
        colour.set(ctx.job_id)

    await run_many(works, "paint", 20)
    assert seen == ["none"] * 20


async def test_a_job_that_waits_has_its_asyncio_task_to_itself(works: Works) -> None:
    tasks: list[Any] = []

    @works.task()
    async def wait() -> None:
        tasks.append(asyncio.current_task())
        async with asyncio.timeout(5), asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(0.001))

    await run_many(works, "wait", 20)
    assert len(set(tasks)) == 20


async def test_jobs_that_do_not_wait_share_one(works: Works) -> None:
    tasks: list[Any] = []

    @works.task()
    async def quick() -> None:
        tasks.append(asyncio.current_task())

    await run_many(works, "quick", 20)
    assert len(set(tasks)) < 20


async def test_no_more_jobs_than_slots_run_at_a_time(works: Works) -> None:
    running, most = 0, 0

    @works.task()
    async def wait() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.002)
        running -= 1

    ids = [await works.push("wait") for _ in range(100)]
    await works.start(concurrency=7)
    for job_id in ids:
        await works.reach(job_id, State.COMPLETED)
    assert most == 7


async def test_threads_run_side_by_side(works: Works) -> None:
    barrier = threading.Barrier(5)

    @works.task()
    def meet() -> None:
        barrier.wait(10)

    await works.start(concurrency=5)
    ids = [await works.push("meet") for _ in range(5)]
    for job_id in ids:
        await works.reach(job_id, State.COMPLETED)


async def test_a_worker_with_one_slot_takes_every_job(works: Works) -> None:
    @works.task()
    async def quick() -> None: ...

    await works.start(concurrency=1)
    for _ in range(5):
        assert (await works.run("quick")).state is State.COMPLETED


async def test_two_workers_share_a_queue(works: Works) -> None:
    go_on = asyncio.Event()

    @works.task()
    async def wait(ctx: Context) -> None:
        await go_on.wait()

    await works.start(concurrency=3)
    await works.start(concurrency=3)
    ids = [await works.push("wait") for _ in range(6)]
    for job_id in ids:
        await works.reach(job_id, State.ACTIVE, within_s=3)
    workers = {(await works.job(job_id)).worker for job_id in ids}
    assert len(workers) == 2
    go_on.set()
