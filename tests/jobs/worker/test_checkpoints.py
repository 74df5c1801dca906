"""Checkpoints on a real worker: they are in Redis when `save` returns, and the next attempt begins with them."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from jobs import Context, Interrupted, Snooze, fixed
from jobs.broker import keys
from jobs.context import Interrupt
from jobs.event import Progressed
from jobs.job import State
from tests.jobs.worker.works import Works
from tests.wait import eventually, until


async def kept(works: Works, job_id: str) -> bytes | None:
    value: bytes | None = await works.broker.client.hget(keys.job(job_id), "cp")  # type: ignore[misc]  # of both kinds
    return value


@pytest.mark.parametrize("is_async", [True, False])
async def test_what_is_saved_is_in_redis_and_begins_the_next_attempt(works: Works, is_async: bool) -> None:
    seen: list[Any] = []
    loop = asyncio.get_running_loop()

    @works.task(name="coroutine", max_attempts=2)
    async def coroutine(ctx: Context) -> str:
        seen.append(ctx.checkpoint)
        if ctx.attempt == 1:
            await ctx.save({"page": 7})
            seen.append(await kept(works, ctx.job_id))
            raise ValueError
        if ctx.attempt == 2:
            raise Snooze(0)
        return ctx.idempotency_key

    @works.task(name="thread", max_attempts=2)
    def thread(ctx: Context) -> str:
        seen.append(ctx.checkpoint)
        if ctx.attempt == 1:
            ctx.save({"page": 7})
            seen.append(asyncio.run_coroutine_threadsafe(kept(works, ctx.job_id), loop).result(5))
            raise ValueError
        if ctx.attempt == 2:
            raise Snooze(0)
        return ctx.idempotency_key

    await works.start()
    job = await works.run("coroutine" if is_async else "thread", backoff=fixed(0))
    assert (job.state, job.result) == (State.COMPLETED, f"{job.id}-1")
    assert seen == [None, b'{"value":{"page":7}}', {"page": 7}, {"page": 7}]


async def test_a_task_that_saves_often_does_not_wait_for_the_next_batch_of_reports(works: Works) -> None:
    @works.task()
    async def walk(ctx: Context) -> float:
        begin = time.monotonic()
        for step in range(50):
            await ctx.progress(step, of=50)
            await ctx.save(step)
        return time.monotonic() - begin

    await works.start()
    job = await works.run("walk")
    assert job.result < 5  # 50 batches of reports would take 10 s
    reported = [event for event in await works.events(job.id) if isinstance(event, Progressed)]
    assert [event.checkpoint for event in reported if event.checkpoint] == [f'{{"value":{n}}}' for n in range(50)]


async def test_many_tasks_that_save_share_their_calls(works: Works) -> None:
    @works.task()
    async def walk(ctx: Context) -> None:
        async for _ in ctx.chunks(range(10), size=1):
            pass

    engine = await works.start(concurrency=50)
    assert engine.session_id
    jobs = await asyncio.gather(*(works.run("walk") for _ in range(50)))
    assert {job.progress.done for job in jobs if job.progress} == {10}
    calls = await works.broker.client.hget(keys.session(engine.session_id), "report")  # type: ignore[misc]  # as above
    assert int(calls) < 250  # for 500 checkpoints


async def test_a_save_of_an_attempt_that_is_over_raises_and_is_not_kept(works: Works) -> None:
    ended: list[BaseException | None] = []
    saved: list[str] = []

    @works.task()
    def walk(ctx: Context) -> str:
        if ctx.attempt > 1:
            return "again"
        saved.append(ctx.job_id)
        try:
            for step in range(1_000):
                ctx.save(step)
                time.sleep(0.01)
        except Interrupted as error:
            ended.append(error)
            raise
        return "to its end"

    engine = await works.start()
    job_id = await works.push("walk")
    await until(lambda: saved)
    await works.broker.call("session", ("close", engine.session_id))  # what the reaper does when a lease ran out
    job = await works.reach(job_id, State.COMPLETED)
    assert job.result == "again"
    await until(lambda: ended)
    assert isinstance(ended[0], Interrupted)
    assert ended[0].interrupt is Interrupt.LOST


async def test_a_thread_that_saves_hears_of_its_cancellation_there(works: Works) -> None:
    @works.task()
    def walk(ctx: Context) -> None:
        for chunk in ctx.chunks(range(100_000), size=1):
            time.sleep(0.005)
            if chunk.number == 5:
                ctx.info("five")

    await works.start()
    job_id = await works.push("walk")
    await eventually(lambda: kept(works, job_id), what="a checkpoint")
    await works.broker.cancel([job_id])
    job = await works.reach(job_id, State.CANCELLED)
    assert job.attempts == 1


async def test_a_worker_that_stops_lets_the_next_go_on_behind_the_last_chunk(works: Works) -> None:
    done: list[int] = []

    @works.task()
    async def walk(ctx: Context) -> int:
        batch = ctx.chunks(range(30), size=10)
        async for chunk in batch:
            for number in chunk:
                await asyncio.sleep(0)
                with chunk.item(number):
                    done.append(number)
            if chunk.number == 2 and ctx.attempt == 1:
                await asyncio.Event().wait()
        return batch.done

    first = await works.start(grace_s=0.1)
    job_id = await works.push("walk")
    await until(lambda: len(done) == 20)
    await first.stop()
    await works.start()
    job = await works.reach(job_id, State.COMPLETED)
    assert (job.result, job.attempts) == (30, 2)
    assert done == [*range(20), *range(10, 30)]
