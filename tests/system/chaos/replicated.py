"""Two of each process, PostgreSQL and an external Redis, each process on links of its own to both."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import asyncpg

from tests.databases import run_sql
from tests.postgres_server import PostgresServer
from tests.redis_server import RedisServer
from tests.system.chaos.deployment import Deployment, free_port, send, swap
from tests.system.product import ROOT, Process
from tests.tcp_proxy import TcpProxy

REPLICAS = 2
RESTART_S = 0.3
SLOW_S = 0.15
KINDS = ("services", "worker", "api")


class Slot:
    """The place of one process, which an orchestrator fills again whenever it is empty."""

    def __init__(self, kind: str, number: int) -> None:
        self.name = f"{kind}-{number}"
        self.kind = kind
        self.links: dict[str, TcpProxy] = {}
        self.port = free_port()
        self.process: Process | None = None
        self.generation = 0
        self.empty_until = 0.0


class Replicated(Deployment):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._redis_folder = self.disk.folder / "redis"
        self._redis_folder.mkdir()
        self._redis = RedisServer(self._redis_folder, append_only=True)
        self.redis_url = self._redis.url
        self._sql = PostgresServer(self.disk.folder)
        self._slots = [Slot(kind, number) for kind in KINDS for number in range(1, REPLICAS + 1)]
        self.urls = [f"http://127.0.0.1:{slot.port}" for slot in self._slots if slot.kind == "api"]
        self._stack = ExitStack()
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._redis.start()
        self._stack.callback(self._redis.stop)
        await asyncio.to_thread(self._sql.start)
        self._stack.callback(self._sql.stop)
        await run_sql(self._sql.url, "CREATE DATABASE chaos")
        self.sql_url = self._sql.url.rpartition("/")[0] + "/chaos"
        for slot in self._slots:
            slot.links = {
                "redis": self._stack.enter_context(TcpProxy(self._redis.url)),
                "sql": self._stack.enter_context(TcpProxy(self.sql_url)),
            }
        await asyncio.to_thread(self._migrate)
        for slot in self._slots:
            self._fill(slot)
        self._keeper = asyncio.create_task(self._keep(), name="orchestrator")

    def _migrate(self) -> None:
        environ = {"PATH": "/usr/bin:/bin", **self.environ(), "QUEUEQL_DATABASE_URL": self.sql_url}
        command = [sys.executable, "-m", "queueql", "migrate"]
        subprocess.run(command, cwd=ROOT, env=environ, check=True, timeout=60, stdout=subprocess.DEVNULL)

    def _fill(self, slot: Slot) -> None:
        slot.generation += 1
        environ = self.environ() | {
            "QUEUEQL_REDIS_URL": slot.links["redis"].url,
            "QUEUEQL_DATABASE_URL": slot.links["sql"].url,
            "QUEUEQL_LOG_JSON": "true",
        }
        arguments = ["queueql", slot.kind, *(["--port", str(slot.port)] if slot.kind == "api" else [])]
        slot.process = Process(f"{slot.name}-{slot.generation}", arguments, self.folder, environ)
        slot.process.start()

    async def _keep(self) -> None:
        """Be the orchestrator: whatever has ended is started again."""
        while True:
            for slot in self._slots:
                if slot.process and not slot.process.is_running:
                    slot.process = None
                    slot.empty_until = max(slot.empty_until, time.monotonic() + RESTART_S)
                if slot.process is None and time.monotonic() > slot.empty_until:
                    self._fill(slot)
            await asyncio.sleep(0.05)

    async def stop(self) -> None:
        if self._keeper:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        for kind in ("worker", "services", "api"):
            ending = [self._end(slot.process) for slot in self._slots if slot.kind == kind and slot.process]
            await asyncio.gather(*ending)
        self._stack.close()
        self.disk.close()

    async def _end(self, process: Process) -> None:
        try:
            code = await asyncio.to_thread(process.stop)
        except subprocess.TimeoutExpired:
            self.faults.append(f"{process.name} did not end within 40 s of SIGTERM.")
        else:
            if code:
                self.faults.append(f"{process.name} ended with {code}:\n{process.output()[-2_000:]}")

    # Processes

    def _running(self, part: str) -> Iterator[Slot]:
        for slot in self._slots:
            if slot.kind == part and slot.process and slot.process.is_running:
                yield slot

    def pids(self, part: str) -> list[int]:
        if part == "redis":
            return [self._redis.pid]
        return [slot.process.pid for slot in self._running(part) if slot.process]

    def _slot(self, part: str, which: int) -> Slot:
        return [slot for slot in self._slots if slot.kind == part][which % REPLICAS]

    async def kill(self, part: str, which: int, away_s: float) -> None:
        if part == "redis":
            await self.stop_redis(away_s)
        elif part == "sql":
            await asyncio.to_thread(self._sql.restart)
        else:
            slot = self._slot(part, which)
            slot.empty_until = time.monotonic() + away_s
            if slot.process and slot.process.is_running:
                if part == "worker":
                    self.deaths.append((slot.process.pid, time.time()))
                slot.process.kill()

    async def term(self, part: str, which: int) -> None:
        slot = self._slot(part, which)
        process = slot.process
        if process and process.is_running:
            send(process.pid, signal.SIGTERM)
            async with asyncio.timeout(40):
                while slot.process is process:
                    await asyncio.sleep(0.05)

    # Redis

    async def stop_redis(self, lasts_s: float) -> None:
        self._redis.kill()
        await asyncio.sleep(lasts_s)
        self._redis.start()  # not in a thread: the server ends with the thread that started it

    async def copy(self) -> Path:
        return await self.copy_redis(self._redis_folder)

    async def replace_redis(self, copy: Path) -> None:
        self._redis.kill()
        await asyncio.to_thread(swap, self._redis_folder, copy)
        self._redis.start()

    # SQL

    def _links(self, server: str) -> list[TcpProxy]:
        return [slot.links[server] for slot in self._slots]

    async def lock_sql(self, lasts_s: float) -> None:
        connection = await asyncpg.connect(self.sql_url)
        try:
            async with connection.transaction():
                await connection.execute("LOCK TABLE job IN ACCESS EXCLUSIVE MODE")
                await asyncio.sleep(lasts_s)
        finally:
            await connection.close()

    async def slow_sql(self, lasts_s: float) -> None:
        for link in self._links("sql"):
            link.delay_s = SLOW_S
        await asyncio.sleep(lasts_s)
        for link in self._links("sql"):
            link.delay_s = 0.0

    async def stop_sql(self, lasts_s: float) -> None:
        for link in self._links("sql"):
            link.refuse()
        await asyncio.sleep(lasts_s)
        for link in self._links("sql"):
            link.release()

    async def freed(self) -> None:
        await asyncio.to_thread(self._sql.revive)

    def link(self, part: str, which: int, server: str) -> TcpProxy:
        """The way from one process to a server."""
        return self._slot(part, which).links[server]
