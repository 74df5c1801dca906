"""Attempts that are to end before they do: by a timeout, by a cancel, or because they would take the worker down."""

from __future__ import annotations

import asyncio
import sys
import threading
import time

import pytest

from jobs import Context, fixed
from jobs.job import Reason, State
from tests.jobs.worker.works import Works
from tests.wait import eventually


async def test_a_coroutine_past_its_timeout(works: Works) -> None:
    cleaned: list[str] = []

    @works.task(timeout=0.05, max_attempts=2, backoff=fixed(0.01))
    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append("up")

    await works.start()
    job = await works.run("hang")
    assert (job.state, job.reason, job.attempts) == (State.DEAD, Reason.ATTEMPTS_EXHAUSTED, 2)
    assert job.error is not None
    assert job.error.type == "TIMEOUT"
    assert "test_interrupts.py" in job.error.stack
    assert cleaned == ["up", "up"]


async def test_a_thread_past_its_timeout_keeps_its_slot_until_it_ends(works: Works) -> None:
    release, running = threading.Event(), []

    @works.task(timeout=0.05, max_attempts=1)
    def hang(ctx: Context) -> str:
        running.append(1)
        release.wait(10)
        assert ctx.cancelled
        return "too late"

    @works.task()
    async def small() -> None: ...

    await works.start(concurrency=1)
    hanging = await works.push("hang")
    waiting = await works.push("small")
    await works.reach(hanging, State.ACTIVE)

    async def said_so() -> bool:
        return "Logged" in await works.kinds(hanging)

    await eventually(said_so)
    assert (await works.job(hanging)).state is State.ACTIVE
    assert (await works.job(waiting)).state is State.QUEUED
    release.set()
    job = await works.reach(hanging, State.DEAD)
    assert job.error is not None
    assert job.error.type == "TIMEOUT"
    await works.reach(waiting, State.COMPLETED)
    assert running == [1]


async def test_a_thread_can_look_whether_it_is_to_end(works: Works) -> None:
    @works.task(timeout=0.05, max_attempts=1)
    def patient(ctx: Context) -> None:
        while True:
            time.sleep(0.005)
            ctx.check()

    await works.start()
    job = await works.run("patient")
    assert job.error is not None
    assert job.error.type == "TIMEOUT"


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_cancelling_a_running_job(works: Works, kind: str) -> None:
    if kind == "async":

        @works.task(name="endless")
        async def endless() -> None:
            await asyncio.Event().wait()

    else:

        @works.task(name="endless")
        def endless(ctx: Context) -> None:
            while not ctx.cancelled:
                time.sleep(0.005)
            ctx.check()

    await works.start()
    job_id = await works.push("endless")
    await works.reach(job_id, State.ACTIVE)
    await works.broker.cancel([job_id])
    job = await works.reach(job_id, State.CANCELLED)
    assert job.attempts == 1
    assert await works.kinds(job_id) == ["Enqueued", "Started", "CancelRequested", "Cancelled"]


async def test_a_job_that_ends_although_it_was_cancelled_is_completed(works: Works) -> None:
    @works.task()
    async def stubborn() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "finished anyway"
        return "never"

    await works.start()
    job_id = await works.push("stubborn")
    await works.reach(job_id, State.ACTIVE)
    await works.broker.cancel([job_id])
    assert (await works.reach(job_id, State.COMPLETED)).result == "finished anyway"


async def test_tasks_that_try_to_take_the_worker_down(works: Works) -> None:
    @works.task(max_attempts=1)
    async def leave() -> None:
        sys.exit(3)

    @works.task(max_attempts=1)
    async def cancel_me() -> None:
        raise asyncio.CancelledError

    @works.task(max_attempts=1)
    async def cancel_later() -> str:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        return "done"

    @works.task(max_attempts=1)
    def interrupt() -> None:
        raise KeyboardInterrupt

    @works.task(max_attempts=1)
    async def interrupt_loop() -> None:
        raise KeyboardInterrupt

    @works.task(max_attempts=1)
    async def close_loop() -> None:
        raise GeneratorExit

    @works.task(max_attempts=1)
    def stop_iteration() -> None:
        raise StopIteration

    @works.task()
    async def fine() -> None: ...

    await works.start()
    for name in ("leave", "cancel_me", "interrupt", "interrupt_loop", "close_loop", "stop_iteration"):
        assert (await works.run(name)).state is State.DEAD
    assert (await works.run("cancel_later")).state is State.COMPLETED
    assert (await works.run("fine")).state is State.COMPLETED
