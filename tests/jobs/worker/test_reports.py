"""Progress and log lines: that they arrive, in order, before the end, and cheaply."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import msgspec

from jobs import Context, LogLevel
from jobs.event import Completed, Logged, Progressed, Started
from jobs.job import Progress, State
from jobs.worker import Hooks
from tests.jobs.worker.works import Works


async def test_reports_reach_the_stream_in_order_and_before_the_end(works: Works) -> None:
    @works.task()
    async def steps(ctx: Context) -> None:
        await ctx.info("begin", rows=2)
        await ctx.progress(1, of=2, step="load")
        await ctx.warning("slow")
        try:
            _ = 1 / 0
        except ZeroDivisionError as error:
            await ctx.error("odd", exc_info=error)

    await works.start()
    job = await works.run("steps")
    events = await works.events(job.id)
    assert isinstance(events[1], Started)
    assert isinstance(events[-1], Completed)
    lines = [event for event in events if isinstance(event, Logged)]
    assert [(line.level, line.message) for line in lines] == [
        (LogLevel.INFO, "begin"), (LogLevel.WARNING, "slow"), (LogLevel.ERROR, "odd"),
    ]  # fmt: skip
    assert lines[0].context == '{"rows":2}'
    assert "ZeroDivisionError" in lines[2].stack
    assert job.progress is not None
    assert (job.progress.percentage, job.progress.step) == (50.0, "load")


async def test_what_a_running_task_reports_is_seen_while_it_runs(works: Works) -> None:
    go_on = asyncio.Event()

    @works.task()
    async def talk(ctx: Context) -> None:
        await ctx.progress(1, of=4)
        await go_on.wait()
        await ctx.progress(2, of=4)

    await works.start()
    job_id = await works.push("talk")
    await works.begun(job_id)
    assert (await works.job(job_id)).state is State.ACTIVE
    go_on.set()
    await works.reach(job_id, State.COMPLETED)
    reported = [event for event in await works.events(job_id) if isinstance(event, Progressed)]
    assert [msgspec.json.decode(event.progress, type=Progress).done for event in reported] == [1, 2]


async def test_a_hundred_thousand_reports_become_a_few_events(works: Works) -> None:
    @works.task()
    async def busy(ctx: Context) -> None:
        for done in range(100_000):
            await ctx.progress(done + 1, of=100_000)

    await works.start()
    job = await works.run("busy")
    assert job.progress is not None
    assert job.progress.done == 100_000
    assert len(await works.events(job.id)) < 100


async def test_a_task_that_only_reports_lets_others_run(works: Works) -> None:
    stop = asyncio.Event()

    @works.task()
    async def selfish(ctx: Context) -> None:
        while not stop.is_set():
            await ctx.progress(1)

    @works.task()
    async def other() -> None: ...

    await works.start()
    selfish_id = await works.push("selfish")
    await works.reach(selfish_id, State.ACTIVE)
    await works.run("other")
    stop.set()
    await works.reach(selfish_id, State.COMPLETED)


async def test_threads_report_without_await(works: Works) -> None:
    @works.task()
    def talk(ctx: Context) -> None:
        helpers = [threading.Thread(target=ctx.info, args=(f"line {n}",)) for n in range(20)]
        for helper in helpers:
            helper.start()
        for helper in helpers:
            helper.join()
        ctx.progress(3, of=3)

    await works.start()
    job = await works.run("talk")
    lines = {event.message for event in await works.events(job.id) if isinstance(event, Logged)}
    assert lines == {f"line {n}" for n in range(20)}
    assert job.progress is not None
    assert job.progress.percentage == 100


async def test_a_flood_of_lines_is_cut_and_says_so(works: Works) -> None:
    @works.task()
    def flood(ctx: Context) -> None:
        for n in range(50_000):
            ctx.debug(f"line {n}")

    await works.start()
    job = await works.run("flood")
    lines = [event.message for event in await works.events(job.id) if isinstance(event, Logged)]
    dropped = [int(line.split()[0]) for line in lines if line.endswith("dropped: too many at once.")]
    assert dropped
    assert sum(dropped) + len(lines) - len(dropped) == 50_000


async def test_hooks_run_around_every_attempt(works: Works) -> None:
    seen: list[Any] = []

    async def before(ctx: Context) -> None:
        seen.append(("before", ctx.task))
        ctx["mark"] = 1

    async def after(ctx: Context) -> None:
        seen.append(("after", ctx["mark"], type(ctx.get("exception")).__name__))
        raise RuntimeError("is only logged")

    @works.task()
    def good() -> None: ...

    @works.task(max_attempts=1)
    async def bad() -> None:
        raise KeyError

    await works.start(engine={"hooks": Hooks(before, after)})
    assert (await works.run("good")).state is State.COMPLETED
    assert (await works.run("bad")).state is State.DEAD
    assert seen == [("before", "good"), ("after", 1, "NoneType"), ("before", "bad"), ("after", 1, "KeyError")]
