"""The process that our worker lives in."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

from jobs.broker import Push
from jobs.job import State
from jobs.saq.process import serve
from jobs.saq.session import SaqBroker
from jobs.store.migrate import Migrator
from tests.factories import make_settings, make_spec
from tests.wait import eventually


async def test_process_publishes_its_tasks_works_and_ends(redis_url: str, tmp_path: Path) -> None:
    database = f"sqlite://{tmp_path / 'queueql.db'}"
    await Migrator().migrate(database)
    settings = make_settings(redis_url=redis_url, database_url=database, tasks=("jobs.tasks.demo",))
    broker = await SaqBroker.open(redis_url, settings)
    await broker.raise_epoch(1)
    spec = make_spec("demo_countdown", args={"steps": 1, "step_s": 0.0})
    await broker.push([Push(spec=spec)])
    serving = asyncio.create_task(serve(settings))

    async def completed() -> bool:
        found = (await broker.jobs([spec.id]))[spec.id]
        return found.state is State.COMPLETED

    await eventually(completed)
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(10):
        await serving
    await broker.close()
