"""A proxy between the product and one of its servers that holds back, delays or cuts what passes through it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit, urlunsplit

_CHUNK = 65_536
_DEFAULT_PORTS = {"redis": 6379, "postgres": 5432, "postgresql": 5432}
_KEEPALIVE_S = {"postgres": 4.0, "postgresql": 4.0}
"""When a server gives up a client that is gone: the proxy answers its keepalives, as a network that is gone cannot."""
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER that ends a connection with a reset."""


class _Link:
    """One connection that passes through."""

    def __init__(self, near: asyncio.StreamWriter) -> None:
        self.near = near
        self.far: asyncio.StreamWriter | None = None
        self.tasks: set[asyncio.Task[None]] = set()
        self.stranded = False


class TcpProxy:
    """`with TcpProxy(url) as proxy`: `proxy.url` leads to the same server, through this.

    `url` is a `redis://`, `unix://` (Redis) or `postgres://` URL. It runs in a thread of its own, so it goes on
    while a test blocks, and its methods may be called from everywhere. All of them take effect before they return.
    """

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tcp-proxy", daemon=True)
        self._links: set[_Link] = set()
        self._open = asyncio.Event()
        self._open.set()
        self._refusing = False
        self._server: asyncio.Server | None = None
        self.port = 0
        self.delay_s = 0.0
        """How much later everything arrives, in each direction."""

    @property
    def url(self) -> str:
        """The URL with the proxy's address in place of the server's."""
        user, at, _ = self._target.netloc.rpartition("@")
        scheme, path = self._target.scheme, self._target.path
        if scheme == "unix":
            scheme, path = "redis", ""
        return urlunsplit(self._target._replace(scheme=scheme, netloc=f"{user}{at}127.0.0.1:{self.port}", path=path))

    @property
    def connections(self) -> int:
        """How many connections pass through now."""
        return len(self._links)

    def hold(self) -> None:
        """Be a network that drops packets, or a server that is frozen: nothing passes and nothing is closed."""
        self._do(self._set(opened=False))

    def strand(self) -> None:
        """Be a router that forgot its connections: those that exist stay silent for good, new ones work.

        The server may find out by its keepalives; the client is told nothing.
        """
        self._do(self._strand())

    def cut(self) -> None:
        """Reset every connection; new ones work."""
        self._do(self._cut())

    def refuse(self) -> None:
        """Be a server that is away: every connection is reset, new ones too."""
        self._do(self._set(refusing=True))
        self._do(self._cut())

    def release(self) -> None:
        """Pass everything on again, first of all what was held back."""
        self._do(self._set(opened=True, refusing=False))

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._listen())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Coroutine[None, None, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    # In the thread

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        assert self._server
        self._server.close()
        self._refusing = True
        await self._cut()
        # One that was being accepted at this moment is refused, and what was reset closes with the loop's next turns.
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            await asyncio.wait(others, timeout=5)
        for _ in range(3):
            await asyncio.sleep(0)

    async def _set(self, *, opened: bool | None = None, refusing: bool | None = None) -> None:
        if refusing is not None:
            self._refusing = refusing
        if opened is True:
            self._open.set()
        elif opened is False:
            self._open.clear()

    async def _strand(self) -> None:
        for link in self._links:
            link.stranded = True
            if link.far and (after_s := _KEEPALIVE_S.get(self._target.scheme)):
                self._loop.call_later(after_s, _reset, link.far)

    async def _cut(self) -> None:
        links = list(self._links)
        tasks = {task for link in links for task in link.tasks}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, near_reader: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        if self._refusing:
            _reset(near)
            return
        link = _Link(near)
        self._links.add(link)
        this = asyncio.current_task()
        assert this
        link.tasks.add(this)
        writers = [near]
        try:
            far_reader, far = await self._connect()
            writers.append(far)
            link.far = far
            there = asyncio.create_task(self._pass(link, near_reader, far))
            back = asyncio.create_task(self._pass(link, far_reader, near))
            link.tasks |= {there, back}
            await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
            for task in (there, back):
                task.cancel()
            for writer in writers:
                writer.close()
        except (OSError, asyncio.CancelledError):
            for writer in writers:
                _reset(writer)
        finally:
            self._links.discard(link)
            for writer in writers:
                with contextlib.suppress(OSError, asyncio.CancelledError):
                    await writer.wait_closed()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        await self._open.wait()
        if self._target.scheme == "unix":
            return await asyncio.open_unix_connection(self._target.path)
        port = self._target.port or _DEFAULT_PORTS[self._target.scheme]
        return await asyncio.open_connection(self._target.hostname, port)

    async def _pass(self, link: _Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(_CHUNK):
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                await self._open.wait()
                if link.stranded:
                    break
                writer.write(data)
                await writer.drain()
        except OSError:
            if not link.stranded:
                return
        while link.stranded:  # until it is cancelled
            await asyncio.sleep(3600)


def _reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    if connection is not None and not writer.is_closing():
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
