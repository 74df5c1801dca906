"""Snapshots of the system, as rows: written once, read by time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from jobs.errors import InvalidCursor
from jobs.metric import SeriesPoint, SeriesRequest
from jobs.page import Direction, Page, PageRequest
from jobs.snapshot import Snapshot
from jobs.store.cursor import Cursors, Keyset
from jobs.store.database import Database, Dialect, Row
from jobs.store.where import Query

SECTIONS = ("queues", "workers", "database", "redis", "notifications", "recorder", "processes", "errors")
"""The sections that have a column each, of JSON."""
SERIES_MAX = 100_000
"""Snapshots that a series looks at; the oldest are left out. A year of them, one every five minutes, is as many."""

_NAMES = f"id, at_ms, took_ms, {', '.join(SECTIONS)}, faults"
_SELECT = f"SELECT {_NAMES} FROM system_health_snapshots"  # noqa: S608  # names of our own columns
_INSERT = (
    f"INSERT INTO system_health_snapshots (slot_ms, at_ms, took_ms, {', '.join(SECTIONS)}, faults, error_count)"  # noqa: S608  # as above
    f" VALUES ({', '.join(f'${number}' for number in range(1, len(SECTIONS) + 6))}) ON CONFLICT (slot_ms) DO NOTHING"
)
_encode = msgspec.json.Encoder().encode
_decoders = {
    field.name: msgspec.json.Decoder(field.type)
    for field in msgspec.structs.fields(Snapshot)
    if field.name in (*SECTIONS, "faults")
}


class Snapshots:
    """The table of snapshots. Every method may raise StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, snapshot: Snapshot, slot_ms: int) -> bool:
        """Store a snapshot, in one insert; False where another process has stored one for this slot."""
        sections = [getattr(snapshot, name) for name in SECTIONS]
        texts = [None if section is None else _encode(section).decode() for section in sections]
        count = snapshot.errors.count if snapshot.errors else None
        values = (slot_ms, snapshot.at_ms, snapshot.took_ms, *texts, _encode(snapshot.faults).decode(), count)
        async with self._database.transaction() as transaction:
            return await transaction.execute(_INSERT, values) > 0

    async def newest_id(self) -> int | None:
        """Return the id of the snapshot that was stored last; cheap to poll."""
        rows = await self._database.fetch("SELECT max(id) AS id FROM system_health_snapshots")
        found: int | None = rows[0]["id"]
        return found

    async def find(self, snapshot_id: int) -> Snapshot | None:
        """Return a snapshot, None where there is none."""
        rows = await self._database.fetch(f"{_SELECT} WHERE id = $1", (snapshot_id,))
        return _snapshot(rows[0]) if rows else None

    async def at(self, at_ms: int) -> Snapshot | None:
        """Return the newest snapshot of that moment or before, None where there is none."""
        rows = await self._database.fetch(f"{_SELECT} WHERE at_ms <= $1 ORDER BY at_ms DESC LIMIT 1", (at_ms,))
        return _snapshot(rows[0]) if rows else None

    async def page(self, page: PageRequest) -> Page[Snapshot]:
        """Return a page of snapshots, the newest first. Raises InvalidCursor, too."""
        cursors = Cursors("snapshot", Direction.DESC)
        keyset = Keyset("id", Direction.DESC, page)
        found = Query(self._database.dialect)
        after, before = page.places(lambda cursor: _number(cursors.read(cursor)))
        if after is not None:
            found.where(keyset.after, after)
        if before is not None:
            found.where(keyset.before, before)
        rows = await self._database.fetch(f"{_SELECT}{found.text()} {keyset.order('id')}", found.values)
        return keyset.page(rows, _snapshot, lambda row: cursors.write(row["id"]))

    async def series(self, asked: SeriesRequest) -> list[SeriesPoint]:
        """Return a figure over time; steps in which it is not known are left out."""
        values: list[Any] = [asked.since_ms, asked.until_ms, asked.step_ms]
        section, *place = asked.metric.place
        if asked.queue is None:
            figure = _path(self._database.dialect, section, place)
        else:
            values.append(asked.queue)
            figure = _of_queue(self._database.dialect, place[-1])
        sql = (
            "SELECT step, count(figure) AS number, avg(figure) AS average, min(figure) AS least, max(figure) AS most"  # noqa: S608  # names of our own columns and figures
            f" FROM (SELECT (at_ms - $1) / $3 AS step, {figure} AS figure FROM"
            f" (SELECT at_ms, {section} FROM system_health_snapshots WHERE at_ms >= $1 AND at_ms < $2"
            f" ORDER BY at_ms DESC LIMIT {SERIES_MAX}) AS looked) AS measured"
            " WHERE figure IS NOT NULL GROUP BY step ORDER BY step"
        )
        rows = await self._database.fetch(sql, values)
        return [
            SeriesPoint(
                at_ms=asked.since_ms + row["step"] * asked.step_ms,
                count=row["number"],
                average=float(row["average"]),
                least=float(row["least"]),
                most=float(row["most"]),
            )
            for row in rows
        ]


def _path(dialect: Dialect, column: str, names: Sequence[str]) -> str:
    if dialect == "postgres":
        return f"({column}::jsonb #>> '{{{','.join(names)}}}')::double precision"
    return f"json_extract({column}, '$.{'.'.join(names)}')"


def _of_queue(dialect: Dialect, figure: str) -> str:
    """Write the figure of the queue that is parameter 4."""
    if dialect == "postgres":
        return (
            f"(SELECT (one ->> '{figure}')::double precision"  # noqa: S608  # names of our own figures
            " FROM jsonb_array_elements(queues::jsonb -> 'each') AS one WHERE one ->> 'name' = $4)"
        )
    return (
        f"(SELECT json_extract(one.value, '$.{figure}')"  # noqa: S608  # as above
        " FROM json_each(queues, '$.each') AS one WHERE json_extract(one.value, '$.name') = $4)"
    )


def _snapshot(row: Row) -> Snapshot:
    sections: dict[str, Any] = {}
    unread: dict[str, str] = {}
    for name in SECTIONS:
        try:
            sections[name] = None if row[name] is None else _decoders[name].decode(row[name])
        except ValueError:  # of another version, or damaged; the others tell what they know
            unread[name] = "What was stored cannot be read."
    faults = _decoders["faults"].decode(row["faults"]) | unread
    return Snapshot(id=row["id"], at_ms=row["at_ms"], took_ms=row["took_ms"], faults=faults, **sections)


def _number(place: str) -> int:
    if not (place.isdecimal() and place.isascii() and len(place) <= 18):
        raise InvalidCursor("This cursor is not one of this list and order.")
    return int(place)
