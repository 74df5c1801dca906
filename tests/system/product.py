"""The whole product as processes, as `queueql up` starts it, and a client that knows nothing but its API."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import psutil

ROOT = Path(__file__).parents[2]
TOKEN = "token-of-the-system-tests"
_READY_S = 60
_STOP_S = 40


class Closed(Exception):
    """The server ended a connection."""


class Refused(Exception):
    """The server answered with an error. `code` is the stable one, else the HTTP status."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class Process:
    """A process whose output goes to a file, so that a failing test can show it."""

    def __init__(
        self,
        name: str,
        arguments: list[str],
        folder: Path,
        environ: Mapping[str, str] | None = None,
        *,
        cwd: Path = ROOT,
    ) -> None:
        self.name = name
        self._cwd = cwd
        self.log = folder / f"{name}.log"
        self._arguments = [sys.executable, "-m", *arguments]
        self._environ = {**os.environ, "PYTHONUNBUFFERED": "1", **(environ or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._arguments, cwd=self._cwd, env=self._environ, stdout=log, stderr=log, start_new_session=True
            )

    def find(self, pattern: str, timeout_s: float = _READY_S) -> str:
        """Wait for a line of the output that matches, and return the pattern's first group."""
        assert self._process
        deadline = time.monotonic() + timeout_s
        while not (found := re.search(pattern, self.output())):
            assert self._process.poll() is None, f"{self.name} ended:\n{self.output()}"
            assert time.monotonic() < deadline, f"{self.name} did not say {pattern!r}:\n{self.output()}"
            time.sleep(0.02)
        return found.group(1)

    def output(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    def kill(self) -> None:
        """SIGKILL."""
        assert self._process
        self._process.kill()
        self._process.wait()

    def send(self, number: signal.Signals) -> None:
        assert self._process
        self._process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM, *, within_s: float = _STOP_S) -> int:
        """Send a signal and return the exit code."""
        assert self._process
        self._process.send_signal(number)
        try:
            return self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            raise


class Product:
    """`with Product(folder, tasks="my.tasks") as product`: runs until the block ends."""

    def __init__(self, folder: Path, *, tasks: str, environ: Mapping[str, str] | None = None) -> None:
        arguments = ["queueql", "up", "--port", "0", "--data", str(folder / "data"), "--tasks", tasks]
        self.process = Process("queueql", arguments, folder, {**(environ or {}), "QUEUEQL_ADMIN_TOKEN": TOKEN})
        self.url = ""

    def __enter__(self) -> Self:
        self.process.start()
        self.url = self.process.find(r"runs at (http://\S+)")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        code = self.process.stop()
        assert kind or code == 0, f"queueql ended with {code}:\n{self.process.output()}"

    def find(self, words: str) -> psutil.Process:
        """Return the process below `queueql up` whose command line has these words."""
        for process in psutil.Process(self.process.pid).children(recursive=True):
            if words in " ".join(process.cmdline()):
                return process
        raise AssertionError(f"There is no process {words!r}.")


class Api:
    """A client of the GraphQL API."""

    def __init__(self, session: aiohttp.ClientSession, url: str, token: str = TOKEN) -> None:
        self._session = session
        self._url = f"{url}/graphql"
        self._headers = {"Authorization": f"Bearer {token}"}

    async def until_ready(self, timeout_s: float = _READY_S) -> None:
        """Wait until the process answers that it is ready."""
        url = self._url.removesuffix("/graphql") + "/readyz"
        async with asyncio.timeout(timeout_s):
            while True:
                with contextlib.suppress(aiohttp.ClientConnectionError):
                    async with self._session.get(url) as response:
                        if response.status == 200:
                            return
                await asyncio.sleep(0.05)

    async def execute(self, document: str, variables: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run a query or mutation. Raises Refused for an answer with errors."""
        body = io.BytesIO(json.dumps({"query": document, "variables": variables or {}}).encode())
        headers = {**self._headers, "Content-Type": "application/json"}
        async with self._session.post(self._url, data=body, headers=headers) as response:
            answer: dict[str, Any] = await response.json(content_type=None)
        if response.status != 200:
            raise Refused(str(answer.get("code") or response.status), str(answer))
        if "errors" in answer:
            raise _refused(answer["errors"])
        data: dict[str, Any] = answer["data"]
        return data

    async def subscribe(
        self, document: str, variables: dict[str, Any] | None = None, *, silence_s: float | None = None
    ) -> AsyncIterator[dict[str, Any]]:
        """Yield what a subscription delivers, over graphql-transport-ws, until it completes.

        With `silence_s`, a server that does not even answer pings for so long counts as gone.
        Raises Closed, and Refused for an answer with errors.
        """
        async with self._session.ws_connect(
            self._url, protocols=["graphql-transport-ws"], headers=self._headers, max_msg_size=0, heartbeat=silence_s
        ) as socket:
            await socket.send_json({"type": "connection_init", "payload": {}})
            first = await socket.receive(silence_s)
            if first.type is not aiohttp.WSMsgType.TEXT:
                raise Closed(f"The socket closed with {socket.close_code}.")
            assert json.loads(first.data)["type"] == "connection_ack"
            payload = {"query": document, "variables": variables or {}}
            await socket.send_json({"id": "1", "type": "subscribe", "payload": payload})
            async for message in socket:
                if message.type is not aiohttp.WSMsgType.TEXT:
                    raise Closed(f"The socket broke: {message.data!r}.")
                said = json.loads(message.data)
                match said["type"]:
                    case "next":
                        if "errors" in said["payload"]:
                            raise _refused(said["payload"]["errors"])
                        yield said["payload"]["data"]
                    case "ping":
                        await socket.send_json({"type": "pong"})
                    case "error":
                        raise _refused(said["payload"])
                    case "complete":
                        return
                    case _:
                        raise AssertionError(said)
            raise Closed(f"The socket closed with {socket.close_code}.")


def _refused(errors: list[dict[str, Any]]) -> Refused:
    return Refused(str(errors[0].get("extensions", {}).get("code", "?")), str(errors))


async def until_published(api: Api, mutation: str, timeout_s: float = 30) -> None:
    """Wait until the schema has the mutation of a task that a worker publishes."""
    document = "{ __schema { mutationType { fields { name } } } }"
    async with asyncio.timeout(timeout_s):
        while True:
            fields = (await api.execute(document))["__schema"]["mutationType"]["fields"]
            if mutation in {field["name"] for field in fields}:
                return
            await asyncio.sleep(0.05)
