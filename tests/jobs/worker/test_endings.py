"""How an attempt ends by itself: with a result, or with what it raises."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pydantic

from jobs import Cancel, Context, NotRetryable, Retry, Snooze, fixed
from jobs.job import Reason, State
from tests.jobs.worker.works import Works

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
