"""Items of a batch that fail: they are recorded and bounded, and the batch goes on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from jobs import Cancel, Context, LogLevel, NotRetryable, Retry, Snooze
from jobs.batch import FAILURES_MAX
from jobs.context import Interrupt, Interrupted
from jobs.testing import Rehearsal
from tests.jobs.chunks import Crash


async def test_a_failed_item_is_recorded_and_the_batch_goes_on() -> None:
    async def task(ctx: Context) -> dict[str, Any]:
        batch = ctx.chunks(range(10), size=4)
        batch.state.setdefault("updated", 0)
        async for chunk in batch:
            for number in chunk:
                with chunk.item(f"user {number}"):
                    if number % 3 == 0:
                        raise ValueError(f"no {number}")
                    batch.state["updated"] += 1
            if chunk.number == 2 and ctx.attempt == 1:
                raise Crash
        return {**batch.state, "failed": batch.failed, "of": batch.done, "which": batch.failures}

    job = Rehearsal(task)
    with pytest.raises(Crash):
        await job.attempt()
    ran = await job.attempt()
    assert ran.result == {
        "updated": 6,
        "failed": 4,
        "of": 10,
        "which": [{"item": f"user {n}", "type": "ValueError", "message": f"no {n}"} for n in (0, 3, 6, 9)],
    }
    assert ran.progress is not None
    assert (ran.progress.done, ran.progress.total, ran.progress.failed) == (10, 10, 4)
    assert [line[:3] for line in ran.lines] == [
        (LogLevel.ERROR, "Item failed: ValueError: no 6", '{"item":"user 6","chunk":2}'),
        (LogLevel.ERROR, "Item failed: ValueError: no 9", '{"item":"user 9","chunk":3}'),
    ]
    assert "raise ValueError" in ran.lines[0][3]


@pytest.mark.parametrize(
    "error",
    [
        Retry(1), Snooze(1), Cancel("x"), NotRetryable("x"), Interrupted(Interrupt.CANCEL), asyncio.CancelledError(),
        SystemExit(1), ExceptionGroup("g", [ValueError(), ExceptionGroup("h", [Snooze(1)])]),
    ],
    ids=repr,
)  # fmt: skip
async def test_what_is_meant_for_the_worker_passes(error: BaseException) -> None:
    async def task(ctx: Context) -> None:
        async for chunk in ctx.chunks([1]):
            with chunk.item(1):
                raise error

    job = Rehearsal(task)
    with pytest.raises(type(error)):
        await job.attempt()
    assert (job.lines, job.checkpoints) == ([], [])


async def test_a_timeout_within_an_item_is_the_items_own() -> None:
    async def task(ctx: Context) -> int:
        batch = ctx.chunks([1, 2])
        async for chunk in batch:
            for number in chunk:
                with chunk.item(number):
                    async with asyncio.timeout(0.01 if number == 1 else 10):
                        await asyncio.sleep(0.1 if number == 1 else 0)
        return batch.failed

    assert (await Rehearsal(task).attempt()).result == 1


async def test_a_thread_that_is_to_end_stops_before_its_next_item() -> None:
    begun: list[int] = []

    def task(ctx: Context) -> None:
        for chunk in ctx.chunks([1, 2, 3]):
            for number in chunk:
                with chunk.item(number):
                    begun.append(number)
                    ctx.interrupt = Interrupt.CANCEL

    job = Rehearsal(task)
    with pytest.raises(Interrupted):
        await job.attempt()
    assert (begun, job.checkpoints) == ([1], [])


async def test_more_failures_than_allowed_end_the_attempt() -> None:
    async def task(ctx: Context) -> None:
        async for chunk in ctx.chunks(range(10), size=2, failed_max=2):
            for number in chunk:
                with chunk.item(number):
                    raise ValueError(number)

    job = Rehearsal(task)
    for _ in range(2):  # what the unfinished chunk failed with is not counted twice
        with pytest.raises(ValueError, match="2"):
            await job.attempt()
        assert len(job.checkpoints) == 1


async def test_the_list_of_failures_is_bounded_and_the_count_is_not() -> None:
    async def task(ctx: Context) -> list[Any]:
        batch = ctx.chunks(range(300), size=50)
        async for chunk in batch:
            for number in chunk:
                with chunk.item("\U0001f600" * number):
                    raise ValueError("\x01" * number)
        return [batch.failed, batch.failures]

    failed, failures = (await Rehearsal(task).attempt()).result
    assert failed == 300
    assert 0 < len(failures) <= FAILURES_MAX
    assert all(len(one["item"]) <= 100 and len(one["message"]) <= 200 for one in failures)
