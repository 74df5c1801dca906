"""The figures of the whole system, section by section."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import strawberry

from api.schema.process import average_query
from api.schema.scalars import BigInt
from jobs.snapshot import QueueFigures as QueueRecord
from jobs.snapshot import Snapshot


@strawberry.type
class JobFigures:
    """How many jobs there are. Figures of jobs that ended are null where history does not answer."""

    waiting: int
    """Jobs that wait for a free worker."""
    delayed: int
    """Jobs that wait for their time, or for their backoff to end."""
    active: int
    """Jobs that run."""
    blocked: int
    """Jobs that wait for other jobs."""
    completed: BigInt | None
    """Jobs that have completed since statistics began, also those that were removed since."""
    failed: BigInt | None
    """Jobs that used up their attempts, or could not be tried again, since statistics began. A manual retry may end
    so again."""
    cancelled: BigInt | None
    """Jobs that were cancelled since statistics began."""
    dead: int | None
    """Jobs that are dead now, counted up to 10,000 in each queue."""


@strawberry.type
class QueueFigures:
    """The jobs of one queue."""

    name: str
    """Name of the queue."""
    jobs: Any = strawberry.field(resolver=lambda root: root, graphql_type=JobFigures)
    """How many jobs it has."""


@strawberry.type
class QueuesFigures:
    """The jobs of all queues."""

    total: JobFigures
    """In all queues together."""
    each: list[QueueRecord] = strawberry.field(graphql_type=list[QueueFigures])
    """In each queue, by name; at most 1,000 queues."""


def average_run(root: strawberry.Parent[Any]) -> timedelta | None:
    """How long an attempt ran on average in the last hour; null where none ended."""
    return None if root.average_run_ms is None else timedelta(milliseconds=root.average_run_ms)


@strawberry.type
class WorkerFigures:
    """The workers that are alive, and what was done in the last hour: 60 minutes, the present one included."""

    total: int
    """Workers."""
    active: int
    """Workers that have a job."""
    idle: int
    """Workers that have none."""
    stuck: int
    """Workers whose event loop does not answer."""
    slots: int
    """Jobs that they can run at a time, together."""
    running: int
    """Jobs that they have."""
    processed_hour: BigInt | None
    """Attempts that completed or failed in the last hour."""
    failed_hour: BigInt | None
    """Attempts that failed in the last hour."""
    average_run: timedelta | None = strawberry.field(resolver=average_run)


@strawberry.type
class DatabaseFigures:
    """The database, and the connections of all processes to it. What it does not have is null."""

    dialect: str
    """`sqlite` or `postgres`."""
    size_bytes: BigInt
    """Its size."""
    free_bytes: BigInt | None
    """SQLite: the part of its file that holds nothing."""
    wal_bytes: BigInt | None
    """SQLite: size of its write-ahead log."""
    connections: int | None
    """PostgreSQL: everybody's connections to this database."""
    connections_active: int | None
    """PostgreSQL: those among them that run a statement."""
    connections_max: int | None
    """PostgreSQL: connections that the server allows."""
    pool_size: int | None
    """Connections that our processes have open, together. This and what follows is null while no process has said."""
    pool_active: int | None
    """Connections of theirs that are in use."""
    pool_idle: int | None
    """Connections of theirs that are not."""
    pool_waiting: int | None
    """Callers that wait for a connection, or for their turn to write."""
    queries: BigInt | None
    """Queries since each of the processes started."""
    slow_queries: BigInt | None
    """Those among them that took as long as the threshold, or longer."""
    queries_minute: int | None
    """Queries in the last minute."""
    average_query: timedelta | None = strawberry.field(resolver=average_query)


@strawberry.type
class RedisFigures:
    """Redis, as it says of itself. Everything but `isConnected` is null while it is away."""

    connected: bool = strawberry.field(name="isConnected")
    """Whether it answers."""
    version: str | None
    """Its version."""
    uptime: timedelta | None = strawberry.field(
        resolver=lambda root: None if root.uptime_s is None else timedelta(seconds=root.uptime_s),
        graphql_type=timedelta | None,
    )
    """Since when it runs."""
    memory_used_bytes: BigInt | None
    """Memory that it uses."""
    memory_max_bytes: BigInt | None
    """Memory that it may use; null: no limit."""
    hit_rate: float | None
    """Part of the look-ups that found a key since its start, 0 to 1; null where there were none."""
    keys: BigInt | None
    """Keys that it has."""
    connections: int | None
    """Connections to it, everybody's."""
    operations_per_s: int | None = strawberry.field(name="operationsPerSecond")
    """Commands that it runs per second."""
    evicted: BigInt | None
    """Keys that it dropped for want of memory since its start."""
    append_only: bool | None = strawberry.field(name="isAppendOnly")
    """Whether it writes what it does to disk."""
    append_ok: bool | None = strawberry.field(name="isAppendOk")
    """Whether its last write to disk worked; null where it writes none."""
    policy: str | None
    """What it does when it is full."""


def lag(root: strawberry.Parent[Any]) -> timedelta | None:
    """Age of the oldest event that is not recorded; zero where there is none, null where it is not known."""
    return None if root.lag_ms is None else timedelta(milliseconds=root.lag_ms)


@strawberry.type
class RecorderFigures:
    """How far history is behind, and the events that it is made from."""

    lag_events: int | None
    """Events that are not recorded yet, counted up to 10,000; null where that is not known."""
    lag: timedelta | None = strawberry.field(resolver=lag)
    stream_entries: BigInt
    """Entries of the stream of events."""
    stream_bytes: BigInt
    """Memory that the stream takes."""
    holding: bool = strawberry.field(name="isHolding")
    """Whether no jobs are started until history has caught up."""


@strawberry.type
class NotificationFigures:
    """Notifications of the last hour."""

    total: int
    """All."""
    sent: int
    """That were handed on."""
    delivered: int
    """That arrived."""
    failed: int
    """That did not."""
    delivery_rate: float | None
    """Part of them that arrived, 0 to 1; null where there was none."""


@strawberry.type
class ErrorFigures:
    """What went wrong for good in the last hour: 60 minutes, the present one included."""

    dead_hour: int
    """Jobs that ended dead."""
    notifications_failed_hour: int | None
    """Notifications that failed; null where there are no notifications."""
    count: int
    """Both together."""


@strawberry.type
class CollectorFault:
    """Figures that could not be collected."""

    collector: str
    """Which ones: `attempts`, `database`, `ended`, `processes`, `queues`, `recorder`, `redis` or `workers`."""
    reason: str
    """Why not."""


def faults(root: strawberry.Parent[Snapshot]) -> list[CollectorFault]:
    """What could not be collected, and why; the figures that need it are null."""
    return [CollectorFault(collector=name, reason=why) for name, why in root.faults.items()]
