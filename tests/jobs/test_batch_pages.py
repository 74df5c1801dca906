"""Batches of pages: where the next one begins, how many items there are in all, and pages that come out otherwise."""

from __future__ import annotations

import pytest

from jobs import Context
from jobs.source import Fetched
from jobs.testing import Rehearsal
from tests.jobs.chunks import Crash, Log, async_pages_of, pages_of


async def test_the_task_may_keep_the_place_itself() -> None:
    log, kept = Log(), [""]
    log.crash_at = {3}

    async def task(ctx: Context) -> int:
        batch = ctx.pages(async_pages_of(range(7), 2), after=kept[-1])
        batch.total = 7
        async for chunk in batch:
            with chunk.item(chunk.items[0]):
                if chunk.number == 1:
                    raise ValueError
            kept.append(chunk.after)
            log.work(chunk)
        return batch.failed

    job = Rehearsal(task)
    with pytest.raises(Crash):
        await job.attempt()
    # The third chunk was kept by the task, and its checkpoint here did not arrive.
    assert len(job.checkpoints) == 2
    assert (await job.attempt()).result == 1
    assert log.chunks == [[0, 1], [2, 3], [4, 5], [6]]
    kept[:] = [""]  # what the task's own database says counts
    assert (await job.attempt()).result == 1
    assert len(log.chunks) == 8


async def test_a_total_that_was_learned_is_known_to_the_next_attempt() -> None:
    totals: list[int | None] = []

    async def task(ctx: Context) -> None:
        batch = ctx.pages(pages_of(range(4), 2))
        totals.append(batch.total)
        async for chunk in batch:
            batch.total = 4
            if chunk.number == 2 and ctx.attempt == 1:
                raise Crash

    job = Rehearsal(task)
    with pytest.raises(Crash):
        await job.attempt()
    await job.attempt()
    assert totals == [None, 4]


async def test_a_page_that_ends_elsewhere_is_another_chunk() -> None:
    log, size = Log(), [2]
    log.crash_at = {1}

    async def task(ctx: Context) -> None:
        async for chunk in ctx.pages(pages_of(range(6), size[0])):
            log.work(chunk)

    job = Rehearsal(task)
    with pytest.raises(Crash):
        await job.attempt()
    size[0] = 3
    await job.attempt()
    assert log.chunks == [[0, 1], [0, 1, 2], [3, 4, 5]]
    assert len(set(log.keys)) == 3


async def test_empty_pages_are_passed_over() -> None:
    def fetch(cursor: int | None) -> Fetched[int]:
        step = cursor or 0
        return [step] if step % 3 == 1 else [], step + 1 if step < 6 else None

    async def task(ctx: Context) -> list[int]:
        return [item async for chunk in ctx.pages(fetch) for item in chunk]

    assert (await Rehearsal(task).attempt()).result == [1, 4]
