"""A Redis for tests, with synchronous control, on a unix socket."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import redis

from jobs.embedded import find_server, server_environment
from jobs.process import ends_with_parent


class RedisServer:
    """A real server that tests may kill, freeze and start again."""

    def __init__(self, folder: Path, *, append_only: bool = False) -> None:
        self.folder = folder
        self.append_only = append_only
        self.url = f"unix://{folder / 'redis.sock'}"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    def start(self) -> None:
        socket = self.folder / "redis.sock"
        socket.unlink(missing_ok=True)
        self._process = subprocess.Popen(
            [
                str(find_server()), "--port", "0", "--unixsocket", str(socket), "--dir", str(self.folder),
                "--save", "", "--appendonly", "yes" if self.append_only else "no",
            ],
            env=server_environment(),
            stdout=subprocess.DEVNULL,
            # Also where a test that failed never stops it.
            preexec_fn=ends_with_parent(signal.SIGKILL),  # noqa: PLW1509  # two system calls, which need no lock
        )  # fmt: skip
        deadline = time.monotonic() + 10
        while True:
            try:
                with redis.Redis.from_url(self.url) as client:
                    client.ping()
            except (redis.exceptions.ConnectionError, redis.exceptions.BusyLoadingError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
            else:
                return

    def flush(self) -> None:
        with redis.Redis.from_url(self.url) as client:
            client.flushall()

    def send_signal(self, number: signal.Signals) -> None:
        assert self._process
        self._process.send_signal(number)

    def kill(self) -> None:
        assert self._process
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        if self._process:
            self._process.terminate()
            self._process.wait(10)
