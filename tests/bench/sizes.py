"""How large things are: a database with its tables, and Redis."""

from __future__ import annotations

from typing import Any

import redis.asyncio

from jobs.broker import keys
from jobs.store.config import sqlite_path
from jobs.store.database import Database

TABLES = ("job", "job_tag", "job_key", "attempt", "log_line", "rollup", "system_health_snapshots")
_FIGURES = ("bytes", "index_bytes", "dead_rows", "vacuums")
_OF_TABLES = """
SELECT c.relname AS name, pg_total_relation_size(c.oid) AS bytes, pg_indexes_size(c.oid) AS index_bytes,
    s.n_dead_tup AS dead_rows, s.autovacuum_count AS vacuums
FROM pg_class c JOIN pg_stat_user_tables s ON s.relid = c.oid WHERE c.relname = ANY($1::text[]) ORDER BY bytes DESC
"""
_OF_POSTGRES = "SELECT pg_database_size(current_database()) AS bytes, (SELECT sum(size) FROM pg_ls_waldir()) AS wal"
_OF_SQLITE = (
    "SELECT page_size * page_count AS bytes, page_size * freelist_count AS free"
    " FROM pragma_page_size(), pragma_page_count(), pragma_freelist_count()"
)


async def of_database(database: Database, url: str) -> dict[str, int]:
    """Return the bytes of the database and of its log, and the rows of each table."""
    rows = {}
    for table in TABLES:
        (row,) = await database.fetch(f"SELECT count(*) AS n FROM {table}")  # noqa: S608  # names of our own tables
        rows[f"{table}_rows"] = int(row["n"])
    path = sqlite_path(url)
    if path is None:
        (row,) = await database.fetch(_OF_POSTGRES)
        return {"database_bytes": int(row["bytes"]), "wal_bytes": int(row["wal"])} | rows
    (row,) = await database.fetch(_OF_SQLITE)
    log = path.with_name(f"{path.name}-wal")
    wal_bytes = log.stat().st_size if log.exists() else 0
    return {"database_bytes": int(row["bytes"]), "free_bytes": int(row["free"]), "wal_bytes": wal_bytes} | rows


async def of_tables(database: Database) -> dict[str, dict[str, int]]:
    """Return the bytes of each table and of its indexes, dead rows and how often it was vacuumed; {} in SQLite."""
    if database.dialect == "sqlite":
        return {}
    rows = await database.fetch(_OF_TABLES, (list(TABLES),))
    return {row["name"]: {name: int(row[name]) for name in _FIGURES} for row in rows}


async def of_redis(client: redis.asyncio.Redis) -> dict[str, int]:
    """Return the memory of Redis, as it counts and as the system does, and its entries of the stream and its keys."""
    memory: Any = await client.info("memory")
    return {
        "redis_bytes": int(memory["used_memory"]),
        "redis_rss_bytes": int(memory["used_memory_rss"]),
        "stream_entries": int(await client.xlen(keys.EVENTS)),
        "redis_keys": int(await client.dbsize()),
    }
