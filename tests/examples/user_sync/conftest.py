"""The stand-in on a free port of this process, and the sync against it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from examples.user_sync.directory_api import DirectoryApi
from examples.user_sync.stand_in.app import StandIn, build_app
from examples.user_sync.stand_in.directory import Directory
from examples.user_sync.sync import Sync
from examples.user_sync.table import Table
from examples.user_sync.user import SyncMode, SyncResult

TOKEN = "a token"


class Recorder:
    """An observer that keeps what it is told; `at` is called at every progress report."""

    def __init__(self) -> None:
        self.steps: list[tuple[float, str]] = []
        self.lines: list[tuple[str, dict[str, Any]]] = []
        self.at: Callable[[float], None] = lambda _percent: None

    async def progress(self, done: float, of: float, step: str, message: str) -> None:
        percent = 100 * done / of if of else 0.0
        self.steps.append((percent, step))
        self.at(percent)

    def info(self, message: str, *, exc_info: BaseException | None = None, **context: Any) -> None:
        self.lines.append((message, context))

    def warning(self, message: str, *, exc_info: BaseException | None = None, **context: Any) -> None:
        self.lines.append((message, context))

    def count(self, message: str) -> int:
        return sum(line == message for line, _ in self.lines)


class Desk:
    """A stand-in, a table, and syncs between them."""

    def __init__(self, stand_in: StandIn, server: TestServer, table: Table) -> None:
        self.stand_in = stand_in
        self.directory = stand_in.directory
        self.server = server
        self.url = str(server.make_url("/graphql"))
        self.table = table
        self.observer = Recorder()

    def api(self, token: str = TOKEN, timeout_s: float = 10) -> DirectoryApi:
        return DirectoryApi(self.url, token, aiohttp.ClientTimeout(total=timeout_s))

    async def sync(self, sync_id: str = "1", mode: SyncMode = SyncMode.INCREMENTAL, batch_size: int = 10) -> SyncResult:
        self.observer = Recorder()
        return await self.go_on(sync_id, mode, batch_size)

    async def go_on(self, sync_id: str, mode: SyncMode = SyncMode.INCREMENTAL, batch_size: int = 10) -> SyncResult:
        async with self.api() as api:
            return await Sync(api, self.table, self.observer, id=sync_id, batch_size=batch_size).run(mode)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """95 users, of which number 30, 60 and 90 cannot be read."""
    stand_in = StandIn(Directory(95, failing_every=30), TOKEN, slow_s=0.2)
    server = TestServer(build_app(stand_in))
    await server.start_server()
    yield Desk(stand_in, server, Table(tmp_path / "users.sqlite3"))
    await server.close()
