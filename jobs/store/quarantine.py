"""The quarantine: records that could not be read, counted and readable."""

from __future__ import annotations

import hashlib
import sqlite3
from collections import OrderedDict
from collections.abc import Sequence

import asyncpg  # type: ignore[import-untyped]  # it ships no types
import structlog

from jobs.clock import Clock
from jobs.errors import InvalidCursor, StoreUnavailable
from jobs.page import Direction, Page, PageRequest
from jobs.probe import NO_DATABASE, Check, Health
from jobs.quarantine import Quarantined, Source, Unreadable
from jobs.store.bulk import Column, Insert
from jobs.store.cursor import Cursors, Keyset
from jobs.store.database import Database, Row, Transaction
from jobs.store.where import Query

log = structlog.get_logger(__name__)

KEPT_MAX = 10_000
"""Records that are kept; the oldest give way."""
NOTED_MAX = 1_000
"""Records that this process remembers to have noted."""
COUNT_MAX = 1_000

DAMAGE = (ValueError, TypeError, OverflowError, RecursionError, asyncpg.DataError, sqlite3.DataError)
"""What is raised by a record that is not as it should be, while it is read or written."""

_INSERT = Insert(
    "quarantine",
    (
        Column("at_ms", "bigint"),
        Column("source"),
        Column("ref"),
        Column("reason"),
        Column("record"),
        Column("digest"),
    ),
    "ON CONFLICT (digest) DO NOTHING",
)
_NAMES = "id, at_ms, source, ref, reason, record"
_MAKE_ROOM = (
    "DELETE FROM quarantine WHERE id <"  # noqa: S608  # a number of ours
    f" (SELECT min(id) FROM (SELECT id FROM quarantine ORDER BY id DESC LIMIT {KEPT_MAX}) AS kept)"
)


class Quarantine:
    """Keeps what could not be read. The same record is kept once."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._noted: OrderedDict[str, None] = OrderedDict()
        self._check = Check("quarantine", self._ask, NO_DATABASE)

    async def health(self) -> Health:
        """Tell how many records could not be read. Never raises."""
        return await self._check.health()

    async def _ask(self) -> str:
        count = await self.count()
        if not count:
            return "Every record could be read."
        return f"{count:,}{' or more' if count == COUNT_MAX else ''} records could not be read; see `quarantine`."

    async def close(self) -> None:
        """Ask no more."""
        await self._check.close()

    async def write(self, transaction: Transaction, records: Sequence[Unreadable]) -> None:
        """Keep records as a part of a transaction."""
        if not records:
            return
        now_ms = self._clock()
        rows = {(digest := _digest(one)): (now_ms, str(one.source), one.ref, one.reason, one.record, digest)
                for one in records}  # fmt: skip
        if await _INSERT.run(transaction, sorted(rows.values())):
            await transaction.execute(_MAKE_ROOM)
            log.warning("quarantine.kept", records=len(rows), first=records[0].ref, reason=records[0].reason)

    async def note(self, records: Sequence[Unreadable]) -> None:
        """Keep records that somebody came across while reading; never fails, and writes each of them once."""
        new = {digest: one for one in records if (digest := _digest(one)) not in self._noted}
        if not new:
            return
        try:
            async with self._database.transaction() as transaction:
                await self.write(transaction, list(new.values()))
        except StoreUnavailable as error:
            log.info("quarantine.left", records=len(new), reason=str(error))
            return
        self._noted.update(dict.fromkeys(new))
        while len(self._noted) > NOTED_MAX:
            self._noted.popitem(last=False)

    async def page(self, page: PageRequest) -> Page[Quarantined]:
        """Return a page of records, the newest first. Raises InvalidCursor, StoreUnavailable."""
        cursors = Cursors("quarantine", Direction.DESC)
        keyset = Keyset("id", Direction.DESC, page)
        found = Query(self._database.dialect)
        after, before = page.places(lambda cursor: _number(cursors.read(cursor)))
        if after is not None:
            found.where(keyset.after, after)
        if before is not None:
            found.where(keyset.before, before)
        sql = f"SELECT {_NAMES} FROM quarantine{found.text()} {keyset.order('id')}"  # noqa: S608  # values are parameters
        rows = await self._database.fetch(sql, found.values)
        return keyset.page(rows, _quarantined, lambda row: cursors.write(row["id"]))

    async def count(self) -> int:
        """Return how many records there are, counting up to 1,000. Raises StoreUnavailable."""
        sql = f"SELECT count(*) AS n FROM (SELECT 1 FROM quarantine LIMIT {COUNT_MAX}) AS counted"  # noqa: S608  # a number of ours
        return int((await self._database.fetch(sql))[0]["n"])

    async def find(self, record_id: str) -> Quarantined | None:
        """Return a record, None where there is none. Raises StoreUnavailable."""
        if not _is_number(record_id):
            return None
        rows = await self._database.fetch(f"SELECT {_NAMES} FROM quarantine WHERE id = $1", (int(record_id),))  # noqa: S608  # names of our own columns
        return _quarantined(rows[0]) if rows else None

    async def remove(self, record_id: str) -> bool:
        """Remove a record; False where there is none. Where it is found again it is kept again. Raises as above."""
        if not _is_number(record_id):
            return False
        async with self._database.transaction() as transaction:
            removed = await transaction.execute("DELETE FROM quarantine WHERE id = $1", (int(record_id),)) > 0
        self._noted.clear()
        return removed


def _digest(record: Unreadable) -> str:
    return hashlib.sha256(f"{record.source}\n{record.ref}\n{record.record}".encode()).hexdigest()


def _quarantined(row: Row) -> Quarantined:
    return Quarantined(
        id=row["id"],
        at_ms=row["at_ms"],
        source=Source(row["source"]),
        ref=row["ref"],
        reason=row["reason"],
        record=row["record"],
    )


def _is_number(text: str) -> bool:
    return text.isdecimal() and text.isascii() and len(text) <= 18


def _number(place: str) -> int:
    if not _is_number(place):
        raise InvalidCursor("This cursor is not one of this list and order.")
    return int(place)
