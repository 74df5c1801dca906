"""A connection to PostgreSQL that breaks at the worst moment."""

from __future__ import annotations

import asyncio
from typing import Self
from urllib.parse import urlsplit, urlunsplit


class CuttingProxy:
    """Passes everything on, but swallows the answers to the first `cuts` COMMITs and closes the connection."""

    def __init__(self, url: str, *, cuts: int) -> None:
        self.cuts = cuts
        self._target = urlsplit(url)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        assert self._server
        port = self._server.sockets[0].getsockname()[1]
        user = self._target.netloc.rpartition("@")[0]
        return urlunsplit(self._target._replace(netloc=f"{user}@127.0.0.1:{port}"))

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        far_reader, far_writer = await asyncio.open_connection(self._target.hostname, self._target.port)
        answers = asyncio.create_task(self._pass(far_reader, writer))
        self._tasks.add(answers)
        try:
            while data := await reader.read(65_536):
                if self.cuts and b"COMMIT;" in data:
                    self.cuts -= 1
                    answers.cancel()
                    far_writer.write(data)
                    await far_reader.read(65_536)  # it has committed
                    break
                far_writer.write(data)
        finally:
            far_writer.close()
            writer.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
        writer.close()
