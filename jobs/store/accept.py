"""Accepting jobs: once this has returned, the job is in the database and will reach a final state."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from jobs.clock import Clock
from jobs.errors import InvalidArguments, InvalidState, NotFound, RequestError, StoreUnavailable
from jobs.job import JobSpec, State
from jobs.store.bulk import Column, Insert
from jobs.store.database import Database, Transaction, among, array
from jobs.store.disk import Disk
from jobs.store.group import GroupCommit
from jobs.store.keys import Claims, Keys, keys_of
from jobs.store.rows import SPEC, SPEC_NAMES, same, spec_of, spec_values, storable

BATCH = 200
"""Jobs that share a commit: about 5 ms of work, so that nobody waits long behind a bulk."""

_INSERT_JOB = Insert("job", (*SPEC, Column("state"), Column("updated_ms", "bigint")), "ON CONFLICT (id) DO NOTHING")
INSERT_TAG = Insert("job_tag", (Column("tag"), Column("job_id")), "ON CONFLICT DO NOTHING")
INSERT_QUEUE = Insert(
    "queue", (Column("name"), Column("durability"), Column("created_ms", "bigint")), "ON CONFLICT DO NOTHING"
)
_RERUN_READ = f"SELECT {SPEC_NAMES}, run, state FROM job WHERE id = $1"  # noqa: S608  # names of our own columns
_RERUN = (
    "UPDATE job SET state = 'QUEUED', run = run + 1, version = 0, attempts = 0, attempt_base = 0,"
    " uncharged = 0, crashes = 0, progress = NULL, progress_ms = 0, result = NULL, reason = NULL, error = NULL,"
    " worker = NULL, cancel_requested = FALSE, updated_ms = $2, scheduled_ms = NULL, due_ms = NULL, started_ms = NULL,"
    " finished_ms = NULL WHERE id = $1"
)


class Accepted(msgspec.Struct, frozen=True):
    """The id of the accepted job, or of the job that stands for it."""

    job_id: str
    duplicate: bool
    """An existing job is returned instead: it holds the key or the idempotency key."""


class _Request(msgspec.Struct, frozen=True):
    spec: JobSpec
    keys: Keys
    released: frozenset[str]
    adopted: bool = False


Outcome = Accepted | RequestError


class Acceptor:
    """Writes accepted jobs, all callers that wait in one transaction."""

    def __init__(self, database: Database, clock: Clock, disk: Disk) -> None:
        self._database = database
        self._clock = clock
        self._disk = disk
        self._group: GroupCommit[_Request, Outcome] = GroupCommit(self._write, batch=BATCH)
        self._queues: set[str] = set()

    async def accept(self, spec: JobSpec, *, released: frozenset[str] = frozenset()) -> Accepted:
        """Write the job. Repeating it with the same content is allowed and changes nothing.

        A unique key stays with a job that has not ended, as far as the database knows; `released` names
        jobs that the broker knows to have ended. Raises IdempotencyMismatch, InvalidArguments (what no
        database can hold), DiskFull (nothing was done) and StoreUnavailable; after the last one the job may have been
        accepted all the same.
        """
        self._disk.check()
        outcome = await self._group.submit(_request(spec, released))
        if isinstance(outcome, RequestError):
            raise outcome
        return outcome

    async def accept_many(self, specs: Sequence[JobSpec]) -> list[Accepted | RequestError]:
        """Write many jobs; what is wrong with one of them is its own result. Raises DiskFull, StoreUnavailable."""
        return await self._write_each([_checked(spec) for spec in specs])

    async def adopt(self, specs: Sequence[JobSpec]) -> list[Accepted | RequestError]:
        """Write jobs that another database had accepted, whoever holds their keys here; the later job holds them now.

        As `accept_many` otherwise.
        """
        requests = [_checked(spec) for spec in specs]
        return await self._write_each(
            [
                msgspec.structs.replace(request, adopted=True) if isinstance(request, _Request) else request
                for request in requests
            ]
        )

    async def _write_each(self, requests: Sequence[_Request | RequestError]) -> list[Outcome]:
        self._disk.check()
        futures: list[asyncio.Future[Outcome]] = []
        try:
            for request in requests:
                if isinstance(request, _Request):
                    futures.append(self._group.submit(request))
        except StoreUnavailable:
            for future in futures:
                future.cancel()
            raise
        written = iter(await asyncio.gather(*futures))
        return [request if isinstance(request, RequestError) else next(written) for request in requests]

    async def rerun(self, job_id: str) -> tuple[JobSpec, int]:
        """Accept a DEAD or CANCELLED job for another run; returns the job and the number of its new run.

        Raises NotFound, InvalidState (it has not ended, it completed, or another job has its key), DiskFull and
        StoreUnavailable.
        """
        self._disk.check()
        async with self._database.transaction() as transaction:
            lock = " FOR UPDATE" if transaction.dialect == "postgres" else ""
            rows = await transaction.fetch(_RERUN_READ + lock, (job_id,))
            if not rows:
                raise NotFound(f"There is no job {job_id}.")
            state, run = State(rows[0]["state"]), rows[0]["run"]
            if state not in (State.DEAD, State.CANCELLED):
                raise InvalidState(f"Only a DEAD or CANCELLED job can be retried; this one is {state}.")
            spec = spec_of(rows[0])
            keys = msgspec.structs.replace(keys_of(spec), idempotency="")
            claims = await Claims.lock(transaction, (keys,), self._clock())
            if claims.claim(spec, keys) != job_id:
                raise InvalidState(f"Another job of the task {spec.task} has the key {spec.key} and has not ended.")
            await claims.write(transaction)
            await transaction.execute(_RERUN, (job_id, self._clock()))
        return spec, run + 1

    def check(self) -> None:
        """Raise StoreUnavailable where callers wait and nothing is written."""
        self._group.check()

    async def close(self) -> None:
        """Write what waits, then take nothing more."""
        await self._group.close()

    async def _write(self, requests: list[_Request]) -> list[Outcome]:
        async with self._database.transaction() as transaction:
            claims = await Claims.lock(transaction, [request.keys for request in requests], self._clock())
            outcomes = [_claim(claims, request) for request in requests]
            fresh = {
                request.spec.id: request.spec
                for request, outcome in zip(requests, outcomes, strict=True)
                if isinstance(outcome, Accepted) and not outcome.duplicate
            }
            await claims.write(transaction)
            foreign = await self._insert(transaction, fresh)
            queues = await self._name_queues(transaction, fresh)
        self._queues |= queues
        return [_refused(outcome, foreign) for outcome in outcomes]

    async def _insert(self, transaction: Transaction, specs: dict[str, JobSpec]) -> set[str]:
        """Insert the jobs and return the ids that exist already with another content."""
        now_ms = self._clock()
        rows = [
            (*spec_values(spec), "SCHEDULED" if spec.scheduled_ms > now_ms else "QUEUED", now_ms)
            for _, spec in sorted(specs.items())
        ]
        foreign: set[str] = set()
        if await _INSERT_JOB.run(transaction, rows) < len(rows):
            where = among(transaction.dialect, "id", 1)
            sql = f"SELECT {SPEC_NAMES} FROM job WHERE {where}"  # noqa: S608  # names of our own columns
            stored = await transaction.fetch(sql, (array(transaction.dialect, list(specs)),))
            foreign = {row["id"] for row in stored if not same(spec_of(row), specs[row["id"]])}
        tags = sorted({(tag, spec.id) for spec in specs.values() if spec.id not in foreign for tag in spec.tags})
        await INSERT_TAG.run(transaction, tags)
        return foreign

    async def _name_queues(self, transaction: Transaction, specs: dict[str, JobSpec]) -> set[str]:
        new = {spec.queue: spec for spec in specs.values() if spec.queue not in self._queues}
        rows = [(name, str(spec.durability), spec.created_ms) for name, spec in sorted(new.items())]
        await INSERT_QUEUE.run(transaction, rows)
        return set(new)


def _request(spec: JobSpec, released: frozenset[str]) -> _Request:
    kept = storable(spec)
    if kept is not spec and not same(kept, spec):
        raise InvalidArguments("Text with the character U+0000 cannot be stored.", path=("args",))
    return _Request(spec, keys_of(spec), released)


def _checked(spec: JobSpec) -> _Request | RequestError:
    try:
        return _request(spec, frozenset())
    except RequestError as error:
        return error


def _claim(claims: Claims, request: _Request) -> Outcome:
    if request.adopted:
        claims.take_over(request.spec, request.keys)
        return Accepted(request.spec.id, duplicate=False)
    try:
        job_id = claims.claim(request.spec, request.keys, request.released)
    except RequestError as error:
        return error
    return Accepted(job_id, job_id != request.spec.id)


def _refused(outcome: Outcome, foreign: set[str]) -> Outcome:
    if isinstance(outcome, Accepted) and not outcome.duplicate and outcome.job_id in foreign:
        return RequestError(f"A job with the id {outcome.job_id} exists already with another content.", path=("id",))
    return outcome
