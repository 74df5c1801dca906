"""Worker processes that are started again when they end, and the reaper that takes their jobs back."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from jobs.broker import Broker
from jobs.ending import end
from jobs.process import signal_group, spawn
from tests.wait import eventually

MODULE = "tests.jobs.worker.hard_tasks"


class Crew:
    """One worker at a time, kept alive. What it printed is in `output`."""

    def __init__(self, broker: Broker, redis_url: str, output: Path, **settings: Any) -> None:
        self.output = output
        self.codes: list[int] = []
        self.process: asyncio.subprocess.Process | None = None
        self._broker = broker
        values = json.dumps({"lease_s": 1.0, "renew_s": 0.2, "grace_s": 2.0} | settings)
        self._argv = [sys.executable, "-P", "-m", "tests.jobs.worker.process", redis_url, MODULE, values]
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Crew:
        self._tasks = [asyncio.create_task(self._keep()), asyncio.create_task(self._reap())]

        async def at_work() -> bool:
            return bool(await self._broker.workers())

        await eventually(at_work, within_s=20, what="a worker")
        return self

    async def __aexit__(self, *_error: object) -> None:
        for task in self._tasks:
            await end(task)
        if self.process is not None and self.process.returncode is None:
            signal_group(self.process, 9)
            await self.process.wait()

    async def _keep(self) -> None:
        with self.output.open("ab") as output:
            while True:
                self.process = await spawn(self._argv, environ={"PYTHONPATH": str(Path.cwd())}, output=output)
                self.codes.append(await self.process.wait())

    async def _reap(self) -> None:
        while True:
            await self._broker.reap()
            await asyncio.sleep(0.05)
