"""`queueql up`: everything in one tree of processes, with SQLite and the bundled Redis."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import psutil

from jobs.embedded import socket_of
from tests.system.chaos.deployment import Deployment, free_port, send, swap
from tests.system.product import Process

_TITLES = {"worker": "queueql worker", "services": "queueql services", "api": "queueql api", "redis": "-server"}
WORKERS = 2
HELD_S, LEFT_S = 0.4, 0.05
"""How long a stranger holds the write lock of a slow SQLite, and leaves it."""


class Embedded(Deployment):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.data = self.disk.folder / "data"
        self._port = free_port()
        self.urls = [f"http://127.0.0.1:{self._port}"]
        self.redis_url = f"unix://{socket_of(self.data / 'redis')}"
        self._generation = 0
        self._up = self._process()

    def _process(self) -> Process:
        self._generation += 1
        arguments = ["queueql", "up", "--port", str(self._port), "--data", str(self.data), "--workers", str(WORKERS)]
        return Process(f"up-{self._generation}", arguments, self.folder, self.environ())

    async def start(self) -> None:
        self._up.start()
        await asyncio.to_thread(self._up.find, r"runs at (http://\S+)")

    async def stop(self) -> None:
        await self._stop()
        self.disk.close()

    async def _stop(self) -> None:
        try:
            code = await asyncio.to_thread(self._up.stop)
        except subprocess.TimeoutExpired:
            self.faults.append("queueql up did not end within 40 s of SIGTERM.")
        else:
            if code:
                self.faults.append(f"queueql up ended with {code}:\n{self._up.output()[-2_000:]}")

    async def restart(self, away_s: float, *, kill: bool) -> None:
        """End the whole product, in order or not, and start it again."""
        tree = psutil.Process(self._up.pid).children(recursive=True)
        if kill:
            now_s = time.time()
            self.deaths += [(pid, now_s) for pid in self.pids("worker")]
            self._up.kill()
            _, left = await asyncio.to_thread(psutil.wait_procs, tree, 15)
            self.faults += [f"{process} outlived queueql up." for process in left if process.is_running()]
        else:
            await self._stop()
        await asyncio.sleep(away_s)
        self._up = self._process()
        await self.start()

    def pids(self, part: str) -> list[int]:
        found = []
        if not psutil.pid_exists(self._up.pid):
            return []
        for process in psutil.Process(self._up.pid).children():
            try:
                if _TITLES[part] in " ".join(process.cmdline()) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process.pid)
            except psutil.NoSuchProcess:
                continue
        return found

    async def kill(self, part: str, which: int, away_s: float) -> None:
        pid = self.pid(part, which)
        if pid and send(pid, signal.SIGKILL) and part == "worker":
            self.deaths.append((pid, time.time()))

    async def term(self, part: str, which: int) -> None:
        pid = self.pid(part, which)
        if pid and send(pid, signal.SIGTERM):
            await asyncio.to_thread(psutil.wait_procs, [psutil.Process(pid)], 30)

    async def copy(self) -> Path:
        return await self.copy_redis(self.data / "redis")

    async def replace_redis(self, copy: Path) -> None:
        # Whoever would start Redis again is frozen until the older copy is in its place.
        os.kill(self._up.pid, signal.SIGSTOP)
        try:
            for pid in self.pids("redis"):
                send(pid, signal.SIGKILL)
            await asyncio.to_thread(swap, self.data / "redis", copy)
        finally:
            os.kill(self._up.pid, signal.SIGCONT)

    async def lock_sql(self, lasts_s: float) -> None:
        await asyncio.to_thread(self._hold, lasts_s, lasts_s)

    async def slow_sql(self, lasts_s: float) -> None:
        await asyncio.to_thread(self._hold, lasts_s, HELD_S)

    def _hold(self, lasts_s: float, each_s: float) -> None:
        """Hold SQLite's write lock again and again."""
        deadline = time.monotonic() + lasts_s
        with closing(sqlite3.connect(self.data / "queueql.db", isolation_level=None, timeout=10)) as db:
            while time.monotonic() < deadline:
                db.execute("BEGIN IMMEDIATE")
                time.sleep(each_s)
                db.execute("ROLLBACK")
                time.sleep(LEFT_S)
