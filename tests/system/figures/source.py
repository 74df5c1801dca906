"""Where each figure comes from, asked without the product: SQL, INFO, /proc. A figure is (metric, queue or "")."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import redis.asyncio

from jobs.broker import keys
from jobs.broker.record import WorkerInfo
from jobs.event import Position
from jobs.snapshot import ProcessFigures
from tests.system.chaos.deployment import Deployment
from tests.system.figures.deployment import BusyEmbedded, BusyReplicated

Figures = dict[tuple[str, str], float]

HEAR_S = 0.05

_PARTS = ("api", "services", "worker")
MEMORY_MAX_BYTES = 500_000_000
"""What Redis is told that it may use."""
_STATES = {"QUEUE_COMPLETED": "COMPLETED", "QUEUE_CANCELLED": "CANCELLED", "QUEUE_DEAD": "DEAD"}
"""Recounted in history; a job that was retried has left it. The other states are those of the replay."""
_COUNTS = "SELECT queue, state, count(*) AS n FROM job GROUP BY queue, state"
_ATTEMPTS = (
    "SELECT sum(CASE WHEN state IN ('COMPLETED', 'FAILED') THEN 1 ELSE 0 END) AS processed,"
    " sum(CASE WHEN state = 'FAILED' THEN 1 ELSE 0 END) AS failed,"
    " avg(CASE WHEN state <> 'LOST' THEN finished_ms - started_ms END) AS average"
    " FROM attempt WHERE finished_ms >= {since_ms:d}"
)
_POSITION = "SELECT position FROM recorder"
_SERVER = (
    "SELECT pg_database_size(current_database()) AS size, count(*) AS all,"
    " (SELECT setting::int FROM pg_settings WHERE name = 'max_connections') AS most"
    " FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'"
)


@dataclass(frozen=True)
class Sample:
    """What a source said, between two moments."""

    began_s: float
    ended_s: float
    figures: Figures


class _Reader:
    """A connection of the checker."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._postgres: asyncpg.Connection | None = None
        self._sqlite: sqlite3.Connection | None = None

    async def open(self) -> None:
        if isinstance(self._deployment, BusyReplicated):
            self._postgres = await asyncpg.connect(self._deployment.sql_url, server_settings={"jit": "off"})
        elif isinstance(self._deployment, BusyEmbedded):
            self._sqlite = sqlite3.connect(self._deployment.database, timeout=10, check_same_thread=False)
            self._sqlite.row_factory = sqlite3.Row

    async def close(self) -> None:
        if self._postgres:
            await self._postgres.close()
        if self._sqlite:
            self._sqlite.close()

    async def rows(self, *texts: str) -> list[list[Any]]:
        if self._postgres:
            return [await self._postgres.fetch(text) for text in texts]
        return await asyncio.to_thread(self._read, texts)

    def _read(self, texts: Sequence[str]) -> list[list[Any]]:
        assert self._sqlite
        return [self._sqlite.execute(text).fetchall() for text in texts]


