from __future__ import annotations

from datetime import date

import pytest

from jobs import Context, LogLevel, Retry
from jobs.errors import InvalidArguments
from jobs.testing import Rehearsal, run_task


async def greet(ctx: Context, name: str, born: date) -> dict[str, date]:
    await ctx.info("hello", name=name)
    await ctx.progress(1, of=2)
    return {name: born}


def add(a: int, b: int = 2) -> int:
    return a + b


async def insist(ctx: Context) -> bool:
    if not ctx.is_last_attempt:
        raise Retry(5)
    return True


async def test_an_attempt_leaves_its_result_progress_and_log() -> None:
    ran = await run_task(greet, {"name": "Ada", "born": date(1815, 12, 10)})
    assert ran.result == {"Ada": "1815-12-10"}
    assert ran.progress is not None
    assert ran.progress.percentage == 50
    [line] = ran.lines
    assert line[:4] == (LogLevel.INFO, "hello", '{"name":"Ada"}', "")


async def test_functions_that_are_no_coroutines() -> None:
    assert (await run_task(add, {"a": 1})).result == 3
    with pytest.raises(InvalidArguments):
        await run_task(add, {"a": "one"})


async def test_what_the_task_raises_is_raised() -> None:
    with pytest.raises(Retry):
        await run_task(insist)
    assert (await run_task(insist, attempt=3)).result is True


async def walk(ctx: Context, steps: int) -> int:
    for step in range(ctx.checkpoint or 0, steps):
        await ctx.save(step + 1)
        if step % 2:
            raise ValueError
    return ctx.attempt


async def test_attempts_follow_each_other_with_what_was_saved() -> None:
    job = Rehearsal(walk, {"steps": 5})
    seen: list[tuple[object, int]] = []
    for _ in range(2):
        with pytest.raises(ValueError):  # noqa: PT011  # the task's own
            await job.attempt()
        seen.append((job.checkpoint, len(job.checkpoints)))
    assert seen == [(2, 2), (4, 4)]
    assert (await job.attempt()).result == 3
    assert job.checkpoint == 5
