"""Two processes of SAQ's own worker, and an orchestrator that fills their places again."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Mapping
from pathlib import Path

from tests.system.chaos.deployment import send
from tests.system.chaos.plan import Break
from tests.system.product import Process

REPLICAS = 2
RESTART_S = 0.3
SETTINGS = "tests.system.chaos.saq_settings.settings"


class Workers:
    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self._folder = folder
        self._environ = environ
        self._processes: list[Process] = []
        self._generation = 0
        self._keeper: asyncio.Task[None] | None = None
        self._empty_until = 0.0

    def start(self) -> None:
        self._processes = [self._new() for _ in range(REPLICAS)]
        self._keeper = asyncio.create_task(self._keep())

    def _new(self) -> Process:
        self._generation += 1
        process = Process(f"saq-{self._generation}", ["saq", SETTINGS], self._folder, self._environ)
        process.start()
        return process

    async def _keep(self) -> None:
        while True:
            for place, process in enumerate(self._processes):
                if not process.is_running and time.monotonic() > self._empty_until:
                    await asyncio.sleep(RESTART_S)
                    self._processes[place] = self._new()
            await asyncio.sleep(0.05)

    async def inflict(self, what: Break, which: int, lasts_s: float) -> None:
        process = self._processes[which % REPLICAS]
        if what is Break.KILL:
            self._empty_until = time.monotonic() + lasts_s
            process.kill()
        elif what is Break.TERM:
            process.send(signal.SIGTERM)
        else:
            await self.freeze(process.pid, lasts_s)

    async def freeze(self, pid: int, lasts_s: float) -> None:
        if send(pid, signal.SIGSTOP):
            await asyncio.sleep(lasts_s)
            send(pid, signal.SIGCONT)

    async def stop(self) -> None:
        if self._keeper:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        for process in self._processes:
            if process.is_running:
                process.kill()
