"""Every way in which an attempt can end."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pydantic
import pytest

from jobs import Cancel, Context, NotRetryable, Retry, Snooze, fixed
from jobs.job import Reason, State
from tests.jobs.worker.works import Works
from tests.wait import eventually

QUICK = fixed(0.01)


class Receipt(pydantic.BaseModel):
    to: str
    at: datetime


async def test_typed_arguments_defaults_and_a_typed_result(works: Works) -> None:
    seen: list[Any] = []

    @works.task()
    async def send(ctx: Context, to: str, ids: list[UUID], at: datetime, copies: int = 2) -> Receipt:
        seen.append((type(ids[0]), copies, ctx.attempt, ctx.max_attempts, ctx.args["to"]))
        return Receipt(to=to, at=at)

    await works.start()
    args = {"to": "a@b.c", "ids": ["6f5b0d5e-7c4b-7c9b-8a53-0d2f7a6f9a11"], "at": "2025-01-02T03:04:05Z"}
    job = await works.run("send", args=args)
    assert job.result == {"to": "a@b.c", "at": "2025-01-02T03:04:05Z"}
    assert seen == [(UUID, 2, 1, 3, "a@b.c")]
    assert await works.kinds(job.id) == ["Enqueued", "Started", "Completed"]


async def test_arguments_that_do_not_fit(works: Works) -> None:
    @works.task()
    async def send(to: str) -> None: ...

    await works.start()
    for args in ({}, {"to": 5}, {"to": "x", "more": 1}):
        job = await works.run("send", args=args)
        assert (job.state, job.reason) == (State.DEAD, Reason.INVALID_ARGUMENTS)
        assert job.error is not None
        assert job.error.message.startswith("args.")


async def test_a_task_that_this_worker_does_not_know(works: Works) -> None:
    await works.start()
    job = await works.run("stranger")
    assert (job.state, job.reason) == (State.DEAD, Reason.UNKNOWN_TASK)


async def test_retries_until_the_attempts_are_used_up(works: Works) -> None:
    last: list[bool] = []

    @works.task(max_attempts=3, backoff=QUICK)
    async def fail(ctx: Context) -> None:
        last.append(ctx.is_last_attempt)
        raise KeyError("the reason")

    await works.start()
    job = await works.run("fail")
    assert (job.state, job.reason, job.attempts) == (State.DEAD, Reason.ATTEMPTS_EXHAUSTED, 3)
    assert last == [False, False, True]
    assert job.error is not None
    assert job.error.type == "KeyError"
    assert "test_endings.py" in job.error.stack
    assert "attempt.py" not in job.error.stack


async def test_a_later_attempt_can_succeed_with_the_same_idempotency_key(works: Works) -> None:
    keys: list[str] = []

    @works.task(backoff=QUICK)
    def flaky(ctx: Context) -> int:
        keys.append(ctx.idempotency_key)
        if ctx.attempt < 3:
            raise Retry(0.01, "not yet")
        return ctx.attempt

    await works.start()
    job = await works.run("flaky")
    assert (job.state, job.result, len(set(keys))) == (State.COMPLETED, 3, 1)


async def test_snoozing_does_not_use_up_attempts(works: Works) -> None:
    runs: list[bool] = []

    @works.task(max_attempts=1)
    async def wait_for_it(ctx: Context) -> str:
        runs.append(ctx.is_last_attempt)
        if len(runs) < 4:
            raise Snooze(timedelta(milliseconds=10))
        return "done"

    await works.start()
    job = await works.run("wait_for_it")
    assert (job.state, job.result, job.attempts) == (State.COMPLETED, "done", 4)
    assert runs == [True] * 4


async def test_a_task_can_cancel_itself_or_refuse_retries(works: Works) -> None:
    @works.task()
    async def needless() -> None:
        raise Cancel("nothing to do")

    @works.task()
    async def refuse() -> None:
        raise NotRetryable("the account is closed")

    @works.task(no_retry=(LookupError,))
    async def mistaken() -> None:
        raise KeyError("x")

    await works.start()
    cancelled = await works.run("needless")
    assert cancelled.state is State.CANCELLED
    assert "Logged" in await works.kinds(cancelled.id)
    for name in ("refuse", "mistaken"):
        job = await works.run(name)
        assert (job.state, job.reason, job.attempts) == (State.DEAD, Reason.NOT_RETRYABLE, 1)


async def test_a_result_that_json_cannot_carry_is_not_worked_for_twice(works: Works) -> None:
    runs: list[int] = []

    @works.task()
    async def measure() -> Any:
        runs.append(1)
        return {"value": float("nan")}

    await works.start()
    job = await works.run("measure")
    assert (job.state, job.reason, len(runs)) == (State.DEAD, Reason.RESULT_UNENCODABLE, 1)


async def test_a_result_that_is_too_large(works: Works) -> None:
    @works.task()
    async def flood() -> str:
        return "ä" * 1_000

    await works.start(payload_max_bytes=1_024)
    job = await works.run("flood")
    assert job.reason is Reason.RESULT_UNENCODABLE
    assert job.error is not None
    assert "2002 bytes" in job.error.message


async def test_a_coroutine_past_its_timeout(works: Works) -> None:
    cleaned: list[str] = []

    @works.task(timeout=0.05, max_attempts=2, backoff=QUICK)
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
    assert "test_endings.py" in job.error.stack
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


async def test_functions_in_the_style_of_saq_run_unchanged(works: Works) -> None:
    async def resize(ctx, *, path, width=100):  # type: ignore[no-untyped-def]  # as SAQ's users write it
        job = ctx["job"]
        await job.update(progress=0.5)
        return [path, width, job.key, job.kwargs, job.attempts, ctx["database"], job.function]

    works.registry.add(resize)
    await works.start(engine={"shared": {"worker": None, "database": "db"}})
    job = await works.run("resize", args={"path": "a.png"})
    assert job.result == ["a.png", 100, job.id, {"path": "a.png"}, 1, "db", "resize"]
    assert job.progress is not None
    assert job.progress.percentage == 50
