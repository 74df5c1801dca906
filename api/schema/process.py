"""Processes, and their connections to the database, as the figures of the whole system show them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import strawberry

from api.schema.scalars import BigInt
from jobs.snapshot import PoolFigures as PoolRecord
from jobs.snapshot import ProcessFigures as ProcessRecord
from jobs.snapshot import ProcessKind

strawberry.enum(ProcessKind)


def average_query(root: strawberry.Parent[Any]) -> timedelta | None:
    """How long the queries of the last minute took on average; null where there was none."""
    return None if root.average_query_ms is None else timedelta(milliseconds=root.average_query_ms)


@strawberry.type
class PoolFigures:
    """The connections of one process to the database, and what they are used for."""

    size: int
    """Connections that are open."""
    size_max: int
    """Connections that may be open."""
    active: int
    """Connections in use."""
    idle: int
    """Connections that are not."""
    waiting: int
    """Callers that wait for a connection, or for their turn to write."""
    queries: BigInt
    """Queries since the process started."""
    slow_queries: BigInt
    """Those among them that took as long as the threshold, or longer."""
    queries_minute: int
    """Queries in the last minute."""
    average_query: timedelta | None = strawberry.field(resolver=average_query)


def process_lag(root: strawberry.Parent[Any]) -> timedelta | None:
    """How late the event loop was at most, since it was said last; null where that is not known."""
    return None if root.loop_lag_ms is None else timedelta(milliseconds=root.loop_lag_ms)


@strawberry.type
class ProcessFigures:
    """A process that is alive."""

    kind: ProcessKind
    """What it is for."""
    host: str
    """The machine it runs on."""
    pid: int
    """Its process id there."""
    version: str
    """Version of QueueQL that it runs."""
    started_ms: datetime = strawberry.field(name="startedAt")
    """When it started, by the clock of its machine."""
    seen_ms: datetime = strawberry.field(name="seenAt")
    """When it was last heard of."""
    cpu: float | None
    """Processor cores that it uses: 0.5 is half of one."""
    memory_bytes: BigInt | None
    """Memory that it has in use."""
    loop_lag: timedelta | None = strawberry.field(resolver=process_lag)
    pool: PoolRecord | None = strawberry.field(graphql_type=PoolFigures | None)
    """Its connections to the database; null where it has none, or has not said yet."""
    faults: list[str]
    """What does not make progress in it, in a sentence each. Only services say so."""


@strawberry.type
class ProcessTotal:
    """All processes together."""

    count: int
    """Processes that are alive."""
    cpu: float | None
    """Processor cores that they use."""
    memory_bytes: BigInt | None
    """Memory that they have in use."""
    loop_lag: timedelta | None = strawberry.field(resolver=process_lag)


@strawberry.type
class ProcessesFigures:
    """The processes that are alive: API, services and workers."""

    total: ProcessTotal
    """All of them together."""
    each: list[ProcessRecord] = strawberry.field(graphql_type=list[ProcessFigures])
    """Each of them, by kind, host and process id."""
