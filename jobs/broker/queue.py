"""The broker: jobs on their way, in Redis. Every change is one Lua script; this is what calls them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, Self

import msgspec
import redis
import redis.asyncio
import redis.exceptions
import structlog
import uuid_utils

from jobs.broker import keys, scripts
from jobs.broker.lease import RETRY_S, Session
from jobs.broker.live import read_job
from jobs.broker.record import Cancelling, Push, Pushed, WorkerInfo, WorkerRecord
from jobs.broker.stream import Stream
from jobs.errors import BrokerUnavailable, EpochChanged, QueueFull, RedisEvicts, RedisUnreachable
from jobs.event import Position
from jobs.job import Durability, Job, State
from jobs.settings import Settings

log = structlog.get_logger(__name__)

VERSION_MIN = 7
CALL_TIMEOUT_S = 5.0
BLOCKING_TIMEOUT_S = 10.0
CONNECTIONS = 32
PUSH_DEADLINE_MS = 10_000
CHUNK = 500

_json = msgspec.json.Encoder()
_worker_info = msgspec.json.Decoder(WorkerInfo)


class Broker:
    """Jobs that have not ended, their workers and their events, in one Redis."""

    def __init__(self, url: str, settings: Settings) -> None:
        self._url = url
        self._settings = settings
        self.client = _client(url, CALL_TIMEOUT_S, CONNECTIONS)
        self.epoch = 0
        self.stream = Stream(self)

    @classmethod
    async def open(cls, url: str, settings: Settings) -> Self:
        """Connect. Raises RedisUnreachable, or RedisEvicts where Redis would drop jobs when it is full."""
        broker = cls(url, settings)
        try:
            await broker._check()
            await broker.refresh_epoch()
        except (redis.exceptions.RedisError, BrokerUnavailable, OSError) as error:
            await broker.close()
            raise RedisUnreachable(f"Redis does not answer at {_without_password(url)}: {error}") from None
        except RedisEvicts:
            await broker.close()
            raise
        return broker

    async def _check(self) -> None:
        info = await self.client.info()
        version = str(info.get("valkey_version") or info.get("redis_version", "0"))
        if int(version.split(".", maxsplit=1)[0]) < VERSION_MIN:
            raise RedisEvicts(f"Redis {version} is too old; QueueQL needs {VERSION_MIN}.0 or newer.")
        policy = info.get("maxmemory_policy", "noeviction")
        if policy != "noeviction":
            raise RedisEvicts(
                f"Redis has maxmemory-policy {policy} and would drop jobs when it is full; set it to noeviction."
            )

    async def close(self) -> None:
        """Close all connections of the broker. Sessions are closed by their owners."""
        await self.stream.close()
        await self.client.aclose()

    # Connections

    def dedicated_client(self) -> redis.asyncio.Redis:
        """Make a client with one connection of its own, for calls that block."""
        return _client(self._url, BLOCKING_TIMEOUT_S, 2)

    def thread_client(self) -> redis.Redis:
        """Make a client for one thread."""
        return redis.Redis.from_url(self._url, socket_timeout=CALL_TIMEOUT_S, socket_connect_timeout=CALL_TIMEOUT_S)

    # Calling scripts

    async def call(self, script: str, request: Any) -> Any:
        """Call a script; a change of epoch is noticed and the call repeated once.

        Raises BrokerUnavailable, EpochChanged, SessionLost, QueueFull.
        """
        try:
            return await scripts.run(self.client, script, request, str(self.epoch))
        except EpochChanged:
            await self.refresh_epoch()
            return await scripts.run(self.client, script, request, str(self.epoch))

    async def insist(self, client: redis.asyncio.Redis, script: str, request: Any) -> Any:
        """Call a script until Redis answers; only for scripts that may be repeated. Raises SessionLost."""
        waiting = False
        while True:
            try:
                answer = await scripts.run(client, script, request, str(self.epoch))
            except (BrokerUnavailable, EpochChanged, QueueFull) as error:
                if not waiting:
                    log.warning("broker.away", error=str(error))
                    waiting = True
                await asyncio.sleep(RETRY_S)
                if isinstance(error, EpochChanged):
                    await self._try_refresh_epoch()
            else:
                if waiting:
                    log.info("broker.back")
                return answer

    async def _try_refresh_epoch(self) -> None:
        try:
            await self.refresh_epoch()
        except BrokerUnavailable:
            log.debug("broker.epoch_unknown")

    # Epoch and clock

    async def refresh_epoch(self) -> int:
        """Read the broker's copy of the epoch; 0 where it has none. Raises BrokerUnavailable."""
        try:
            value = await self.client.get(keys.EPOCH)
        except (redis.exceptions.RedisError, OSError) as error:
            raise BrokerUnavailable(f"Redis does not answer: {error}") from error
        self.epoch = int(value or 0)
        return self.epoch

    def refresh_epoch_sync(self, client: redis.Redis) -> None:
        """Do the same from a thread."""
        value: Any = client.get(keys.EPOCH)
        self.epoch = int(value or 0)

    async def raise_epoch(self, number: int) -> int:
        """Set the broker's copy of the epoch unless it is higher; return what holds."""
        self.epoch = int(await scripts.run(self.client, "epoch", (number,), ""))
        return self.epoch

    async def run_id(self) -> str:
        """Return the id of the running server process; another one means that it was started anew."""
        try:
            return str((await self.client.info("server"))["run_id"])
        except (redis.exceptions.RedisError, OSError) as error:
            raise BrokerUnavailable(f"Redis does not answer: {error}") from error

    async def now_ms(self) -> int:
        """Return the time of Redis."""
        try:
            seconds, micros = await self.client.time()
        except (redis.exceptions.RedisError, OSError) as error:
            raise BrokerUnavailable(f"Redis does not answer: {error}") from error
        return int(seconds) * 1000 + int(micros) // 1000

    async def deadline_ms(self) -> int:
        """Return the latest time at which a push of what is known now may arrive."""
        return await self.now_ms() + PUSH_DEADLINE_MS

    # Jobs

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
            try:
                rows = await pipeline.execute()
            except (redis.exceptions.RedisError, OSError) as error:
                raise BrokerUnavailable(f"Redis does not answer: {error}") from error
        for job_id, row in zip(ids, rows, strict=True):
            job = read_job(row)
            if job:
                found[job_id] = job
        return found

    async def ids(self, *, cursor: int = 0, limit: int = 1000) -> tuple[int, list[str]]:
        """Return a part of all ids that Redis has and the cursor of the next part; 0: that was the last."""
        try:
            cursor, found = await self.client.scan(cursor, match=keys.JOB_PATTERN, count=limit)
        except (redis.exceptions.RedisError, OSError) as error:
            raise BrokerUnavailable(f"Redis does not answer: {error}") from error
        return cursor, [keys.job_id(key) for key in found]

    async def counts(self, queues: Iterable[str]) -> dict[str, dict[State, int]]:
        """Return how many jobs of each queue are in each state that is not final. Raises BrokerUnavailable."""
        names = list(queues)
        async with self.client.pipeline(transaction=False) as pipeline:
            for name in names:
                pipeline.hgetall(keys.counts(name))
            try:
                rows = await pipeline.execute()
            except (redis.exceptions.RedisError, OSError) as error:
                raise BrokerUnavailable(f"Redis does not answer: {error}") from error
        return {
            name: {State(state.decode()): max(0, int(value)) for state, value in row.items()}
            for name, row in zip(names, rows, strict=True)
        }

    # Upkeep, called by the services

    async def promote_due(self, limit: int = 1000) -> tuple[int, int]:
        """Make due jobs runnable. Returns how many, and the milliseconds until the next one (at most 1000)."""
        promoted, wait_ms = await self.call("due", (limit,))
        return int(promoted), int(wait_ms)

    async def reap(self, limit: int = 1000) -> tuple[list[str], list[str]]:
        """Take jobs back from sessions whose lease ran out. Returns the jobs and the sessions that ended."""
        reaped, ended = await self.call("reap", (limit,))
        return reaped, ended

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
        try:
            ids = [item.decode() for item in await self.client.zrange(keys.LEASES, 0, -1)]
            async with self.client.pipeline(transaction=False) as pipeline:
                for session_id in ids:
                    pipeline.hmget(keys.session(session_id), ["info", "seen"])
                    pipeline.scard(keys.held(session_id))
                rows = await pipeline.execute()
        except (redis.exceptions.RedisError, OSError) as error:
            raise BrokerUnavailable(f"Redis does not answer: {error}") from error
        found = [
            WorkerRecord(id=session_id, info=_worker_info.decode(info), seen_ms=int(seen), active=int(active))
            for session_id, (info, seen), active in zip(ids, rows[::2], rows[1::2], strict=True)
            if info
        ]
        return sorted(found, key=lambda worker: worker.id)


def _client(url: str, timeout_s: float, connections: int) -> redis.asyncio.Redis:
    pool = redis.asyncio.BlockingConnectionPool.from_url(
        url, max_connections=connections, timeout=timeout_s, socket_timeout=timeout_s, socket_connect_timeout=timeout_s
    )
    return redis.asyncio.Redis.from_pool(pool)


def _pushed(push: Push) -> tuple[Any, ...]:
    spec = push.spec
    return (
        spec.id, push.run, spec.queue, spec.task, int(spec.priority), spec.scheduled_ms, _json.encode(spec).decode(),
        spec.durability is Durability.STORE, push.attempts, push.uncharged, push.crashes, push.recoveries,
    )  # fmt: skip


def _without_password(url: str) -> str:
    head, at, tail = url.rpartition("@")
    return f"{head.split('://')[0]}://***@{tail}" if at else url
