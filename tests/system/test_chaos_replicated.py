"""The same chaos on an external Redis and PostgreSQL, with two of each process, as docker/compose.yaml has it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.databases import new_postgres
from tests.postgres_server import PostgresServer
from tests.redis_server import RedisServer
from tests.system.chaos import check, flush_all, history, read_ledger, run_with_faults
from tests.system.product import ROOT, TOKEN, Api, Process, until_published

TOTAL = 10_000


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class Replicas:
    """Two API processes, two workers, two services, each a process of its own."""

    def __init__(self, folder: Path, environ: dict[str, str]) -> None:
        self._folder = folder
        self._environ = environ
        self.urls = [f"http://127.0.0.1:{free_port()}" for _ in range(2)]
        self.processes = {
            f"{name}-{number}": self._process(name, number)
            for name in ("services", "worker", "api")
            for number in (1, 2)
        }

    def _process(self, name: str, number: int, suffix: str = "") -> Process:
        arguments = ["queueql", name]
        if name == "api":
            arguments += ["--port", self.urls[number - 1].rpartition(":")[2]]
        return Process(f"{name}-{number}{suffix}", arguments, self._folder, self._environ)

    def migrate(self) -> None:
        subprocess.run(
            [sys.executable, "-m", "queueql", "migrate"],
            cwd=ROOT,
            env=self._environ,
            check=True,
            timeout=60,
            stdout=subprocess.DEVNULL,
        )

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        self.migrate()
        for process in self.processes.values():
            process.start()
        try:
            yield
        finally:
            codes = {name: process.stop() for name, process in reversed(self.processes.items())}
        assert set(codes.values()) == {0}, codes

    async def replace(self, name: str) -> None:
        """Kill a process, and start another in its place, as an orchestrator would."""
        self.processes[name].kill()
        kind, number = name.split("-")
        again = self.processes[name] = self._process(kind, int(number), "-again")
        again.start()
        await asyncio.to_thread(again.find, r"(\w+\.(?:started|listening))")


@pytest.mark.timeout(180)
async def test_no_accepted_job_is_lost(folder: Path, postgres_server: PostgresServer) -> None:
    ledger = folder / "ledger"
    redis_server = RedisServer(folder, append_only=True)
    redis_server.start()
    with new_postgres(postgres_server) as database_url:
        environ = {
            "PATH": "/usr/bin:/bin",
            "QUEUEQL_REDIS_URL": redis_server.url,
            "QUEUEQL_DATABASE_URL": database_url,
            "QUEUEQL_TASKS": "tests.system.chaos_tasks",
            "QUEUEQL_ADMIN_TOKEN": TOKEN,
            "CHAOS_LEDGER": str(ledger),
        }
        replicas = Replicas(folder, environ)
        with replicas.running():
            async with aiohttp.ClientSession() as session:
                api = Api(session, replicas.urls[0])
                other = Api(session, replicas.urls[1])
                await api.until_ready()
                await until_published(api, "workEnqueue")

                async def kill_worker() -> None:
                    await replicas.replace("worker-1")

                async def kill_redis() -> None:
                    redis_server.kill()
                    redis_server.start()
                    await replicas.replace("services-1")

                async def flush() -> None:
                    await flush_all(redis_server.url)

                accepted, events = await run_with_faults(
                    api, ledger, TOTAL, [kill_worker, kill_redis, flush], timeout_s=120
                )
                check(accepted, await history(other), read_ledger(ledger), events)
    redis_server.stop()
