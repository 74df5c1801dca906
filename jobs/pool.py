"""The connections of processes to the database: what each says of its own, and what that is together. No I/O."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from jobs.snapshot import DatabaseFigures, PoolFigures, ProcessFigures
from jobs.store import StoreFigures


def pool_figures(figures: StoreFigures) -> PoolFigures:
    """Say what a process uses its connections for."""
    pool, ever, lately = figures.pool, figures.since_start, figures.statements
    return PoolFigures(
        size=pool.size,
        size_max=pool.max,
        active=pool.active,
        idle=pool.idle,
        waiting=pool.waiting,
        queries=ever.count,
        slow_queries=ever.slow,
        queries_minute=lately.count,
        average_query_ms=lately.average_ms,
    )


def with_pools(database: DatabaseFigures | None, processes: Sequence[ProcessFigures] | None) -> DatabaseFigures | None:
    """Add the connections of all processes together, as far as they said how many they have."""
    pools = [one.pool for one in processes or () if one.pool is not None]
    if database is None or not pools:
        return database
    return msgspec.structs.replace(
        database,
        pool_size=sum(pool.size for pool in pools),
        pool_active=sum(pool.active for pool in pools),
        pool_idle=sum(pool.idle for pool in pools),
        pool_waiting=sum(pool.waiting for pool in pools),
        queries=sum(pool.queries for pool in pools),
        slow_queries=sum(pool.slow_queries for pool in pools),
        queries_minute=sum(pool.queries_minute for pool in pools),
        average_query_ms=_average(pools),
    )


def _average(pools: Sequence[PoolFigures]) -> float | None:
    number = sum(pool.queries_minute for pool in pools)
    return sum(pool.queries_minute * (pool.average_query_ms or 0) for pool in pools) / number if number else None
