"""Where each figure comes from, asked without the product: SQL, INFO, /proc. A figure is (metric, queue or "")."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import psutil
import redis.asyncio

from jobs.broker import keys
from jobs.event import Position
from jobs.snapshot import ProcessFigures
from tests.system.chaos.deployment import Deployment
from tests.system.figures.deployment import BusyEmbedded, BusyReplicated

Figures = dict[tuple[str, str], float]

HEAR_S = 0.05

_PARTS = ("api", "services", "worker")
_STATES = {
    "QUEUE_WAITING": ("QUEUED",),
    "QUEUE_DELAYED": ("SCHEDULED", "RETRYING"),
    "QUEUE_ACTIVE": ("ACTIVE",),
    "QUEUE_BLOCKED": ("BLOCKED",),
    "QUEUE_COMPLETED": ("COMPLETED",),
    "QUEUE_FAILED": ("DEAD",),
    "QUEUE_CANCELLED": ("CANCELLED",),
    "QUEUE_DEAD": ("DEAD",),
}
_COUNTS = "SELECT queue, state, count(*) AS n FROM job GROUP BY queue, state"
_ATTEMPTS = (
    "SELECT sum(CASE WHEN state IN ('COMPLETED', 'FAILED') THEN 1 ELSE 0 END) AS processed,"
    " sum(CASE WHEN state = 'FAILED' THEN 1 ELSE 0 END) AS failed,"
    " avg(CASE WHEN state <> 'LOST' THEN finished_ms - started_ms END) AS average"
    " FROM attempt WHERE finished_ms >= {since_ms:d}"
)
_OTHERS = (
    "SELECT (SELECT count(*) FROM job WHERE state = 'DEAD' AND finished_ms >= {since_ms:d}) AS dead,"
    " (SELECT COALESCE(sum(count), 0) FROM slow_query) AS slow"
)
_SERVER = (
    "SELECT pg_database_size(current_database()) AS size, count(*) AS all,"
    " count(*) FILTER (WHERE state = 'active' AND pid <> pg_backend_pid()) AS active,"
    " count(*) FILTER (WHERE application_name = 'queueql') AS pool,"
    " count(*) FILTER (WHERE application_name = 'queueql' AND state <> 'idle') AS busy,"
    " (SELECT setting::int FROM pg_settings WHERE name = 'max_connections') AS most"
    " FROM pg_stat_activity WHERE datname = current_database()"
)


@dataclass(frozen=True)
class Sample:
    """What all sources said, between two moments."""

    began_s: float
    ended_s: float
    figures: Figures


class _Entry(msgspec.Struct, array_like=True):
    epoch: int
    events: list[msgspec.Raw]


class Sources:
    """`async with Sources(deployment) as sources:`, then `await sources.sample()`."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._redis = redis.asyncio.Redis.from_url(deployment.redis_url)
        self._postgres: asyncpg.Connection | None = None
        self._busy: dict[int, tuple[float, float]] = {}
        self.reports: dict[int, dict[int, ProcessFigures]] = {}
        """What each process has said of itself, by when it did (by the clock of Redis, in milliseconds)."""

    async def __aenter__(self) -> Sources:
        if isinstance(self._deployment, BusyReplicated):
            self._postgres = await asyncpg.connect(self._deployment.sql_url, server_settings={"jit": "off"})
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._redis.aclose()
        if self._postgres is not None:
            await self._postgres.close()

    async def sample(self) -> Sample:
        """Ask all of them once."""
        began_s = time.time()
        figures = await self._behind() | await self._sql() | await self._of_redis()
        figures |= await asyncio.to_thread(self._processes)
        return Sample(began_s, time.time(), figures)

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
            "dialect": "sqlite" if self._postgres is None else "postgres",
            "isHolding": bool(await self._redis.exists(keys.BEHIND)),
        }

    # SQL

    async def _sql(self) -> Figures:
        since_ms = (int(time.time() * 1000) // 60_000 - 59) * 60_000
        texts = [_COUNTS, _ATTEMPTS.format(since_ms=since_ms), _OTHERS.format(since_ms=since_ms)]
        if self._postgres is not None:
            counts, (attempts,), (others,) = [await self._postgres.fetch(text) for text in texts]
            figures = await self._postgres_server(self._postgres)
        else:
            counts, (attempts,), (others,) = await asyncio.to_thread(self._read, texts)
            figures = await asyncio.to_thread(self._sqlite_file)
        figures |= _queues(counts)
        figures[("WORKER_PROCESSED_HOUR", "")] = attempts["processed"] or 0
        figures[("WORKER_FAILED_HOUR", "")] = attempts["failed"] or 0
        if attempts["average"] is not None:
            figures[("WORKER_AVERAGE_RUN_MS", "")] = float(attempts["average"])
        figures[("ERROR_DEAD_HOUR", "")] = others["dead"]
        figures[("DATABASE_SLOW_QUERIES", "")] = float(others["slow"])
        return figures

    def _read(self, texts: Sequence[str]) -> list[list[Any]]:
        with closing(sqlite3.connect(self._file, timeout=10)) as database:
            database.row_factory = sqlite3.Row
            return [database.execute(text).fetchall() for text in texts]

    @property
    def _file(self) -> Path:
        assert isinstance(self._deployment, BusyEmbedded)
        return self._deployment.database

    def _sqlite_file(self) -> Figures:
        wal = self._file.with_name(f"{self._file.name}-wal")
        with closing(sqlite3.connect(self._file, timeout=10)) as database:
            pages, size, free = (
                database.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("page_count", "page_size", "freelist_count")
            )
        connections = 0
        for part in _PARTS:
            for pid in self._deployment.pids(part):
                connections += sum(one.path == str(self._file) for one in psutil.Process(pid).open_files())
        return {
            ("DATABASE_SIZE_BYTES", ""): pages * size,
            ("DATABASE_FREE_BYTES", ""): free * size,
            ("DATABASE_WAL_BYTES", ""): wal.stat().st_size if wal.exists() else 0,
            ("DATABASE_POOL_SIZE", ""): connections,
        }

    async def _postgres_server(self, connection: asyncpg.Connection) -> Figures:
        row = await connection.fetchrow(_SERVER)
        return {
            ("DATABASE_SIZE_BYTES", ""): row["size"],
            ("DATABASE_CONNECTIONS", ""): row["all"],
            ("DATABASE_CONNECTIONS_ACTIVE", ""): row["active"],
            ("DATABASE_CONNECTIONS_MAX", ""): row["most"],
            ("DATABASE_POOL_SIZE", ""): row["pool"],
            ("DATABASE_POOL_ACTIVE", ""): row["busy"],
            ("DATABASE_POOL_IDLE", ""): row["pool"] - row["busy"],
        }

    # Redis

    async def _of_redis(self) -> Figures:
        info = await self._redis.info()
        hits, misses = info["keyspace_hits"], info["keyspace_misses"]
        held = [
            await self._redis.scard(keys.held(one.decode())) for one in await self._redis.zrange(keys.LEASES, 0, -1)
        ]
        return {
            ("REDIS_UPTIME_S", ""): info["uptime_in_seconds"],
            ("REDIS_MEMORY_USED_BYTES", ""): info["used_memory"],
            ("REDIS_HIT_RATE", ""): hits / (hits + misses),
            ("REDIS_KEYS", ""): await self._redis.dbsize(),
            ("REDIS_CONNECTIONS", ""): info["connected_clients"],
            ("REDIS_OPERATIONS_PER_S", ""): info["instantaneous_ops_per_sec"],
            ("REDIS_EVICTED", ""): info["evicted_keys"],
            ("RECORDER_STREAM_ENTRIES", ""): await self._redis.xlen(keys.EVENTS),
            ("RECORDER_STREAM_BYTES", ""): await self._redis.memory_usage(keys.EVENTS, samples=0) or 0,
            ("WORKER_TOTAL", ""): len(held),
            ("WORKER_ACTIVE", ""): sum(number > 0 for number in held),
            ("WORKER_IDLE", ""): sum(number == 0 for number in held),
            ("WORKER_RUNNING", ""): sum(held),
        }

    async def hear(self) -> None:
        """Note what the processes say of themselves, whenever they say it."""
        while True:
            for name in await self._redis.zrange(keys.PROCESSES, 0, -1):
                seen, text = await self._redis.hmget(keys.process(name.decode()), ["seen", "figures"])
                if text:
                    said = msgspec.json.decode(text, type=ProcessFigures)
                    self.reports.setdefault(said.pid, {})[int(seen)] = said
            await asyncio.sleep(HEAR_S)

    def said_s(self, pid: int) -> float:
        """Tell when a process last said how it is."""
        return max(self.reports.get(pid, {0: None})) / 1000

    async def _behind(self) -> Figures:
        text = "SELECT position FROM recorder"
        if self._postgres is not None:
            said = await self._postgres.fetchval(text)
        else:
            (((said,),),) = await asyncio.to_thread(self._read, [text])
        position = Position.parse(said)
        page = await self._redis.xrange(keys.EVENTS, min=position.entry)
        behind = [(one.decode(), fields) for one, fields in page if one.decode() != position.entry]
        events, lag_ms = 0, 0.0
        if behind:
            seconds, micros = await self._redis.time()
            lag_ms = seconds * 1000 + micros // 1000 - int(behind[0][0].partition("-")[0])
            events = sum(len(msgspec.msgpack.decode(fields[b"e"], type=_Entry).events) for _, fields in behind)
        return {("RECORDER_LAG_EVENTS", ""): events, ("RECORDER_LAG_MS", ""): lag_ms}

    # /proc

    def _processes(self) -> Figures:
        figures: Figures = {}
        for part in _PARTS:
            for pid in self._deployment.pids(part):
                process, scope = psutil.Process(pid), f"{part.upper()} {pid}"
                figures["PROCESS_MEMORY_BYTES", scope] = process.memory_info().rss
                times, now_s = process.cpu_times(), time.monotonic()
                busy_s = times.user + times.system
                if pid in self._busy:
                    before_s, at_s = self._busy[pid]
                    figures["PROCESS_CPU", scope] = (busy_s - before_s) / (now_s - at_s)
                self._busy[pid] = busy_s, now_s
        for metric in ("PROCESS_MEMORY_BYTES", "PROCESS_CPU"):
            figures[metric, ""] = sum(value for (name, _), value in figures.items() if name == metric)
        workers = self._deployment.pids("worker")
        figures["PROCESS_COUNT", ""] = sum(len(self._deployment.pids(part)) for part in _PARTS)
        figures["WORKER_SLOTS", ""] = len(workers) * int(self._deployment.environ()["QUEUEQL_CONCURRENCY"])
        return figures


def _queues(rows: Sequence[Any]) -> Figures:
    found = {(row["queue"], row["state"]): row["n"] for row in rows}
    names = {queue for queue, _ in found}
    figures: Figures = {}
    for metric, states in _STATES.items():
        each = {queue: sum(found.get((queue, state), 0) for state in states) for queue in names}
        figures |= {(metric, queue): number for queue, number in each.items()}
        figures[(metric, "")] = sum(each.values())
    return figures
