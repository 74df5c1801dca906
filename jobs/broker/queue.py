"""The broker: jobs on their way, in Redis. Every change is one Lua script; this is what calls them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Self, TypeVar

import msgspec
import redis.exceptions
import structlog
import uuid_utils

from jobs.broker import keys
from jobs.broker.connection import Connection
from jobs.broker.lease import Session
from jobs.broker.live import read_job
from jobs.broker.push import chunks
from jobs.broker.record import Cancelling, Push, Pushed, Vitals, WorkerInfo, WorkerRecord, WorkerWish
from jobs.broker.room import FULL, Room
from jobs.broker.scripts import translate
from jobs.broker.stream import Stream
from jobs.errors import BrokerUnavailable, RedisUnreachable, Stale, StartError
from jobs.event import Position
from jobs.job import Job, State
from jobs.settings import Settings

PUSH_DEADLINE_MS = 10_000
SETTLED_MS = 2_000
DAMAGED_MAX = 1_000
"""Damaged records that are named in the log."""

log = structlog.get_logger(__name__)

T = TypeVar("T")

_json = msgspec.json.Encoder()
_worker_info = msgspec.json.Decoder(WorkerInfo)
_vitals = msgspec.json.Decoder(Vitals)
_wish = msgspec.json.Decoder(WorkerWish)


class Broker(Connection):
    """Jobs that have not ended, their workers and their events, in one Redis."""

    def __init__(self, url: str, settings: Settings) -> None:
        super().__init__(url)
        self._settings = settings
        self.stream = Stream(self)
        self.room = Room(self)
        self._damaged: set[str] = set()

    @classmethod
    async def open(cls, url: str, settings: Settings) -> Self:
        """Connect. Raises RedisUnreachable, or RedisEvicts where Redis would drop jobs when it is full."""
        broker = cls(url, settings)
        try:
            await broker.check()
            await broker.refresh_epoch()
        except BrokerUnavailable as error:
            await broker.close()
            raise RedisUnreachable(str(error)) from None
        except StartError:
            await broker.close()
            raise
        return broker

    async def close(self) -> None:
        """Close all connections of the broker. Sessions are closed by their owners."""
        await self.stream.close()
        await super().close()

    async def deadline_ms(self) -> int:
        """Return the latest time at which a push of what is known now may arrive."""
        return await self.now_ms() + PUSH_DEADLINE_MS

    async def push(
        self, jobs: Sequence[Push], *, recovered: bool = False, deadline_ms: int | None = None
    ) -> list[Pushed]:
        """Hand jobs over to Redis. Raises BrokerUnavailable, EpochChanged, QueueFull; repeating is safe.

        Beyond 80 % of Redis' maxmemory nothing is taken in, so a part of the jobs may be in Redis after QueueFull.
        Large arguments of jobs that the store has stay there.
        """
        if not jobs:
            return []
        if deadline_ms is None:
            deadline_ms = await self.deadline_ms()
        answer: list[str] = []
        for chunk, size in chunks(jobs):
            await self.room.check()
            answer += await self.call("enqueue", (deadline_ms, recovered, chunk))
            self.room.add(len(chunk), size)
        return [Pushed(item) for item in answer]

    async def cancel(self, ids: Sequence[str], runs: Sequence[int] = ()) -> list[Cancelling]:
        """Cancel waiting jobs, ask for the running ones; repeating is safe. Raises BrokerUnavailable, EpochChanged.

        With `runs`, one for each job, no other run of it is touched.
        """
        jobs = list(zip(ids, runs or [0] * len(ids), strict=True))
        return [Cancelling(item) for item in await self.call("cancel", (jobs,))] if jobs else []

    async def discard(self, jobs: Sequence[tuple[str, int]]) -> int:
        """Remove jobs (id, run) that have ended according to history; return how many were alive here."""
        return int(await self.call("discard", (list(jobs),))) if jobs else 0

    async def jobs(self, ids: Sequence[str]) -> dict[str, Job]:
        """Return the jobs that Redis has, ended ones too until they are recorded. Raises BrokerUnavailable."""
        found: dict[str, Job] = {}
        async with self.client.pipeline(transaction=False) as pipeline:
            for job_id in ids:
                pipeline.hgetall(keys.job(job_id))
            rows = _found(await self.ask(pipeline.execute(raise_on_error=False)))
        for job_id, row in zip(ids, rows, strict=True):
            try:
                job = read_job(row or {})
            except (ValueError, KeyError) as error:
                self._note_damage(keys.job(job_id), error)
                continue
            if job:
                found[job_id] = job
        return found

    def _note_damage(self, key: str, error: Exception) -> None:
        """Say once that a record cannot be read."""
        if key not in self._damaged and len(self._damaged) < DAMAGED_MAX:
            self._damaged.add(key)
            log.warning("broker.unreadable", key=key, error=f"{type(error).__name__}: {error}")

    def _read(self, decoder: msgspec.json.Decoder[T], text: bytes | None, key: str) -> T | None:
        try:
            return decoder.decode(text) if text else None
        except ValueError as error:
            self._note_damage(key, error)
            return None

    async def _ask(self) -> str:
        said = await super()._ask()
        memory = await self.room.look()
        if memory.policy != "noeviction":
            raise BrokerUnavailable(
                f"Redis has maxmemory-policy {memory.policy} and drops jobs when it is full; set it to noeviction."
            )
        if memory.share > FULL:
            said += f" It is {memory.share:.0%} full: jobs are taken in again below {FULL:.0%}; those it has go on."
        if await self.ask(self.client.exists(keys.BEHIND)):
            said += " No jobs are started until the recorder has caught up with what happened."
        return said

    async def runs(self, ids: Sequence[str]) -> list[int]:
        """Return for each job the run that Redis has; 0 where it has none. Raises BrokerUnavailable."""
        async with self.client.pipeline(transaction=False) as pipeline:
            for job_id in ids:
                pipeline.hget(keys.job(job_id), "r")
            # What is damaged counts as not there: the script that takes in its push sets it aside.
            runs = _found(await self.ask(pipeline.execute(raise_on_error=False)))
        return [int(run) if run and run.isdigit() else 0 for run in runs]

    async def ids(self, *, cursor: int = 0, limit: int = 1000) -> tuple[int, list[str]]:
        """Return a part of all ids that Redis has and the cursor of the next part; 0: that was the last."""
        cursor, found = await self.ask(self.client.scan(cursor, match=keys.JOB_PATTERN, count=limit))
        return cursor, [keys.job_id(key) for key in found]

    async def counts(self, queues: Iterable[str]) -> dict[str, dict[State, int]]:
        """Return how many jobs of each queue are in each state that is not final. Raises BrokerUnavailable."""
        names = list(queues)
        async with self.client.pipeline(transaction=False) as pipeline:
            for name in names:
                pipeline.hgetall(keys.counts(name))
            rows = await self.ask(pipeline.execute())
        return {
            name: {State(state.decode()): max(0, int(value)) for state, value in row.items()}
            for name, row in zip(names, rows, strict=True)
        }

    # Upkeep, called by the services

    async def promote_due(self, limit: int = 1000) -> tuple[int, int]:
        """Make due jobs runnable. Returns how many, and the milliseconds until the next one (at most 1000)."""
        promoted, wait_ms = await self.call("due", (limit,))
        return int(promoted), int(wait_ms)

    async def overdue(self, by_ms: int, limit: int = 1000) -> list[str]:
        """Return jobs whose time came so long ago and that are not runnable yet. Raises BrokerUnavailable."""
        until = await self.now_ms() - by_ms
        ids = await self.ask(self.client.zrangebyscore(keys.DUE, "-inf", until, start=0, num=limit))
        return [item.decode() for item in ids]

    async def wait_for_due(self, timeout_ms: int) -> None:
        """Return when a job may be due, at the latest after the timeout. Raises BrokerUnavailable."""
        blpop: Any = self.stream.client.blpop
        await self.ask(blpop([keys.WAKE_DUE], timeout=timeout_ms / 1000))

    async def reap(self, limit: int = 1000) -> tuple[list[str], list[str]]:
        """Take jobs back from sessions whose lease ran out. Returns the jobs and the sessions that ended."""
        reaped, ended = await self.call("reap", (limit,))
        return reaped, ended

    async def settled(self, position: Position) -> Position:
        """Return the position, or the place two seconds ago where that is earlier. What ended before may be forgotten.

        Whoever ended a job may look at it once more (SAQ's Queue keeps it for its ttl). Raises BrokerUnavailable.
        """
        return min(position, Position(self.epoch, await self.now_ms() - SETTLED_MS, 0, 0))

    async def set_aside(self, recorded: Position, limit: int = 1000) -> dict[str, str]:
        """Return jobs that were set aside because they cannot be read, up to a position in history.

        The values are for `put_back`, once they are pushed again. Raises BrokerUnavailable.
        """
        if recorded.epoch != self.epoch:
            return {}
        found: dict[str, str] = {}
        for item in await self.ask(self.client.lrange(keys.LOST, 0, limit - 1)):
            entry, _, job_id = item.decode().partition(":")
            ms, _, seq = entry.partition("-")
            if (int(ms), int(seq)) > (recorded.ms, recorded.seq):
                break
            found[job_id] = item.decode()
        return found

    async def put_back(self, items: Iterable[str]) -> None:
        """Note that jobs which were set aside are dealt with. Raises BrokerUnavailable."""
        async with self.client.pipeline(transaction=False) as pipeline:
            for item in items:
                pipeline.lrem(keys.LOST, 0, item)
            await self.ask(pipeline.execute())

    async def forget(self, recorded: Position, limit: int = 1000) -> int:
        """Remove ended jobs whose end is recorded; fewer than `limit`: that was all of them."""
        if recorded.epoch != self.epoch:
            return 0
        return int(await self.call("forget", (recorded.ms, recorded.seq, limit)))

    async def hold(self, for_ms: int) -> None:
        """Let nobody reserve jobs for a time; 0: from now on again. Raises BrokerUnavailable, EpochChanged."""
        await self.call("hold", (for_ms,))

    # Workers

    async def open_session(self, info: WorkerInfo, wish: WorkerWish | None = None) -> Session:
        """Open the session of a worker process, like which operators wished it to be under an earlier one.

        Raises BrokerUnavailable, EpochChanged.
        """
        session_id = str(uuid_utils.uuid7())
        lease_ms = int(self._settings.lease_s * 1000)
        texts = [_json.encode(item).decode() if item else "" for item in (info, wish)]
        await self.call("session", ("open", session_id, lease_ms, *texts))
        return Session(self, session_id, lease_ms)

    async def workers(self) -> list[WorkerRecord]:
        """Return the worker processes that hold a lease, the oldest first. Raises BrokerUnavailable."""
        ids = [item.decode() for item in await self.ask(self.client.zrange(keys.LEASES, 0, -1))]
        async with self.client.pipeline(transaction=False) as pipeline:
            for session_id in ids:
                pipeline.hmget(keys.session(session_id), ["info", "seen", "vitals", "wish"])
                pipeline.scard(keys.held(session_id))
            rows = await self.ask(pipeline.execute())
        found = [
            WorkerRecord(
                id=session_id,
                info=self._read(_worker_info, info, keys.session(session_id)) or _UNKNOWN,
                seen_ms=int(seen) if seen and seen.isdigit() else 0,
                active=int(active),
                vitals=self._read(_vitals, vitals, keys.session(session_id)),
                wish=self._read(_wish, wish, keys.session(session_id)) or WorkerWish(),
            )
            for session_id, (info, seen, vitals, wish), active in zip(ids, rows[::2], rows[1::2], strict=True)
            if info
        ]
        return sorted(found, key=lambda worker: worker.id)

    async def steer(self, session_id: str, wish: WorkerWish, *, instead_of: WorkerWish | None = None) -> bool:
        """Tell a worker what it is to be like, with its next renewal; False where it is not alive.

        Raises Stale where something else than `instead_of` was wished by now, BrokerUnavailable, EpochChanged.
        """
        wanted = _json.encode(wish).decode()
        known = "" if instead_of is None else _json.encode(instead_of).decode()
        alive, _, held = await self.call("session", ("steer", session_id, wanted, known))
        if alive and held != wanted:
            raise Stale("Somebody else has told the worker something else meanwhile.")
        return bool(alive)


def _found(answers: list[Any]) -> list[Any]:
    """Return the answers of a pipeline, None for a key of another type than it should be. Raises what else failed."""
    for answer in answers:
        if isinstance(answer, Exception) and not str(answer).startswith("WRONGTYPE"):
            raise translate(answer) if isinstance(answer, redis.exceptions.RedisError) else answer
    return [None if isinstance(answer, Exception) else answer for answer in answers]


_UNKNOWN = WorkerInfo(host="unknown", pid=0, version="unknown", queues=[], tasks=[], concurrency=0, started_ms=0)
"""What is shown of a worker whose description cannot be read."""
