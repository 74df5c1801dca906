"""The stand-in on a free port of this process, and the sync against it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from examples.user_sync.directory_api import DirectoryApi
from examples.user_sync.stand_in.app import StandIn, build_app
from examples.user_sync.stand_in.directory import Directory
from examples.user_sync.sync import Sync
from examples.user_sync.table import Table
from examples.user_sync.user import SyncMode, SyncResult
from jobs import Context
from jobs.context import Surroundings
from tests.factories import make_spec

TOKEN = "a token"


class Observer:
    """Listens to a context as a worker does, and keeps what it hears; `at` is called at every progress report."""

    def __init__(self) -> None:
        self.percents: list[float] = []
        self.lines: list[str] = []
        self.checkpoint = ""
        self.at: Callable[[float], None] = lambda _percent: None

    def hear(self, context: Context) -> None:
        said = context.take()
        self.lines += [line[1] for line in said.lines]
        if said.checkpoint:
            self.checkpoint = said.checkpoint
            context.settle(said.saves)
        if said.progress:
            self.percents.append(said.progress.percentage)
            self.at(said.progress.percentage)

    def count(self, message: str) -> int:
        return sum(line.startswith(message) for line in self.lines)


class Desk:
    """A stand-in, a table, and syncs between them."""

    def __init__(self, stand_in: StandIn, server: TestServer, table: Table) -> None:
        self.stand_in = stand_in
        self.directory = stand_in.directory
        self.server = server
        self.url = str(server.make_url("/graphql"))
        self.table = table
        self.observer = Observer()

    def api(self, token: str = TOKEN, timeout_s: float = 10) -> DirectoryApi:
        return DirectoryApi(self.url, token, aiohttp.ClientTimeout(total=timeout_s))

    async def sync(self, sync_id: str = "1", mode: SyncMode = SyncMode.INCREMENTAL, batch_size: int = 10) -> SyncResult:
        self.observer = Observer()
        return await self.go_on(sync_id, mode, batch_size)

    async def go_on(self, sync_id: str, mode: SyncMode = SyncMode.INCREMENTAL, batch_size: int = 10) -> SyncResult:
        spec = make_spec(id=sync_id)
        ctx = Context(spec, 1, 1, 1, Surroundings(self.observer.hear), self.observer.checkpoint)
        async with self.api() as api:
            return await Sync(api, self.table, ctx, id=sync_id, batch_size=batch_size).run(mode)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """95 users, of which number 30, 60 and 90 cannot be read."""
    stand_in = StandIn(Directory(95, failing_every=30), TOKEN, slow_s=0.2)
    server = TestServer(build_app(stand_in))
    await server.start_server()
    yield Desk(stand_in, server, Table(tmp_path / "users.sqlite3"))
    await server.close()
