"""The product as it is deployed, with handles on everything that can break. What all deployments have in common."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import time
from abc import ABC, abstractmethod
from pathlib import Path

import redis.asyncio
import redis.exceptions

from tests.system.chaos.disk import Disk
from tests.system.chaos.ledger import VARIABLE
from tests.system.chaos.plan import GRACE_S, LEASE_S, PAYLOAD_MAX_BYTES
from tests.system.product import TOKEN

COMMAND_S = 5.0
TASKS = "tests.system.chaos.task"
AOF = "appendonlydir"


class Deployment(ABC):
    """Starts the product, breaks parts of it, and stops it."""

    urls: list[str]
    """Where the APIs are."""
    redis_url: str
    """Redis itself, without anything between."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ledger = folder / "ledger"
        self.disk = Disk()
        self.deaths: list[tuple[int, float]] = []
        """Workers that were killed: process id and time."""
        self.faults: list[str] = []
        """What the product did that no fault excuses, such as an exit code."""

    def environ(self) -> dict[str, str]:
        """Settings that hurry: what would take half a minute takes seconds."""
        return {
            "QUEUEQL_TASKS": TASKS,
            "QUEUEQL_ADMIN_TOKEN": TOKEN,
            "QUEUEQL_LEASE_S": str(LEASE_S),
            "QUEUEQL_RENEW_S": "0.5",
            "QUEUEQL_GRACE_S": str(GRACE_S),
            "QUEUEQL_CONCURRENCY": "50",
            "QUEUEQL_PAYLOAD_MAX_BYTES": str(PAYLOAD_MAX_BYTES),
            "QUEUEQL_LOG_LEVEL": "INFO",
            VARIABLE: str(self.ledger),
        }

    @abstractmethod
    async def start(self) -> None:
        """Start everything."""

    @abstractmethod
    async def stop(self) -> None:
        """Stop everything, in order; what ends otherwise than it should is added to `faults`."""

    @abstractmethod
    def pids(self, part: str) -> list[int]:
        """Process ids of a part that run now: `worker`, `services`, `api` or `redis`."""

    @abstractmethod
    async def kill(self, part: str, which: int, away_s: float) -> None:
        """SIGKILL; the part comes back by itself, after `away_s` at least where that can be chosen."""

    @abstractmethod
    async def term(self, part: str, which: int) -> None:
        """SIGTERM; another process takes its place. Returns when it has ended."""

    @abstractmethod
    async def replace_redis(self, copy: Path) -> None:
        """Kill Redis, and let it start from an older copy of its folder."""

    @abstractmethod
    async def lock_sql(self, lasts_s: float) -> None:
        """Let a stranger hold a lock on the database."""

    @abstractmethod
    async def slow_sql(self, lasts_s: float) -> None:
        """Let everything take longer in the database."""

    async def freed(self) -> None:  # noqa: B027  # most deployments repair themselves
        """Repair what a full disk has ended that an operator would start again."""

    # What is the same everywhere

    def pid(self, part: str, which: int) -> int | None:
        """One of a part's processes; None where none runs at this moment."""
        found = sorted(self.pids(part))
        return found[which % len(found)] if found else None

    async def freeze(self, part: str, which: int, lasts_s: float) -> None:
        """SIGSTOP, and SIGCONT later."""
        pid = self.pid(part, which)
        if pid and send(pid, signal.SIGSTOP):
            await asyncio.sleep(lasts_s)
            send(pid, signal.SIGCONT)

    async def flush_redis(self) -> None:
        """Wipe Redis, once it answers."""
        async with asyncio.timeout(30), redis.asyncio.Redis.from_url(self.redis_url) as client:
            while True:
                try:
                    await client.flushall()
                except (redis.exceptions.ConnectionError, redis.exceptions.BusyLoadingError):
                    await asyncio.sleep(0.05)
                else:
                    return

    async def copy_redis(self, folder: Path) -> Path:
        """Copy Redis's files while it runs."""
        target = self.folder / f"copy-{time.monotonic_ns()}"
        await asyncio.to_thread(_copy, folder / AOF, target)
        return target

    async def fill_disk(self, lasts_s: float) -> None:
        """Leave no room on the disk for a while."""
        writers = [*self.pids("api"), *self.pids("services")]
        await asyncio.to_thread(self.disk.fill, writers)
        try:
            await asyncio.sleep(lasts_s)
        finally:
            self.disk.free()
            await self.freed()


def _copy(source: Path, target: Path) -> None:
    """Copy the append-only file as it is; its parts change their names now and then."""
    for _ in range(20):
        shutil.rmtree(target, ignore_errors=True)
        try:
            shutil.copytree(source, target)
        except (FileNotFoundError, shutil.Error):
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"{source} cannot be copied.")


def swap(folder: Path, copy: Path) -> None:
    """Put the older copy in the place of Redis's files."""
    shutil.rmtree(folder / AOF, ignore_errors=True)
    shutil.copytree(copy, folder / AOF)


def send(pid: int, number: signal.Signals) -> bool:
    """Send a signal; False where the process is gone."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
