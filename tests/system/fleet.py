"""One process of each type, as in production, on a Redis and a database that a test can take away."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp

from tests.system.product import ROOT, TOKEN, Api, Process

NAMES = ("services", "worker", "api")
ENQUEUE = """
mutation ($task: String!, $args: JSON) {
  jobEnqueue(input: {task: $task, args: $args}) { job { id } userErrors { code message } }
}
"""
STATE = "query ($id: ID!) { job(id: $id) { state } }"
TASKS = """
import asyncio, time
from pathlib import Path
from jobs import task

@task
async def begin(file: str) -> None:
    Path(file).touch()

@task
async def until_told(file: str) -> None:
    Path(file).touch()
    while Path(file).exists():
        await asyncio.sleep(0.05)

@task(max_attempts=1)
async def block(file: str) -> None:
    Path(file).touch()
    while Path(file).exists():
        time.sleep(0.05)
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


class Fleet:
    """`queueql api`, `worker` and `services`, each with a probe."""

    def __init__(self, folder: Path, redis_url: str, database_url: str, environ: Mapping[str, str] | None = None):
        self.folder = folder
        (folder / "fleet_tasks.py").write_text(TASKS)
        self.url = f"http://127.0.0.1:{free_port()}"
        self.probes = {name: f"http://127.0.0.1:{free_port()}" for name in NAMES}
        self._environ = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(folder)]),
            "QUEUEQL_REDIS_URL": redis_url,
            "QUEUEQL_DATABASE_URL": database_url,
            "QUEUEQL_TASKS": "fleet_tasks",
            "QUEUEQL_ADMIN_TOKEN": TOKEN,
            "QUEUEQL_PORT": self.url.rpartition(":")[2],
            **(environ or {}),
        }
        self.processes = {
            name: Process(name, ["queueql", name], folder, self._of(probe)) for name, probe in self.probes.items()
        }

    def _of(self, probe: str) -> dict[str, str]:
        return {**self._environ, "QUEUEQL_PROBE_PORT": probe.rpartition(":")[2]}

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Api]:
        """Run all of them, from the moment when they are ready; at the end they must stop in order."""
        migrate = [sys.executable, "-m", "queueql", "migrate"]
        subprocess.run(migrate, cwd=ROOT, env=self._environ, check=True, timeout=60, stdout=subprocess.DEVNULL)
        for process in self.processes.values():
            process.start()
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
            self._session = session
            try:
                await self.until_ready(60)
                yield Api(session, self.url)
            finally:
                codes = {name: await asyncio.to_thread(process.stop) for name, process in self.processes.items()}
        assert set(codes.values()) == {0}, codes

    # What the processes say of themselves

    async def ready(self, name: str) -> dict[str, Any]:
        """What the probe of a process says; empty where nothing answers as yet."""
        with contextlib.suppress(aiohttp.ClientConnectionError):
            async with self._session.get(f"{self.probes[name]}/readyz") as answer:
                body: dict[str, Any] = await answer.json(content_type=None)
                return body
        return {}

    async def until(self, name: str, *, ready: bool, within_s: float) -> float:
        """Wait until a process says that it is ready, or not; returns the seconds that it took."""
        began = time.monotonic()
        while ((body := await self.ready(name)).get("status") == "ready") is not ready:
            assert time.monotonic() - began < within_s, (name, body, self.processes[name].output())
            await asyncio.sleep(0.05)
        return time.monotonic() - began

    async def until_ready(self, within_s: float) -> list[float]:
        """Wait until all of them are ready."""
        return await asyncio.gather(*(self.until(name, ready=True, within_s=within_s) for name in NAMES))

    def said(self, name: str, pattern: str) -> list[str]:
        """What a pattern finds in the log of a process."""
        return re.findall(pattern, self.processes[name].output())


async def enqueue(api: Api, task: str, **args: Any) -> str:
    """Enqueue a job and return its id. Raises Refused."""
    payload = (await api.execute(ENQUEUE, {"task": task, "args": args}))["jobEnqueue"]
    assert payload["userErrors"] == []
    job_id: str = payload["job"]["id"]
    return job_id


async def until_state(api: Api, job_id: str, state: str, within_s: float) -> None:
    """Wait for a job's state, by history as the API tells it."""
    async with asyncio.timeout(within_s):
        while (await api.execute(STATE, {"id": job_id}))["job"]["state"] != state:
            await asyncio.sleep(0.05)
