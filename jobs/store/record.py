"""Recording: events become history, and the recorder's position moves, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from jobs.errors import Stale
from jobs.event import JobEvent, Position, Quarantined
from jobs.quarantine import Source, Unreadable, unreadable
from jobs.store.accept import INSERT_QUEUE, INSERT_TAG
from jobs.store.bulk import Column, Insert, Update
from jobs.store.database import Database, Transaction, among, array
from jobs.store.fold import Fold, JobRow
from jobs.store.quarantine import DAMAGE, Quarantine
from jobs.store.rollup import add_up
from jobs.store.rows import BIG, FOLDED, FOLDED_NAMES, INT, SPEC, spec_values, storable
from jobs.store.tally import Place

_MOVE = "UPDATE recorder SET position = $1 WHERE id = 1 AND position = $2"
_READ = f"SELECT id, queue, task, created_ms, {FOLDED_NAMES} FROM job WHERE "  # noqa: S608  # names of our own columns
_INSERT_JOB = Insert("job", (*SPEC, *FOLDED), "ON CONFLICT (id) DO NOTHING")
_UPDATE_JOB = Update(
    "job",
    Column("id"),
    FOLDED,
    # Only rerun() can have changed the row since it was read; its next run is newer than anything read here.
    "(job.run < {run} OR (job.run = {run} AND job.version <= {version}"
    " AND job.state NOT IN ('COMPLETED', 'CANCELLED', 'DEAD')))",
)
_UPSERT_ATTEMPT = Insert(
    "attempt",
    (
        Column("job_id"),
        Column("run", INT),
        Column("number", INT),
        Column("state"),
        Column("worker"),
        Column("started_ms", BIG),
        Column("finished_ms", BIG),
        Column("error"),
        Column("cpu_us", BIG),
    ),
    "ON CONFLICT (job_id, run, number) DO UPDATE SET"
    " state = excluded.state, finished_ms = excluded.finished_ms, error = excluded.error, cpu_us = excluded.cpu_us,"
    " worker = COALESCE(excluded.worker, attempt.worker),"
    " started_ms = CASE WHEN attempt.started_ms < excluded.started_ms"
    " THEN attempt.started_ms ELSE excluded.started_ms END"
    " WHERE attempt.state = 'ACTIVE'",
)
_INSERT_LOG = Insert(
    "log_line",
    (
        Column("job_id"),
        Column("run", INT),
        Column("attempt", INT),
        Column("at_ms", BIG),
        Column("level", "smallint"),
        Column("message"),
        Column("context"),
        Column("stack"),
    ),
    "",
)


PositionedEvent = tuple[Position, JobEvent]


class History:
    """What happened to the jobs. One recorder at a time writes it."""

    def __init__(self, database: Database, quarantine: Quarantine) -> None:
        self._database = database
        self._quarantine = quarantine

    async def position(self) -> Position:
        """Return up to where the events are recorded. Raises StoreUnavailable."""
        rows = await self._database.fetch("SELECT position FROM recorder WHERE id = 1")
        return Position.parse(rows[0]["position"])

    async def record(
        self,
        events: Sequence[PositionedEvent],
        *,
        old: Position,
        new: Position,
        unread: Sequence[Unreadable] = (),
    ) -> None:
        """Fold the events after `old`, in their order, into the tables, and move the position from `old` to `new`.

        An event that cannot be recorded goes into quarantine, as `unread` does. Raises Stale when another recorder
        has moved the position: nothing is written then. After StoreUnavailable the position tells what was.
        """
        try:
            await self._record(events, old, new, unread)
        except DAMAGE as error:
            if not events:
                raise
            await self._separate(events, old, new, unread, error)

    async def _separate(
        self,
        events: Sequence[PositionedEvent],
        old: Position,
        new: Position,
        unread: Sequence[Unreadable],
        error: Exception,
    ) -> None:
        """Record all but the event that the error is about, half by half."""
        if len(events) == 1:
            (position, event) = events[0]
            damaged = unreadable(Source.EVENT, str(position), error, msgspec.json.encode(event).decode())
            await self._record([], old, new, [*unread, damaged])
            return
        half = len(events) // 2
        middle = events[half - 1][0]
        if middle > old:
            await self.record(events[:half], old=old, new=middle)
        await self.record(events[half:], old=max(old, middle), new=new, unread=unread)

    async def _record(
        self, events: Sequence[PositionedEvent], old: Position, new: Position, unread: Sequence[Unreadable]
    ) -> None:
        async with self._database.transaction() as transaction:
            if not await transaction.execute(_MOVE, (str(new), str(old))):
                raise Stale("Another recorder leads.")
            fresh = [event for position, event in events if position > old]
            if fresh:
                fold = Fold(*await _stored(transaction, sorted({event.job for event in fresh})))
                for event in fresh:
                    fold.add(event)
                await _write(transaction, fold)
                await add_up(transaction, fold.tally)
            await self._quarantine.write(transaction, [*unread, *_set_aside(fresh)])


def _set_aside(events: Sequence[JobEvent]) -> list[Unreadable]:
    """Return what the broker found that it could not read."""
    found = [event for event in events if isinstance(event, Quarantined)]
    return [unreadable(Source.BROKER, event.job, event.reason, event.record) for event in found]


async def _stored(
    transaction: Transaction, ids: list[str]
) -> tuple[dict[str, JobRow], dict[str, Place], dict[str, int]]:
    where = among(transaction.dialect, "id", 1)
    rows = await transaction.fetch(_READ + where, (array(transaction.dialect, ids),))
    names = JobRow.__struct_fields__
    stored = {row["id"]: JobRow(*[row[name] for name in names]) for row in rows}
    places = {row["id"]: (row["queue"], row["task"]) for row in rows}
    return stored, places, {row["id"]: row["created_ms"] for row in rows}


async def _write(transaction: Transaction, fold: Fold) -> None:
    specs = {job_id: storable(spec) for job_id, spec in sorted(fold.new.items())}
    folded = msgspec.structs.astuple
    await _INSERT_JOB.run(transaction, [(*spec_values(spec), *folded(fold.row(spec.id))) for spec in specs.values()])
    await INSERT_TAG.run(transaction, sorted({(tag, spec.id) for spec in specs.values() for tag in spec.tags}))
    queues = {spec.queue: (spec.queue, str(spec.durability), spec.created_ms) for spec in specs.values()}
    await INSERT_QUEUE.run(transaction, sorted(queues.values()))
    changed = sorted(fold.changed.difference(specs))
    await _UPDATE_JOB.run(transaction, [(job_id, *folded(fold.row(job_id))) for job_id in changed])
    await _UPSERT_ATTEMPT.run(transaction, [folded(row) for row in fold.attempts.values()])
    await _INSERT_LOG.run(transaction, fold.logs)
