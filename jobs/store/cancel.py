"""What is to be cancelled: the store knows it before the broker hears of it, so that no loss of Redis loses it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from jobs.job import FINAL, State
from jobs.store.database import Database, Dialect, among, array
from jobs.store.group import GroupCommit
from jobs.store.rows import OPEN

BATCH = 200

_ASK = f"UPDATE job SET cancel_run = run WHERE {OPEN} AND (cancel_run IS NULL OR cancel_run <> run) AND "  # noqa: S608  # a condition of our own
_READ = "SELECT id, run, state FROM job WHERE "
# Whoever retries one of them meanwhile does so before it is read, or after its request is written.
_LOCK: dict[Dialect, str] = {"sqlite": "", "postgres": " ORDER BY id FOR UPDATE"}
_REQUESTED = (
    f"SELECT id, run FROM job WHERE id > $1 AND cancel_run IS NOT NULL AND cancel_run = run AND {OPEN}"  # noqa: S608  # as above
    " ORDER BY id LIMIT $2"
)


class CancelRequest(NamedTuple):
    """A run that is to be cancelled. A later run of the job is not meant."""

    id: str
    run: int


class Asked(NamedTuple):
    """What became of a request."""

    run: int
    ended: bool
    """The run had ended already: nothing was written."""


class CancelRequests:
    """Writes down what is to be cancelled. All methods raise StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._group: GroupCommit[str, Asked | None] = GroupCommit(self._write, batch=BATCH)

    async def ask(self, job_id: str) -> Asked | None:
        """Request that the job's present run is cancelled; None where there is no such job. Repeating is allowed."""
        return await self._group.submit(job_id)

    async def requested(self, *, after_id: str, limit: int) -> list[CancelRequest]:
        """Return what is to be cancelled and has not ended, in the order of the ids."""
        rows = await self._database.fetch(_REQUESTED, (after_id, limit))
        return [CancelRequest(row["id"], row["run"]) for row in rows]

    def check(self) -> None:
        """Raise StoreUnavailable where callers wait and nothing is written."""
        self._group.check()

    async def close(self) -> None:
        """Write what waits, then take nothing more."""
        await self._group.close()

    async def _write(self, ids: list[str]) -> Sequence[Asked | None]:
        async with self._database.transaction() as transaction:
            which, wanted = among(transaction.dialect, "id", 1), (array(transaction.dialect, ids),)
            rows = await transaction.fetch(_READ + which + _LOCK[transaction.dialect], wanted)
            await transaction.execute(_ASK + which, wanted)
        found = {row["id"]: Asked(row["run"], State(row["state"]) in FINAL) for row in rows}
        return [found.get(job_id) for job_id in ids]