class Sources:
    """`async with Sources(deployment) as sources:`, then `await sources.sample(sources.sql)`."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._redis = redis.asyncio.Redis.from_url(deployment.redis_url)
        self._counting, self._measuring = _Reader(deployment), _Reader(deployment)
        self.reports: dict[int, dict[int, ProcessFigures]] = {}
        """What each process has said of itself, by when it did (by the clock of Redis, in milliseconds)."""
        self.renewals: dict[int, list[int]] = {}
        """When each worker renewed its lease."""
        self._asking = asyncio.Lock()
        self.positions: list[tuple[float, float, Position]] = []
        """Where the recorder was, between two moments."""

    async def __aenter__(self) -> Sources:
        await self._counting.open()
        await self._measuring.open()
        await self._redis.config_set("maxmemory", MEMORY_MAX_BYTES)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._redis.aclose()
        await self._counting.close()
        await self._measuring.close()

    async def sample(self, ask: Callable[[], Awaitable[Figures]]) -> Sample:
        """Ask one of them once."""
        began_s = time.time()
        return Sample(began_s, figures=await ask(), ended_s=time.time())

    async def texts(self) -> dict[str, Any]:
        """Tell what is no number, as the API shows it."""
        info = await self._redis.info()
        append_only = bool(info["aof_enabled"])
        return {
            "isConnected": True,
            "version": info.get("valkey_version") or info["redis_version"],
            "policy": info["maxmemory_policy"],
            "isAppendOnly": append_only,
            "isAppendOk": info["aof_last_write_status"] == "ok" if append_only else None,
            "dialect": "sqlite" if isinstance(self._deployment, BusyEmbedded) else "postgres",
            "isHolding": bool(await self._redis.exists(keys.BEHIND)),
        }

    # SQL

    async def sql(self) -> Figures:
        """Count again what is in history."""
        since_ms = 1000 * hour_s(time.time())
        counts, (attempts,) = await self._counting.rows(_COUNTS, _ATTEMPTS.format(since_ms=since_ms))
        figures = _queues(counts)
        figures["WORKER_PROCESSED_HOUR", ""] = attempts["processed"] or 0
        figures["WORKER_FAILED_HOUR", ""] = attempts["failed"] or 0
        if attempts["average"] is not None:
            figures["WORKER_AVERAGE_RUN_MS", ""] = float(attempts["average"])
        return figures

    async def database(self) -> Figures:
        """Ask the server, or the file, how large it is; note where the recorder is."""
        began_s = time.time()
        (((said,),),) = await self._measuring.rows(_POSITION)
        self.positions.append((began_s, time.time(), Position.parse(said)))
        if isinstance(self._deployment, BusyEmbedded):
            return await self._sqlite_file(self._deployment.database)
        ((row,),) = await self._measuring.rows(_SERVER)
        return {
            ("DATABASE_SIZE_BYTES", ""): row["size"],
            ("DATABASE_CONNECTIONS", ""): row["all"],
            ("DATABASE_CONNECTIONS_MAX", ""): row["most"],
        }

    async def _sqlite_file(self, file: Path) -> Figures:
        names = ("page_count", "page_size", "freelist_count")
        pages, size, free = [row[0] for (row,) in await self._measuring.rows(*(f"PRAGMA {name}" for name in names))]
        wal = file.with_name(f"{file.name}-wal")
        return {
            ("DATABASE_SIZE_BYTES", ""): pages * size,
            ("DATABASE_FREE_BYTES", ""): free * size,
            ("DATABASE_WAL_BYTES", ""): wal.stat().st_size if wal.exists() else 0,
        }

    # Redis

    async def redis(self) -> Figures:
        """Ask Redis how it is, and how many jobs the workers hold."""
        leases = [one.decode() for one in await self._redis.zrange(keys.LEASES, 0, -1)]
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.info().dbsize().xlen(keys.EVENTS).memory_usage(keys.EVENTS, samples=0)
            for lease in leases:
                pipeline.scard(keys.held(lease))
            info, number, entries, size, *held = await pipeline.execute()
        hits, misses = info["keyspace_hits"], info["keyspace_misses"]
        return {
            ("REDIS_UPTIME_S", ""): info["uptime_in_seconds"],
            ("REDIS_MEMORY_USED_BYTES", ""): info["used_memory"],
            ("REDIS_MEMORY_MAX_BYTES", ""): MEMORY_MAX_BYTES,
            ("REDIS_HIT_RATE", ""): hits / (hits + misses),
            ("REDIS_KEYS", ""): number,
            ("REDIS_CONNECTIONS", ""): info["connected_clients"],
            ("REDIS_OPERATIONS_PER_S", ""): info["instantaneous_ops_per_sec"],
            ("REDIS_EVICTED", ""): info["evicted_keys"],
            ("RECORDER_STREAM_ENTRIES", ""): entries,
            ("RECORDER_STREAM_BYTES", ""): size or 0,
            ("WORKER_TOTAL", ""): len(held),
            ("WORKER_ACTIVE", ""): sum(one > 0 for one in held),
            ("WORKER_IDLE", ""): sum(one == 0 for one in held),
            ("WORKER_RUNNING", ""): sum(held),
        }

    async def hear(self) -> None:
        """Note what the processes say of themselves, and when workers renew their leases, whenever they do."""
        while True:
            for name in await self._redis.zrange(keys.PROCESSES, 0, -1):
                seen, text = await self._redis.hmget(keys.process(name.decode()), ["seen", "figures"])
                if text:
                    said = msgspec.json.decode(text, type=ProcessFigures)
                    self.reports.setdefault(said.pid, {})[int(seen)] = said
            for name in await self._redis.zrange(keys.LEASES, 0, -1):
                seen, text = await self._redis.hmget(keys.session(name.decode()), ["seen", "info"])
                if text:
                    renewals = self.renewals.setdefault(msgspec.json.decode(text, type=WorkerInfo).pid, [])
                    if int(seen) not in renewals[-1:]:
                        renewals.append(int(seen))
            await asyncio.sleep(HEAR_S)

    def said_s(self, pid: int) -> float:
        """Tell when a process last said how it is."""
        return max(self.reports.get(pid, {0: None})) / 1000

    def position_between(self, since_s: float, until_s: float) -> tuple[Position, Position]:
        """Return where the recorder was at the one moment at least, and at the other at most."""
        first = next(position for _, ended_s, position in reversed(self.positions) if ended_s <= since_s)
        return first, next(position for began_s, _, position in self.positions if began_s >= until_s)

    # Processes

    async def processes(self) -> Figures:
        """Count them."""
        workers = self._deployment.pids("worker")
        return {
            ("PROCESS_COUNT", ""): sum(len(self._deployment.pids(part)) for part in _PARTS),
            ("WORKER_SLOTS", ""): len(workers) * int(self._deployment.environ()["QUEUEQL_CONCURRENCY"]),
        }


def hour_s(now_s: float) -> int:
    """Return when the hour began that statistics speak of: sixty minutes, the present one included."""
    return (int(now_s) // 60 - 59) * 60


def _queues(rows: Sequence[Any]) -> Figures:
    found = {(row["queue"], row["state"]): row["n"] for row in rows}
    names = {queue for queue, _ in found}
    figures: Figures = {}
    for metric, state in _STATES.items():
        each = {queue: found.get((queue, state), 0) for queue in names}
        figures |= {(metric, queue): number for queue, number in each.items()}
        figures[metric, ""] = sum(each.values())
    return figures
