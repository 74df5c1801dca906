"""Batches: chunks, what they save, and what becomes of items that fail."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs import Cancel, Context, LogLevel, NotRetryable, Retry, Snooze
from jobs.batch import FAILURES_MAX, ItemFailure
from jobs.context import Interrupt, Interrupted, Surroundings
from jobs.source import Fetched
from jobs.testing import Rehearsal
from tests.factories import make_spec


class Crash(Exception):
    """Ends an attempt as the death of a worker would: between two lines of the task."""


class Log:
    """What a task did, over all its attempts."""

    def __init__(self) -> None:
        self.chunks: list[list[Any]] = []
        self.keys: list[str] = []
        self.crash_at: set[int] = set()

    def work(self, chunk: Any) -> None:
        self.chunks.append(list(chunk))
        self.keys.append(chunk.key)
        if len(self.chunks) in self.crash_at:
            raise Crash


async def aiter_of(items: Sequence[Any]) -> AsyncIterator[Any]:
    for item in items:
        yield item


def pages_of(items: Sequence[Any], size: int) -> Any:
    def fetch(cursor: int | None) -> Fetched[Any]:
        begin = cursor or 0
        return items[begin : begin + size], begin + size if begin + size < len(items) else None

    return fetch


def async_pages_of(items: Sequence[Any], size: int) -> Any:
    async def fetch(cursor: int | None) -> Fetched[Any]:
        await asyncio.sleep(0)
        return pages_of(items, size)(cursor)

    return fetch


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


async def test_a_batch_that_is_to_end_has_saved_the_chunk_before() -> None:
    async def task(ctx: Context) -> None:
        async for _ in ctx.chunks([1, 2, 3], size=1):
            ctx.interrupt = Interrupt.RELEASE

    job = Rehearsal(task)
    with pytest.raises(Interrupted):
        await job.attempt()
    assert json.loads(job.checkpoints[0])["batches"][""]["place"]["done"] == 1


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
