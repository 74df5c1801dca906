"""The store: everything that speaks SQL. It knows nothing of Redis."""

from __future__ import annotations

import os
import socket
from typing import Self

from jobs.clock import Clock, new_id, now_ms
from jobs.errors import SchemaAhead, SchemaBehind
from jobs.probe import NO_DATABASE, Check, Health
from jobs.store.accept import Accepted, Acceptor
from jobs.store.backup import Backup, Backups
from jobs.store.cancel import CancelRequest, CancelRequests
from jobs.store.catalogue import Catalogue
from jobs.store.config import sqlite_path
from jobs.store.database import Database, Dialect
from jobs.store.disk import Disk
from jobs.store.epoch import Epochs
from jobs.store.figures import SLOW_MS, Meter, StoreFigures
from jobs.store.leader import Leadership
from jobs.store.migrate import Migrator, SchemaState, connect
from jobs.store.quarantine import Quarantine
from jobs.store.record import History
from jobs.store.retention import Retention
from jobs.store.search import Search, Unfinished
from jobs.store.server import Server
from jobs.store.slow_query import SlowQueries, SlowQuery
from jobs.store.snapshot import Snapshots
from jobs.store.statistics import Statistics
from jobs.store.sums import Sums
from jobs.store.token import TokenKind, Tokens
from jobs.store.totals import Totals

__all__ = [
    "Accepted",
    "Backup",
    "CancelRequest",
    "Leadership",
    "Migrator",
    "SchemaState",
    "SlowQuery",
    "Store",
    "StoreFigures",
    "TokenKind",
    "Unfinished",
]


class Store:
    """A connected database of the right schema. It owns its connections: any number may be open in a process.

    Made by `open`, ended by `close`; a process with an open SQLite connection does not end.
    """

    def __init__(self, database: Database, clock: Clock, disk: Disk | None = None) -> None:
        self._database = database
        self.disk = disk or Disk()
        self.accept = Acceptor(database, clock, self.disk)
        self.cancel = CancelRequests(database)
        self.quarantine = Quarantine(database, clock)
        self.history = History(database, self.quarantine)
        self.search = Search(database, self.quarantine)
        self.catalogue = Catalogue(database, clock, self.quarantine)
        self.tokens = Tokens(database, clock)
        self.totals = Totals(database, clock)
        self.epoch = Epochs(database)
        self.retention = Retention(database)
        self.server = Server(database)
        self.slow = SlowQueries(database, clock)
        self.backups = Backups(database)
        self.statistics = Statistics(database)
        self.snapshots = Snapshots(database)
        self.sums = Sums(database, clock)
        self._clock = clock
        self._check = Check("store", self._ask, NO_DATABASE)

    @classmethod
    async def open(
        cls, url: str, *, clock: Clock = now_ms, disk_min_bytes: int = 0, slow_query_ms: float = SLOW_MS
    ) -> Self:
        """Connect: `sqlite:///path` or `postgres://...`. SQLite's folder and file are made where missing.

        SQLite accepts no new job while less than `disk_min_bytes` are free in its folder.
        A statement that takes `slow_query_ms` or longer is counted as slow, logged and noted in `slow`.
        Raises DatabaseUnreachable, SchemaBehind, SchemaAhead, SettingInvalid.
        """
        database = await connect(url, Meter(slow_ms=slow_query_ms))
        try:
            await _check(database)
        except BaseException:
            await database.close()
            raise
        path = sqlite_path(url)
        return cls(database, clock, Disk(path.parent if path else None, disk_min_bytes))

    @property
    def dialect(self) -> Dialect:
        """Which database it is."""
        return self._database.dialect

    def leadership(self, name: str) -> Leadership:
        """Make a candidate for the lead of what has this name (64 characters at most)."""
        return Leadership(self._database, self._clock, name, f"{socket.gethostname()}:{os.getpid()}:{new_id()}")

    def figures(self) -> StoreFigures:
        """Return the connections of this process, and how long its statements take. Costs nothing to ask."""
        return self._database.meter.figures(self._database.pool())

    async def health(self) -> Health:
        """Ask whether the database answers, can be written to, and takes new jobs. Never raises."""
        return await self._check.health()

    async def _ask(self) -> str:
        self.disk.check()
        self.accept.check()
        self.cancel.check()
        async with self._database.transaction():
            pass
        return "The database answers."

    async def close(self) -> None:
        """Write what waits to be accepted, then close every connection. Closing twice is allowed."""
        await self._check.close()
        await self.quarantine.close()
        await self.accept.close()
        await self.cancel.close()
        await self._database.close()


async def _check(database: Database) -> None:
    state = await Migrator().state_of(database)
    if state is SchemaState.BEHIND:
        raise SchemaBehind("The database is older than this QueueQL: run `queueql migrate` first.")
    if state is SchemaState.AHEAD:
        raise SchemaAhead("The database was migrated by a newer QueueQL: start that version, or use another database.")
