"""Reading history. Every list is a page by keyset; every query has an index."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from jobs.errors import InvalidCursor
from jobs.job import INLINE_MAX_BYTES, Attempt, Job, JobSpec, LogLevel, LogLine
from jobs.page import Counted, Direction, Page, PageRequest
from jobs.store.cursor import Cursors, Keyset
from jobs.store.database import Database, Row, among, array
from jobs.store.job_search import JobSearch
from jobs.store.mend import ATTEMPT, JOB, LOG_LINE, UNFINISHED, Reader
from jobs.store.quarantine import Quarantine
from jobs.store.rows import JOB_NAMES, OPEN, SPEC_NAMES, attempt_of, job_of, log_line_of, spec_of
from jobs.store.where import Query
from jobs.where import JobWhere

_LARGE = f"durability = 'STORE' AND length(CAST(args AS text)) > {INLINE_MAX_BYTES}"
_LEAN = (
    ", ".join(name for name in SPEC_NAMES.split(", ") if name != "args")
    + f", CASE WHEN {_LARGE} THEN '{{}}' ELSE CAST(args AS text) END AS args"
    + f", CASE WHEN {_LARGE} THEN length(CAST(args AS text)) ELSE 0 END AS payload_bytes"
)
"""A thousand jobs are read at a time: their large arguments would be more than a process has room for."""
_COUNTERS = "run, version, state, attempts, uncharged, crashes, recoveries, checkpoint, due_ms, cancel_run"
_JOB = f"SELECT {JOB_NAMES} FROM job"  # noqa: S608  # names of our own columns
_UNPUSHED = (
    f"SELECT {_LEAN}, {_COUNTERS} FROM job WHERE version = 0 AND updated_ms < $1"  # noqa: S608  # as above
    f" AND {OPEN} ORDER BY updated_ms LIMIT $2"
)
_UNFINISHED = (
    f"SELECT {_LEAN}, {_COUNTERS} FROM job WHERE id > $1 AND {OPEN}"  # noqa: S608  # as above
    " ORDER BY id LIMIT $2"
)
_OPEN_ROWS = f"SELECT id, run, version, updated_ms FROM job WHERE id > $1 AND {OPEN} ORDER BY id LIMIT $2"  # noqa: S608  # as above


class OpenRow(NamedTuple):
    """A job that has not ended, as far as it takes to look for it elsewhere."""

    id: str
    run: int
    version: int
    """0: no event of this run has been recorded."""
    updated_ms: int


class Unfinished(msgspec.Struct, frozen=True):
    """A job that has not ended, as the broker has to know it to go on with it."""

    spec: JobSpec
    """Without large arguments where the job is of durability STORE."""
    run: int
    attempts: int
    """Started in this run."""
    uncharged: int
    """Of these, how many do not count against max_attempts."""
    crashes: int
    recoveries: int
    checkpoint: str
    """JSON that the next attempt begins with, or ""."""
    version: int
    """The last one that is recorded."""
    due_ms: int
    """When it is to go on; 0: at once."""
    cancelled: bool
    """It was to be cancelled, and the broker may not know that."""


class Search:
    """Queries over the tables. All raise StoreUnavailable.

    What cannot be read of a row is left out of the answer, and kept in quarantine.
    """

    def __init__(self, database: Database, quarantine: Quarantine) -> None:
        self._database = database
        self._quarantine = quarantine
        self._dialect = database.dialect

    async def job(self, job_id: str) -> Job | None:
        """Return a job, None where there is none."""
        rows = await self._database.fetch(f"{_JOB} WHERE id = $1", (job_id,))
        jobs = await self._jobs(rows)
        return jobs[0] if jobs else None

    async def jobs_by_id(self, ids: Sequence[str]) -> dict[str, Job]:
        """Return those of the jobs that exist."""
        return {job.id: job for job in await self._jobs(await self._by_id(f"{_JOB} WHERE ", "id", ids))}

    async def args(self, job_id: str) -> bytes | None:
        """Return the arguments of a job as JSON, None where there is no such job."""
        rows = await self._database.fetch("SELECT args FROM job WHERE id = $1", (job_id,))
        return rows[0]["args"].encode() if rows else None

    async def jobs(self, where: JobWhere, page: PageRequest, direction: Direction = Direction.DESC) -> Page[Job]:
        """Return a page of jobs in the order of their creation. Raises InvalidCursor.

        A search that has looked at WINDOW jobs, or for LOOK_MS, without filling the page ends there: `reached` says
        so. The id of a job must not be made more than a minute apart from its `created_ms`.
        """
        return await JobSearch(self._database, self._quarantine, where, direction).page(page)

    async def count(self, where: JobWhere, limit: int = 1000) -> Counted:
        """Count the jobs that are meant, up to `limit`, and for as long as `jobs` looks."""
        return await JobSearch(self._database, self._quarantine, where, Direction.DESC).count(limit)

    async def attempts(self, job_ids: Sequence[str]) -> dict[str, list[Attempt]]:
        """Return the attempts of all runs of each job, in order; an empty list for a job without any."""
        found: dict[str, list[Attempt]] = {job_id: [] for job_id in job_ids}
        rows = await self._by_id("SELECT * FROM attempt WHERE ", "job_id", job_ids, " ORDER BY job_id, run, number")
        reader = Reader(ATTEMPT, attempt_of)
        for attempt in reader.all(rows):
            found[attempt.job_id].append(attempt)
        await self._quarantine.note(reader.damaged)
        return found

    async def logs(self, job_id: str, page: PageRequest, *, level_min: LogLevel = LogLevel.DEBUG) -> Page[LogLine]:
        """Return a page of what a job logged, all runs, the oldest first. Raises InvalidCursor."""
        cursors = Cursors(f"log.{job_id}", Direction.ASC)
        keyset = Keyset("id", Direction.ASC, page)
        found = Query(self._dialect)
        found.where("job_id = ", job_id)
        if level_min > LogLevel.DEBUG:
            found.where("level >= ", int(level_min))
        if level_min >= LogLevel.WARNING:
            found.conditions.append("level >= 30")  # as the partial index says it
        after, before = page.places(lambda cursor: _number(cursors.read(cursor)))
        if after is not None:
            found.where(keyset.after, after)
        if before is not None:
            found.where(keyset.before, before)
        rows = await self._database.fetch(f"SELECT * FROM log_line{found.text()} {keyset.order('id')}", found.values)  # noqa: S608  # values are parameters
        reader = Reader(LOG_LINE, log_line_of)
        lines = keyset.page(rows, reader, lambda row: cursors.write(row["id"]))
        await self._quarantine.note(reader.damaged)
        return lines

    async def log(self, job_id: str, number: int) -> LogLine | None:
        """Return one line of what a job logged."""
        rows = await self._database.fetch("SELECT * FROM log_line WHERE job_id = $1 AND id = $2", (job_id, number))
        reader = Reader(LOG_LINE, log_line_of)
        line = reader(rows[0]) if rows else None
        await self._quarantine.note(reader.damaged)
        return line

    async def queues(self) -> list[str]:
        """Return the names of all queues that ever had a job, in order."""
        return sorted(row["name"] for row in await self._database.fetch("SELECT name FROM queue"))

    async def unpushed(self, *, created_before_ms: int, limit: int) -> list[Unfinished]:
        """Return jobs that were accepted before this time and of which no event has been recorded, the oldest first."""
        return await self._read_unfinished(await self._database.fetch(_UNPUSHED, (created_before_ms, limit)))

    async def unfinished(self, *, after_id: str, limit: int) -> list[Unfinished]:
        """Return jobs that have not ended, in the order of their ids."""
        return await self._read_unfinished(await self._database.fetch(_UNFINISHED, (after_id, limit)))

    async def open_rows(self, *, after_id: str, limit: int) -> list[OpenRow]:
        """Return jobs that have not ended, in the order of their ids."""
        rows = await self._database.fetch(_OPEN_ROWS, (after_id, limit))
        return [OpenRow(row["id"], row["run"], row["version"], row["updated_ms"]) for row in rows]

    async def unfinished_among(self, ids: Sequence[str]) -> list[Unfinished]:
        """Return those of the jobs that have not ended."""
        sql = f"SELECT {_LEAN}, {_COUNTERS} FROM job WHERE {OPEN} AND "  # noqa: S608  # names of our own columns
        return await self._read_unfinished(await self._by_id(sql, "id", ids))

    async def final_among(self, ids: Sequence[str]) -> dict[str, int]:
        """Return those of the jobs that have ended, and the run in which they did."""
        sql = "SELECT id, run FROM job WHERE state IN ('COMPLETED', 'CANCELLED', 'DEAD') AND "
        return {row["id"]: row["run"] for row in await self._by_id(sql, "id", ids)}

    async def known_among(self, ids: Sequence[str]) -> set[str]:
        """Return those of the jobs that history has."""
        return {row["id"] for row in await self._by_id("SELECT id FROM job WHERE ", "id", ids)}

    async def _jobs(self, rows: Sequence[Row]) -> list[Job]:
        reader = Reader(JOB, job_of)
        jobs = reader.all(rows)
        await self._quarantine.note(reader.damaged)
        return jobs

    async def _read_unfinished(self, rows: Sequence[Row]) -> list[Unfinished]:
        reader = Reader(UNFINISHED, _unfinished)
        jobs = reader.all(rows)
        await self._quarantine.note(reader.damaged)
        return jobs

    async def _by_id(self, sql: str, column: str, ids: Sequence[str], order: str = "") -> Sequence[Row]:
        if not ids:
            return []
        where = among(self._dialect, column, 1)
        return await self._database.fetch(f"{sql}{where}{order}", (array(self._dialect, ids),))


def _unfinished(row: Row) -> Unfinished:
    return Unfinished(
        spec=msgspec.structs.replace(spec_of(row), payload_bytes=row["payload_bytes"]),
        run=row["run"],
        attempts=row["attempts"],
        # An attempt that Redis lost does not count.
        uncharged=row["uncharged"] + (row["state"] == "ACTIVE"),
        crashes=row["crashes"],
        recoveries=row["recoveries"],
        checkpoint=row["checkpoint"] or "",
        version=row["version"],
        due_ms=row["due_ms"] or 0 if row["state"] in ("SCHEDULED", "RETRYING") else 0,
        cancelled=row["cancel_run"] == row["run"],
    )


def _number(place: str) -> int:
    if not place.isdecimal() or len(place) > 18:
        raise InvalidCursor("This cursor is not one of this list and order.")
    return int(place)
