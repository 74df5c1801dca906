"""Batches: chunks, what they save, and how they go on behind the last finished one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs import Context
from jobs.batch import ItemFailure
from jobs.context import Interrupt, Interrupted, Surroundings
from jobs.testing import Rehearsal
from tests.factories import make_spec
from tests.jobs.chunks import Crash, Log, aiter_of, async_pages_of, pages_of

SOURCES = {
    "sequence": lambda ctx, items, size: ctx.chunks(items, size),
    "iterable": lambda ctx, items, size: ctx.chunks(iter(items), size),
    "async": lambda ctx, items, size: ctx.chunks(aiter_of(items), size),
    "pages": lambda ctx, items, size: ctx.pages(pages_of(items, size)),
    "async pages": lambda ctx, items, size: ctx.pages(async_pages_of(items, size)),
}
IN_THREADS = ("sequence", "iterable", "pages")


@pytest.mark.parametrize(
    ("source", "is_async"), [*((name, True) for name in SOURCES), *((name, False) for name in IN_THREADS)]
)
@pytest.mark.parametrize("count", [0, 1, 6, 7])
async def test_a_batch_goes_on_behind_the_last_finished_chunk(source: str, is_async: bool, count: int) -> None:
    items, log = list(range(count)), Log()
    log.crash_at = {2, 4}

    async def as_coroutine(ctx: Context) -> list[Any]:
        batch = SOURCES[source](ctx, items, 2)
        async for chunk in batch:
            log.work(chunk)
        return [batch.done, batch.chunks, batch.failed]

    def in_thread(ctx: Context) -> list[Any]:
        batch = SOURCES[source](ctx, items, 2)
        for chunk in batch:
            log.work(chunk)
        return [batch.done, batch.chunks, batch.failed]

    job = Rehearsal(as_coroutine if is_async else in_thread)
    crashes = 0
    while True:
        try:
            ran = await job.attempt()
            break
        except Crash:
            crashes += 1
    assert ran.result == [count, -(-count // 2), 0]
    assert ran.progress is not None
    assert ran.progress.done == count
    finished = [chunk for n, chunk in enumerate(log.chunks, 1) if n not in log.crash_at]
    assert finished == [items[n : n + 2] for n in range(0, count, 2)]
    assert crashes == {0: 0, 1: 0}.get(count, 2)
    if crashes:  # a chunk that is worked on again has the same key, and no other has it
        assert log.keys[1] == log.keys[2]
        assert len(set(log.keys)) == len(finished)
        assert log.keys[0].startswith(f"{job.spec.id}-1/1")
    assert (await job.attempt()).result == ran.result
    assert len(log.chunks) == len(finished) + crashes


@given(st.integers(0, 40), st.integers(1, 9), st.lists(st.integers(1, 30), max_size=4), st.booleans())
async def test_every_item_is_in_one_finished_chunk(count: int, size: int, crashes: list[int], paged: bool) -> None:
    log = Log()
    log.crash_at = set(crashes)

    async def task(ctx: Context) -> None:
        items = range(count)
        async for chunk in ctx.pages(pages_of(items, size)) if paged else ctx.chunks(iter(items), size):
            log.work(chunk)

    job = Rehearsal(task)
    while True:
        try:
            await job.attempt()
            break
        except Crash:
            continue
    assert [item for n, chunk in enumerate(log.chunks, 1) if n not in log.crash_at for item in chunk] == [*range(count)]
    assert max(map(len, log.chunks), default=0) <= size


async def test_a_batch_that_is_to_end_has_saved_the_chunk_before() -> None:
    async def task(ctx: Context) -> None:
        async for _ in ctx.chunks([1, 2, 3], size=1):
            ctx.interrupt = Interrupt.RELEASE

    job = Rehearsal(task)
    with pytest.raises(Interrupted):
        await job.attempt()
    assert json.loads(job.checkpoints[0])["batches"][""]["place"]["done"] == 1


async def test_batches_of_one_task_are_told_apart_by_name() -> None:
    log = Log()
    log.crash_at = {3}

    async def task(ctx: Context) -> str:
        async for chunk in ctx.chunks([1, 2], size=1, name="users"):
            log.work(chunk)
        await ctx.save("between")
        async for chunk in ctx.chunks([1, 2], size=1, name="groups"):
            log.work(chunk)
        return str(ctx.checkpoint)

    job = Rehearsal(task)
    with pytest.raises(Crash):
        await job.attempt()
    assert (await job.attempt()).result == "between"
    assert log.chunks == [[1], [2], [1], [1], [2]]
    assert [key.partition("/")[2] for key in log.keys] == ["users/1", "users/2", "groups/1", "groups/1", "groups/2"]


async def test_what_cannot_go_on_after_a_crash_is_refused() -> None:
    async def twice(ctx: Context) -> None:
        ctx.chunks([1])
        ctx.chunks([2])

    async def in_coroutine(ctx: Context) -> None:
        for _ in ctx.chunks([1]):
            pass

    def in_thread(ctx: Context) -> None:
        for _ in ctx.chunks(aiter_of([1])):
            pass

    async def unordered(ctx: Context) -> None:
        ctx.chunks({"a", "b"})

    async def empty(ctx: Context) -> None:
        ctx.chunks([1], size=0)

    async def named(ctx: Context) -> None:
        ctx.chunks([1], name="a/b")

    for task, what, why in (
        (twice, ValueError, "already"), (in_coroutine, TypeError, "async for"), (in_thread, TypeError, "coroutine"),
        (unordered, TypeError, "sorted"), (empty, ValueError, "1 item"), (named, ValueError, "letters"),
    ):  # fmt: skip
        with pytest.raises(what, match=why):
            await Rehearsal(task).attempt()


async def test_a_chunk_that_was_left_is_not_finished() -> None:
    async def task(ctx: Context) -> int:
        async for chunk in ctx.chunks([1, 2, 3], size=1):
            if chunk.number == 2:
                break
        return ctx.attempt

    job = Rehearsal(task)
    await job.attempt()
    assert len(job.checkpoints) == 1


async def test_a_batch_that_was_begun_keeps_its_size() -> None:
    log = Log()
    log.crash_at = {2}

    async def task(ctx: Context) -> None:
        async for chunk in ctx.chunks(range(6), size=2 if ctx.attempt == 1 else 3):
            log.work(chunk)

    job = Rehearsal(task)
    with pytest.raises(Crash):
        await job.attempt()
    await job.attempt()
    assert log.chunks == [[0, 1], [2, 3], [2, 3], [4, 5]]


def endless() -> Iterator[int]:
    number = 0
    while True:
        yield number
        number += 1


def test_items_are_drawn_chunk_by_chunk() -> None:
    context = Context(make_spec(), 1, 1, 1, Surroundings(lambda context: context.settle(context.take().saves)))
    batch = context.chunks(endless(), total=1_000)
    for chunk in batch:
        if chunk.number == 3:
            break
    assert (batch.done, batch.total, len(chunk), batch.failures) == (200, 1_000, 100, list[ItemFailure]())
