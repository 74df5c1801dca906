"""The processes of jobs, by themselves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from jobs.outcome import Complete
from jobs.worker.place import locate
from jobs.worker.pool import Pool
from jobs.worker.process import Died, Process
from jobs.worker.wire import Order
from tests.factories import make_spec
from tests.jobs.worker.isolated_tasks import registry


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    pool = Pool(lambda: {"tests.jobs.worker.isolated_tasks"})
    yield pool
    await pool.close()


def make_order(name: str) -> Order:
    task = registry.get(name)
    assert task is not None
    return Order(
        place=locate(task), spec=make_spec(name), run=1, attempt=1, uncharged=0, checkpoint="", result_max_bytes=1_024
    )


async def begin(child: Process, name: str) -> asyncio.Task[object]:
    """Let it run a task, and wait until the task has said something."""
    said = asyncio.Event()
    running = asyncio.create_task(child.run(make_order(name), lambda _said: said.set()))
    await asyncio.wait_for(said.wait(), 10)
    return running


async def test_a_process_whose_wire_is_cut_ends_in_the_middle_of_its_job(pool: Pool) -> None:
    child = await pool.hire()
    running = await begin(child, "stuck_for_ever")
    child.dismiss()
    assert await asyncio.wait_for(running, 10) == Died(-9)


async def test_a_process_that_ended_while_it_waited_is_not_hired(pool: Pool) -> None:
    first = await pool.hire()
    pool.give_back(first)
    assert await pool.hire() is first
    pool.give_back(first)
    pool.kill(first)
    await asyncio.wait([first.listening])
    second = await pool.hire()
    assert second is not first
    assert isinstance(await second.run(make_order("turn_down"), lambda _said: None), Complete)


async def test_closing_ends_what_runs(pool: Pool) -> None:
    running = [await begin(await pool.hire(), "stuck_for_ever") for _ in range(2)]
    await asyncio.wait_for(pool.close(), 10)
    assert [await task for task in running] == [Died(None), Died(None)]


async def test_a_module_that_fails_where_it_is_imported_fails_the_job_alone() -> None:
    pool = Pool(lambda: {"tests.jobs.worker.there_is_none", "tests.jobs.worker.isolated_tasks"})
    child = await pool.hire()
    assert isinstance(await child.run(make_order("turn_down"), lambda _said: None), Complete)
    await pool.close()
