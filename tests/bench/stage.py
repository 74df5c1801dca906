"""What a bench of subscriptions plays on: Redis and a database, an API process, and processes full of subscribers."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil

from jobs.client import Client
from jobs.event import Position
from jobs.settings import Settings, load
from jobs.store import TokenKind
from jobs.store.migrate import Migrator
from jobs.viewer import SYSTEM, Role
from tests.bench.crowd import chain
from tests.bench.feeder import KINDS, Feeder
from tests.redis_server import RedisServer

_STARTED_S = 60
_ANSWER_S = 60


class Api:
    """One server process on a fixed port."""

    def __init__(self, module: list[str], settings: Settings, folder: Path) -> None:
        self._module = module
        self._folder = folder
        self._environ = os.environ | {
            "QUEUEQL_REDIS_URL": settings.redis_url,
            "QUEUEQL_DATABASE_URL": settings.database_url,
            "QUEUEQL_DATA": str(settings.data),
            "QUEUEQL_PORT": str(settings.port),
        }
        self.port = settings.port
        self._process: asyncio.subprocess.Process | None = None
        self.info: psutil.Process

    async def start(self) -> None:
        """Start, and wait until it listens."""
        with (self._folder / "processes.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", *self._module, env=self._environ, stdout=log, stderr=log
            )
        self.info = psutil.Process(self._process.pid)
        async with asyncio.timeout(_STARTED_S):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except OSError:
                    await asyncio.sleep(0.02)
                else:
                    writer.close()
                    return

    async def kill(self) -> None:
        """SIGKILL."""
        assert self._process
        self._process.kill()
        await self._process.wait()

    def cpu_s(self) -> float:
        """CPU seconds that it has used."""
        times = self.info.cpu_times()
        return float(times.user + times.system)

    def memory_kb(self) -> float:
        """Resident memory."""
        return float(self.info.memory_info().rss) / 1024


class Crowd:
    """A process of subscribers, see tests/bench/crowd.py."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def _answer(self) -> dict[str, Any]:
        assert self._process.stdout
        async with asyncio.timeout(_ANSWER_S):
            line = await self._process.stdout.readline()
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def say(self, command: str) -> dict[str, Any]:
        """Send a command; return the report that answers it."""
        assert self._process.stdin
        self._process.stdin.write(f"{command}\n".encode())
        return await self._answer()

    @classmethod
    @asynccontextmanager
    async def of(cls, folder: Path, **plan: Any) -> AsyncIterator[Crowd]:
        """Open the subscribers of a plan while the block runs."""
        file = folder / "plan.json"
        await asyncio.to_thread(file.write_text, json.dumps(plan))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "tests.bench.crowd", str(file), limit=2**24,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        crowd = cls(process)
        try:
            await crowd._answer()
            yield crowd
        finally:
            process.kill()
            await process.wait()


class Bench:
    """One Redis, one database, one folder."""

    def __init__(self, folder: Path, client: Client, settings: Settings, token: str) -> None:
        self.folder = folder
        self.client = client
        self.settings = settings
        self.token = token

    async def cursor(self) -> str:
        """Where the stream ends now."""
        return str(await self.client.broker.stream.last())

    def crowd(self, wheres: list[Any], after: str | None, **more: Any) -> Any:
        """Open subscribers, one for each filter."""
        plan = {"port": self.settings.port, "token": self.token, "wheres": wheres, "after": after} | more
        return Crowd.of(self.folder, **plan)

    async def expected(self, feeder: Feeder, after: str) -> tuple[list[int], list[int]]:
        """Count and checksum, for each kind of jobs, of all that the stream has after a cursor."""
        counts, sums = [0] * KINDS, [0] * KINDS
        at, end = Position.parse(after), await self.client.broker.stream.last()
        while at < end:
            reading = await self.client.broker.stream.scan(at, 10_000)
            for _, event in reading.events:
                kind = feeder.kinds[event.job]
                counts[kind] += 1
                sums[kind] = chain(sums[kind], event.job, event.version)
            at = reading.end
        return counts, sums


@asynccontextmanager
async def opened(jobs_per_s: float) -> AsyncIterator[tuple[Bench, Feeder]]:
    with tempfile.TemporaryDirectory(prefix="qq-bench-") as name:
        folder = Path(name)
        redis = RedisServer(folder)
        redis.start()
        settings = load(
            {}, redis_url=redis.url, database_url=f"sqlite:///{folder / 'bench.db'}", data=folder, port=_free_port(),
            lease_s=600.0, renew_s=100.0,
        )  # fmt: skip
        await Migrator().migrate(settings.database_url)
        client = await Client.open(settings)
        try:
            number, _ = await client.store.epoch.current()
            await client.broker.raise_epoch(await client.store.epoch.raise_to(number, await client.broker.run_id()))
            token = await client.commands.token.issue(SYSTEM, TokenKind.API, name="bench", role=Role.ADMIN)
            feeder = Feeder(client.broker, jobs_per_s)
            await feeder.run(0.2)
            yield Bench(folder, client, settings, token), feeder
        finally:
            await client.close()
            redis.stop()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
