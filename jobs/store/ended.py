"""Removing jobs that have ended, each with all that belongs to it in one transaction.

What goes is before a bound in the order of (finished_ms, id); the index idx_job_finished has the times. A job is looked
at beside the writers and again under a lock: whoever retries it meanwhile, or lets a key lead to it, keeps it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import orjson

from jobs.job import State
from jobs.retention import CLOCKS_APART_MAX_S, Policy, Share
from jobs.store.bulk import Column, Delete
from jobs.store.database import Database, Dialect, Row, Transaction, among, array
from jobs.store.keys import IDEMPOTENCY_MS, hashes_of
from jobs.store.quarantine import DAMAGE
from jobs.store.rows import tags_of

FOUND_MAX = 500
HEAVY = 1_000
"""A job with more attempts and log lines goes in several transactions: the oldest of those first, itself last."""
JOB_ROWS = 5
"""A job is as much work as so many of its log lines: it is in a dozen indexes."""
_SKEW_MS = CLOCKS_APART_MAX_S * 1000
"""By how much the clocks of who accepts jobs and of Redis may differ."""

_OF_QUEUE = "queue = $1 AND state = $2 AND finished_ms IS NOT NULL"  # as the partial index says it
_BEFORE = "finished_ms <= $3 AND (finished_ms < $3 OR id < $4)"
_AFTER = "finished_ms >= $5 AND (finished_ms > $5 OR id > $6)"
# With OFFSET it is asked for each job by itself: PostgreSQL might read all keys there are otherwise.
_FREE = "NOT EXISTS (SELECT 1 FROM job_key WHERE job_key.job_id = job.id AND job_key.expires_ms > ${} LIMIT 1 OFFSET 0)"
_SOME = "SELECT count(*) FROM (SELECT 1 FROM {table} WHERE job_id = job.id LIMIT {most}) AS counted"
_FIND = (
    "SELECT id, run, finished_ms, task, key, owner, idempotency_key, tags,"  # noqa: S608  # names of our own columns
    f" ({_SOME.format(table='log_line', most=HEAVY + 1)}) + ({_SOME.format(table='attempt', most=HEAVY + 1)}) AS rows"
    f" FROM job WHERE {_OF_QUEUE} AND {_BEFORE} AND {_AFTER} AND (finished_ms < $7 OR {_FREE.format(8)})"
    f" ORDER BY finished_ms, id LIMIT {FOUND_MAX}"
)
_DUE = f"SELECT finished_ms FROM job WHERE {_OF_QUEUE}"  # noqa: S608  # as above
# To what ended before $5 no key leads any more, and the index alone has the answer.
_COUNT = (
    "SELECT count(*) AS value, min(finished_ms) AS oldest_ms, CASE WHEN count(*) < $6 THEN max(finished_ms)"  # noqa: S608  # as above
    f" ELSE ({_DUE} AND {_BEFORE} ORDER BY finished_ms DESC LIMIT 1) END AS newest_ms FROM (SELECT finished_ms FROM"
    f" (SELECT * FROM ({_DUE} AND finished_ms < $5 ORDER BY finished_ms LIMIT $6) AS first UNION ALL SELECT * FROM"
    f" ({_DUE} AND finished_ms >= $5 AND {_BEFORE} AND {_FREE.format(7)} ORDER BY finished_ms LIMIT $6) AS last)"
    " AS either LIMIT $6) AS due"
)
# By the index alone up to the millisecond: only jobs that ended in the same one are looked at.
_NTH = (
    f"WITH nth AS ({_DUE} ORDER BY finished_ms DESC LIMIT 1 OFFSET $3)"  # noqa: S608  # as above
    f" SELECT finished_ms, id FROM job WHERE {_OF_QUEUE} AND finished_ms <= (SELECT finished_ms FROM nth)"
    " ORDER BY finished_ms DESC, id DESC LIMIT 1 OFFSET $3 -"
    f" (SELECT count(*) FROM ({_DUE} ORDER BY finished_ms DESC LIMIT $3) AS newer"
    " WHERE finished_ms > (SELECT finished_ms FROM nth))"
)
_LOCK: dict[Dialect, str] = {
    "sqlite": "SELECT job.id FROM json_each($1) AS due JOIN job ON job.id = json_extract(due.value, '$[0]')"
    " WHERE job.run = json_extract(due.value, '$[1]') AND job.state = $2 AND job.finished_ms IS NOT NULL",
    # Whoever has the row locked retries the job: that is not to be waited for, and not to be removed.
    "postgres": "SELECT job.id FROM unnest($1::text[], $3::int[]) AS due(id, run) JOIN job USING (id, run)"
    " WHERE job.state = $2 AND job.finished_ms IS NOT NULL FOR UPDATE OF job SKIP LOCKED",
}
_HELD = "SELECT job_id FROM job_key WHERE {among} AND expires_ms > $2"
_TAGS = Delete("job_tag", (Column("tag"), Column("job_id")))
_KEYS: dict[Dialect, str] = {
    "sqlite": "DELETE FROM job_key WHERE hash IN (SELECT value FROM json_each($1))"
    " AND job_id IN (SELECT value FROM json_each($2))",
    # A row that is locked is being taken over by another job.
    "postgres": "DELETE FROM job_key WHERE hash IN (SELECT hash FROM job_key WHERE hash = ANY($1::text[])"
    " AND job_id = ANY($2::text[]) FOR UPDATE SKIP LOCKED)",
}
_THIN = tuple(
    f"DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE job_id = $1 ORDER BY {order} LIMIT $2)"  # noqa: S608  # as above
    for table, order in (("log_line", "id"), ("attempt", "run, number"))
)


class Bound(NamedTuple):
    """What comes before this goes."""

    finished_ms: int
    id: str


class _Due(NamedTuple):
    id: str
    run: int
    finished_ms: int
    tags: tuple[str, ...]
    keys: tuple[str, ...]
    rows: int
    """Attempts and log lines; those of a heavy job are not counted to their end."""

    @property
    def weight(self) -> int:
        return JOB_ROWS + self.rows + len(self.tags) + len(self.keys)


class Ended:
    """Jobs of one queue in one final state that are to go."""

    def __init__(self, database: Database, queue: str, state: State, *, now_ms: int, grace_ms: int) -> None:
        self._database = database
        self._queue = queue
        self._state = str(state)
        self._now_ms = now_ms
        self._latest = Bound(now_ms - grace_ms, "")
        self._bound: Bound | None = None
        self._after = Bound(0, "")
        self._found: deque[_Due] = deque()

    async def bound(self, policy: Policy) -> None:
        """Find what is too old or too many. Raises StoreUnavailable."""
        bounds = []
        if policy.keep_s is not None:
            bounds.append(Bound(self._now_ms - policy.keep_s * 1000, ""))
        if policy.keep_count == 0:
            bounds.append(self._latest)
        elif policy.keep_count is not None:
            last = await self._database.fetch(_NTH, (self._queue, self._state, policy.keep_count - 1))
            bounds += [Bound(row["finished_ms"], row["id"]) for row in last]
        self._bound = min(max(bounds), self._latest) if bounds else None

    async def count(self, limit: int) -> Share | None:
        """Count what is to go, up to `limit`; None where there is nothing. Raises StoreUnavailable."""
        if self._bound is None:
            return None
        first_ms = min(self._bound.finished_ms, self._expired_ms)
        values = (self._queue, self._state, *self._bound, first_ms, limit, self._held_ms)
        (row,) = await self._database.fetch(_COUNT, values)
        if not row["value"]:
            return None
        whole = row["value"] < limit
        return Share(
            queue=self._queue, value=row["value"], whole=whole, oldest_ms=row["oldest_ms"], newest_ms=row["newest_ms"]
        )

    @property
    def has_found(self) -> bool:
        """Whether anything is left of what was found."""
        return bool(self._found)

    async def find(self) -> bool:
        """Look for the jobs that go next, the oldest first. Raises StoreUnavailable."""
        if self._bound is not None and not self._found:
            values = (self._queue, self._state, *self._bound, *self._after, self._expired_ms, self._held_ms)
            rows = await self._database.fetch(_FIND, values)
            if rows:
                self._after = Bound(rows[-1]["finished_ms"], rows[-1]["id"])
            self._found.extend(_due(row) for row in rows)
        return bool(self._found)

    async def step(self, transaction: Transaction, rows: int) -> tuple[int, int]:
        """Remove jobs with about so many rows in all; return how many rows, and how many jobs."""
        if self._found[0].rows > HEAVY:
            return await self._thin(transaction, rows)
        due = [self._found.popleft()]
        weight = due[0].weight
        while self._found and weight + self._found[0].weight <= rows:
            due.append(self._found.popleft())
            weight += due[-1].weight
        return weight, await self._remove(transaction, due)

    async def _thin(self, transaction: Transaction, rows: int) -> tuple[int, int]:
        """Remove the oldest of what belongs to the next job."""
        first = self._found.popleft()
        if not await self._lock(transaction, [first]):
            return 0, 0
        gone = 0
        for sql in _THIN:
            if gone < rows:
                gone += await transaction.execute(sql, (first.id, rows - gone))
        # They may be more than were counted: none is left once they are fewer than what was to go.
        self._found.appendleft(first if gone == rows else first._replace(rows=0))
        return gone, 0

    async def _remove(self, transaction: Transaction, due: Sequence[_Due]) -> int:
        locked = await self._lock(transaction, due)
        if not locked:
            return 0
        dialect, ids = transaction.dialect, array(transaction.dialect, sorted(locked))
        gone = [one for one in due if one.id in locked]
        await _TAGS.run(transaction, sorted((tag, one.id) for one in gone for tag in one.tags))
        keys = sorted(key for one in gone for key in one.keys)
        if keys:
            await transaction.execute(_KEYS[dialect], (array(dialect, keys), ids))
        for table, column in (("attempt", "job_id"), ("log_line", "job_id"), ("job", "id")):
            await transaction.execute(f"DELETE FROM {table} WHERE {among(dialect, column, 1)}", (ids,))  # noqa: S608  # as above
        return len(gone)

    async def _lock(self, transaction: Transaction, due: Sequence[_Due]) -> set[str]:
        """Return those that nobody has retried, is about to, or has let a key lead to since they were found.

        Until the end of the transaction nobody can.
        """
        if transaction.dialect == "postgres":
            values: tuple[object, ...] = ([one.id for one in due], self._state, [one.run for one in due])
        else:
            values = (orjson.dumps([(one.id, one.run) for one in due]).decode(), self._state)
        locked = {row["id"] for row in await transaction.fetch(_LOCK[transaction.dialect], values)}
        young = [one.id for one in due if one.id in locked and one.finished_ms >= self._expired_ms]
        if young:  # only now that they are locked is every key to be seen
            sql = _HELD.format(among=among(transaction.dialect, "job_id", 1))
            held = await transaction.fetch(sql, (array(transaction.dialect, young), self._held_ms))
            locked -= {row["job_id"] for row in held}
        return locked

    @property
    def _held_ms(self) -> int:
        """Keys that expire later than this keep their jobs."""
        return self._now_ms - _SKEW_MS

    @property
    def _expired_ms(self) -> int:
        """Keys that lead to jobs that ended before this have expired, unless they were made long after the end."""
        return self._held_ms - IDEMPOTENCY_MS - _SKEW_MS


def _due(row: Row) -> _Due:
    keys = hashes_of(row["task"], row["key"] or "", row["owner"] or "", row["idempotency_key"] or "")
    return _Due(
        id=row["id"],
        run=row["run"],
        finished_ms=row["finished_ms"],
        tags=_tags(row["tags"]),
        keys=tuple(key for key in keys if key),
        rows=row["rows"],
    )


def _tags(text: str) -> tuple[str, ...]:
    try:
        return tuple(tags_of(text))
    except DAMAGE:  # the job goes as any other
        return ()
