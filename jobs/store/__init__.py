"""The store: everything that speaks SQL. It knows nothing of Redis."""

from __future__ import annotations

from typing import Self

from jobs.clock import Clock, now_ms
from jobs.errors import SchemaAhead, SchemaBehind
from jobs.store.accept import Accepted, Acceptor
from jobs.store.catalogue import Catalogue
from jobs.store.database import Database, Dialect
from jobs.store.epoch import Epochs
from jobs.store.migrate import Migrator, SchemaState, connect
from jobs.store.record import History
from jobs.store.search import Search, Unfinished
from jobs.store.token import TokenKind, Tokens

__all__ = ["Accepted", "Migrator", "SchemaState", "Store", "TokenKind", "Unfinished"]


class Store:
    """A connected database of the right schema. It owns its connections: any number may be open in a process.

    Made by `open`, ended by `close`; a process with an open SQLite connection does not end.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self.accept = Acceptor(database, clock)
        self.history = History(database)
        self.search = Search(database)
        self.catalogue = Catalogue(database, clock)
        self.tokens = Tokens(database, clock)
        self.epoch = Epochs(database)

    @classmethod
    async def open(cls, url: str, *, clock: Clock = now_ms) -> Self:
        """Connect: `sqlite:///path` or `postgres://...`. SQLite's folder and file are made where missing.

        Raises DatabaseUnreachable, SchemaBehind, SchemaAhead, SettingInvalid.
        """
        database = await connect(url)
        try:
            await _check(database)
        except BaseException:
            await database.close()
            raise
        return cls(database, clock)

    @property
    def dialect(self) -> Dialect:
        """Which database it is."""
        return self._database.dialect

    async def close(self) -> None:
        """Write what waits to be accepted, then close every connection. Closing twice is allowed."""
        await self.accept.close()
        await self._database.close()


async def _check(database: Database) -> None:
    state = await Migrator().state_of(database)
    if state is SchemaState.BEHIND:
        raise SchemaBehind("The database is older than this QueueQL: run `queueql migrate` first.")
    if state is SchemaState.AHEAD:
        raise SchemaAhead("The database was migrated by a newer QueueQL: start that version, or use another database.")
