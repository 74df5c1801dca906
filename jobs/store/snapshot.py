"""Snapshots of the system, as rows: written once, read by time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec
import structlog

from jobs.errors import InvalidCursor
from jobs.metric import SeriesPoint, SeriesRequest
from jobs.page import Direction, Page, PageRequest
from jobs.snapshot import JobFigures, QueueFigures, QueueSection, Snapshot
from jobs.store.cursor import Cursors, Keyset
from jobs.store.database import Database, Dialect, Row, among, array
from jobs.store.quarantine import DAMAGE
from jobs.store.where import Query

log = structlog.get_logger(__name__)

SECTIONS = ("queues", "workers", "database", "redis", "notifications", "recorder", "processes", "errors")
"""The sections that have a column each, of JSON."""
SERIES_MAX = 1_500
"""Snapshots that a series looks at, evenly spread where there are more: five days of them, one every five minutes."""
QUEUE_SERIES_MAX = 1_000
"""The same for the series of one queue, which has to read through all queues."""
TOTAL_MAX = 500
"""Characters in which the total of a section is found, which stands at its beginning."""

_NAMES = f"id, at_ms, took_ms, {', '.join(SECTIONS)}, faults"
_SELECT = f"SELECT {_NAMES} FROM system_health_snapshots"  # noqa: S608  # names of our own columns
_ENDS = (
    "SELECT (SELECT id FROM system_health_snapshots WHERE at_ms >= $1 ORDER BY at_ms LIMIT 1) AS first,"
    " (SELECT id FROM system_health_snapshots WHERE at_ms < $2 ORDER BY at_ms DESC LIMIT 1) AS last"
)
_INSERT = (
    f"INSERT INTO system_health_snapshots (slot_ms, at_ms, took_ms, {', '.join(SECTIONS)}, faults, error_count)"  # noqa: S608  # as above
    f" VALUES ({', '.join(f'${number}' for number in range(1, len(SECTIONS) + 6))}) ON CONFLICT (slot_ms) DO NOTHING"
)
_PLAIN = re.compile(r"[\w.-]+", re.ASCII)
_encode = msgspec.json.Encoder().encode


class _Queues(msgspec.Struct, frozen=True):
    """The queues as they are stored: by name, so that one of them is found without reading all."""

    total: JobFigures
    each: dict[str, JobFigures]

    @classmethod
    def of(cls, section: QueueSection) -> _Queues:
        """Make it of a section."""
        return cls(section.total, {one.name: JobFigures(**_figures(one)) for one in section.each})

    def section(self) -> QueueSection:
        """Make a section of it."""
        each = tuple(QueueFigures(name=name, **_figures(one)) for name, one in self.each.items())
        return QueueSection(total=self.total, each=each)


def _figures(one: JobFigures) -> dict[str, Any]:
    return {name: getattr(one, name) for name in JobFigures.__struct_fields__}


_decoders = {
    field.name: msgspec.json.Decoder(_Queues | None if field.name == "queues" else field.type)
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
        if snapshot.queues is not None:
            sections[SECTIONS.index("queues")] = _Queues.of(snapshot.queues)
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
        """Return a figure over time; steps in which it is not known are left out.

        Of more than SERIES_MAX snapshots, or QUEUE_SERIES_MAX, every second, third ... is looked at.
        """
        dialect = self._database.dialect
        values: list[Any] = [asked.since_ms, asked.until_ms, asked.step_ms]
        section, *place = asked.metric.place
        if asked.queue is None:
            figure, most = _path(dialect, section, place), SERIES_MAX
        else:
            (figure, value), most = _of_queue(dialect, asked.queue, place[-1]), QUEUE_SERIES_MAX
            values.append(value)
        (ends,) = await self._database.fetch(_ENDS, (asked.since_ms, asked.until_ms))
        if ends["first"] is None or ends["last"] is None:
            return []
        # By their ids, so that those in between are not even read.
        ids = range(ends["first"], ends["last"] + 1, -(-(ends["last"] + 1 - ends["first"]) // most) or 1)
        values.append(array(dialect, ids))
        sql = (
            # Materialized: both databases would read the JSON once for each of the sums.
            f"WITH measured AS MATERIALIZED (SELECT (at_ms - $1) / $3 AS step, {figure} AS figure"  # noqa: S608  # names of our own columns and figures
            f" FROM system_health_snapshots WHERE {among(dialect, 'id', len(values), 'bigint')}"
            " AND at_ms >= $1 AND at_ms < $2)"
            " SELECT step, count(*) AS number, avg(figure) AS average, min(figure) AS least, max(figure) AS most"
            " FROM measured WHERE figure IS NOT NULL GROUP BY step ORDER BY step"
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
    """Write a figure of a section. Its total is read without the rest, which may be long."""
    *total, figure = names
    if not total:
        return _field(dialect, column, figure)
    if dialect == "postgres":
        behind = f"split_part(left({column}, {TOTAL_MAX}), '{{\"total\":{{', 2)"
        return _field(dialect, _object(behind), figure)
    piece = f"substr({column}, 10, instr({column}, '}}') - 9)"
    return f"CASE WHEN substr({column}, 1, 10) = '{{\"total\":{{' THEN {_field(dialect, piece, figure)} END"


def _of_queue(dialect: Dialect, queue: str, figure: str) -> tuple[str, str]:
    """Write the figure of a queue; return it with its parameter, the fourth."""
    if dialect == "postgres":
        # No string of JSON has a quote with a comma or bracket before it. No key of a figure has a bracket behind it.
        place = 3 if queue == "each" else 2  # the object that all of them are in has that name, too
        behind = f"COALESCE(NULLIF(split_part(queues, ',' || $4, {place}), ''), split_part(queues, ':{{' || $4, 2))"
        return _field(dialect, _object(behind), figure), f"{_encode(queue).decode()}:{{"
    if _PLAIN.fullmatch(queue):
        return f"json_extract({_sound('queues')}, $4)", f'$.each."{queue}".{figure}'
    # A path of SQLite cannot hold every name.
    each = f"json_each({_sound('queues')}, '$.each')"
    sql = f"(SELECT json_extract(value, '$.{figure}') FROM {each} WHERE key = $4)"  # noqa: S608  # names of our own figures
    return sql, queue


def _object(text: str) -> str:
    """Write what is in the object whose bracket a text of PostgreSQL stands behind; it has no other in it."""
    return f"split_part({text}, '}}', 1)"


def _field(dialect: Dialect, text: str, name: str) -> str:
    """Write a number of an object that has no other in it; null where the text is damaged."""
    if dialect == "postgres":  # where reading damaged JSON would end the whole query
        value = f"split_part(split_part({text}, '\"{name}\":', 2), ',', 1)"
        return f"substring({value} from '^-?[0-9]+(?:[.][0-9]+)?(?:[eE][-+]?[0-9]+)?')::double precision"
    return f"json_extract({_sound(text)}, '$.{name}')"


def _sound(text: str) -> str:
    """Write JSON for SQLite, null where it is damaged."""
    return f"CASE WHEN json_valid({text}) THEN {text} END"


def _snapshot(row: Row) -> Snapshot:
    parts: dict[str, Any] = {}
    unread: dict[str, str] = {}
    for name, decoder in _decoders.items():
        try:
            parts[name] = None if row[name] is None else decoder.decode(row[name])
        except DAMAGE:  # of another version, or damaged; the others tell what they know
            unread[name] = "What was stored cannot be read."
    if unread:
        log.warning("store.unread_snapshot", id=row["id"], parts=sorted(unread))
    if parts.get("queues") is not None:
        parts["queues"] = parts["queues"].section()
    parts["faults"] = (parts.get("faults") or {}) | unread
    return Snapshot(id=row["id"], at_ms=row["at_ms"], took_ms=row["took_ms"], **parts)


def _number(place: str) -> int:
    if not (place.isdecimal() and place.isascii() and len(place) <= 18):
        raise InvalidCursor("This cursor is not one of this list and order.")
    return int(place)
