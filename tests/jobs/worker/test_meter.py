"""What an attempt costs: processor time of its own, not of its neighbours."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Generator
from typing import Any

from jobs.event import Completed, RetryingLater
from jobs.job import State
from jobs.worker.meter import metered
from tests.jobs.worker.isolated_tasks import registry
from tests.jobs.worker.works import Works

BUSY_S = 0.1


def burn(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


async def cost_us(works: Works, job_id: str) -> int:
    (event,) = [event for event in await works.events(job_id) if isinstance(event, Completed | RetryingLater)]
    assert event.cpu_us is not None
    return event.cpu_us


async def test_each_coroutine_pays_for_its_own_steps(works: Works) -> None:
    both = asyncio.Barrier(2)

    @works.task()
    async def busy() -> None:
        await both.wait()
        burn(BUSY_S / 2)
        await asyncio.sleep(0)
        burn(BUSY_S / 2)

    @works.task()
    async def idle() -> None:
        await both.wait()
        await asyncio.sleep(BUSY_S)

    await works.start()
    ids = [await works.push("busy"), await works.push("idle")]
    for job_id in ids:
        await works.reach(job_id, State.COMPLETED)
    busy_us, idle_us = [await cost_us(works, job_id) for job_id in ids]
    assert busy_us >= BUSY_S * 1e6 > 10 * idle_us


async def test_a_thread_and_an_attempt_that_failed_pay_as_well(works: Works) -> None:
    @works.task()
    def threaded() -> None:
        burn(BUSY_S)

    @works.task()
    async def failing() -> None:
        burn(BUSY_S)
        raise ValueError("no")

    await works.start()
    threaded_id, failing_id = await works.push("threaded"), await works.push("failing", max_attempts=2)
    await works.reach(threaded_id, State.COMPLETED)
    await works.reach(failing_id, State.RETRYING)
    assert await cost_us(works, threaded_id) >= BUSY_S * 1e6
    assert await cost_us(works, failing_id) >= BUSY_S * 1e6


class Ends(Exception):
    """Raised into a coroutine."""


async def test_a_coroutine_does_not_notice() -> None:
    spent: list[int] = []
    seen: list[Any] = []

    async def inner() -> str:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        loop.call_soon(future.set_exception, Ends("in time"))
        try:
            await future
        except Ends as error:
            seen.append(str(error))
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            seen.append("cancelled")
            task = asyncio.current_task()
            assert task
            task.uncancel()
        return await asyncio.sleep(0, "result")

    async def outer() -> Any:
        return await metered(inner(), spent.append)

    task = asyncio.create_task(outer())
    while not seen:
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    assert await task == "result"
    assert (seen, len(spent), spent[0] > 0) == (["in time", "cancelled"], 1, True)


def test_a_coroutine_that_is_closed_is_told() -> None:
    told: list[str] = []

    class Once:
        def __await__(self) -> Generator[None]:
            yield None

    async def inner() -> None:
        try:
            await Once()
        finally:
            told.append("closed")

    async def outer() -> None:
        await metered(inner(), lambda _ns: told.append("metered"))

    coroutine = outer()
    coroutine.send(None)
    coroutine.close()
    assert told == ["closed", "metered"]


async def test_a_process_pays_for_all_that_it_did(works: Works) -> None:
    works.registry = registry
    await works.start()
    job_id = await works.push("burn_apart", args={"seconds": BUSY_S})
    await works.reach(job_id, State.COMPLETED)
    assert await cost_us(works, job_id) >= BUSY_S * 1e6


async def test_nobody_pays_for_what_is_done_besides(works: Works) -> None:
    @works.task()
    async def delegates() -> None:
        async def child() -> None:
            burn(BUSY_S)

        async with asyncio.TaskGroup() as group:
            group.create_task(child())
        await asyncio.to_thread(burn, BUSY_S)

    @works.task()
    def threads() -> None:
        thread = threading.Thread(target=burn, args=(BUSY_S,))
        thread.start()
        thread.join()

    await works.start()
    for job_id in [await works.push("delegates"), await works.push("threads")]:
        await works.reach(job_id, State.COMPLETED)
        assert await cost_us(works, job_id) < BUSY_S / 2 * 1e6


async def test_a_process_does_not_pay_for_the_programs_that_it_starts(works: Works) -> None:
    works.registry = registry
    await works.start()
    job_id = await works.push("burn_beside")
    await works.reach(job_id, State.COMPLETED)
    assert await cost_us(works, job_id) < 0.2 * 1e6


async def test_a_stack_shows_the_task_only(works: Works) -> None:
    @works.task()
    async def failing() -> None:
        raise ValueError("no")

    await works.start()
    job = await works.run("failing", max_attempts=1)
    assert job.error
    assert job.error.stack.count("File ") == 1
    assert "in failing" in job.error.stack
