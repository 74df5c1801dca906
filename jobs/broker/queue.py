"""The broker: jobs on their way, in Redis. Every change is one Lua script; this is what calls them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Self

import msgspec
import uuid_utils

from jobs.broker import keys
from jobs.broker.connection import Connection
from jobs.broker.lease import Session
from jobs.broker.live import read_job
from jobs.broker.record import Cancelling, Push, Pushed, Vitals, WorkerInfo, WorkerRecord, WorkerWish
from jobs.broker.stream import Stream
from jobs.errors import BrokerUnavailable, RedisUnreachable, StartError
from jobs.event import Position
from jobs.job import Durability, Job, State
from jobs.settings import Settings

PUSH_DEADLINE_MS = 10_000
SETTLED_MS = 2_000
CHUNK = 500

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
        """Hand jobs over to Redis. Raises BrokerUnavailable, EpochChanged, QueueFull; repeating is safe."""
        if not jobs:
            return []
        if deadline_ms is None:
            deadline_ms = await self.deadline_ms()
        answer: list[str] = []
        for start in range(0, len(jobs), CHUNK):
            chunk = [_pushed(job) for job in jobs[start : start + CHUNK]]
            answer += await self.call("enqueue", (deadline_ms, recovered, chunk))
        return [Pushed(item) for item in answer]

    async def cancel(self, ids: Sequence[str]) -> list[Cancelling]:
        """Cancel waiting jobs, ask for the running ones. Raises BrokerUnavailable, EpochChanged."""
        return [Cancelling(item) for item in await self.call("cancel", (list(ids),))] if ids else []

    async def discard(self, jobs: Sequence[tuple[str, int]]) -> int:
        """Remove jobs (id, run) that have ended according to history; return how many were alive here."""
        return int(await self.call("discard", (list(jobs),))) if jobs else 0

    async def jobs(self, ids: Sequence[str]) -> dict[str, Job]:
        """Return the jobs that Redis has, ended ones too until they are recorded. Raises BrokerUnavailable."""
        found: dict[str, Job] = {}
        async with self.client.pipeline(transaction=False) as pipeline:
            for job_id in ids:
                pipeline.hgetall(keys.job(job_id))
            rows = await self.ask(pipeline.execute())
        for job_id, row in zip(ids, rows, strict=True):
            job = read_job(row)
            if job:
                found[job_id] = job
        return found

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

    async def forget(self, recorded: Position, limit: int = 1000) -> int:
        """Remove ended jobs whose end is recorded; fewer than `limit`: that was all of them."""
        if recorded.epoch != self.epoch:
            return 0
        return int(await self.call("forget", (recorded.ms, recorded.seq, limit)))

    # Workers

    async def open_session(self, info: WorkerInfo) -> Session:
        """Open the session of a worker process. Raises BrokerUnavailable, EpochChanged."""
        session_id = str(uuid_utils.uuid7())
        lease_ms = int(self._settings.lease_s * 1000)
        await self.call("session", ("open", session_id, lease_ms, _json.encode(info).decode()))
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
                info=_worker_info.decode(info),
                seen_ms=int(seen),
                active=int(active),
                vitals=_vitals.decode(vitals) if vitals else None,
                wish=_wish.decode(wish or b"{}"),
            )
            for session_id, (info, seen, vitals, wish), active in zip(ids, rows[::2], rows[1::2], strict=True)
            if info
        ]
        return sorted(found, key=lambda worker: worker.id)

    async def steer(self, session_id: str, wish: WorkerWish) -> bool:
        """Tell a worker what it is to be like, with its next renewal; False where it is not alive.

        Raises BrokerUnavailable, EpochChanged.
        """
        request = ("steer", session_id, _json.encode(wish).decode())
        return bool((await self.call("session", request))[0])


def _pushed(push: Push) -> tuple[Any, ...]:
    spec = push.spec
    due_ms = push.due_ms or spec.scheduled_ms
    return (
        spec.id, push.run, spec.queue, spec.task, int(spec.priority), due_ms, _json.encode(spec).decode(),
        spec.durability is Durability.STORE, push.attempts, push.uncharged, push.crashes, push.recoveries,
        push.checkpoint,
    )  # fmt: skip
