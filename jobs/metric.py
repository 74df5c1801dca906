"""The figures of snapshots by name: to be followed over time, and to compare two moments by."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import msgspec

from jobs.snapshot import Snapshot


class Metric(StrEnum):
    """A figure of the snapshots, to be followed over time: section and field."""

    QUEUE_WAITING = "QUEUE_WAITING"
    """Jobs that wait for a free worker."""
    QUEUE_DELAYED = "QUEUE_DELAYED"
    """Jobs that wait for their time."""
    QUEUE_ACTIVE = "QUEUE_ACTIVE"
    """Jobs that run."""
    QUEUE_BLOCKED = "QUEUE_BLOCKED"
    """Jobs that wait for other jobs."""
    QUEUE_COMPLETED = "QUEUE_COMPLETED"
    """Jobs that have completed since statistics began."""
    QUEUE_FAILED = "QUEUE_FAILED"
    """Jobs that have ended dead since statistics began."""
    QUEUE_CANCELLED = "QUEUE_CANCELLED"
    """Jobs that were cancelled since statistics began."""
    QUEUE_DEAD = "QUEUE_DEAD"
    """Jobs that are dead, counted up to 10,000 in each queue."""
    WORKER_TOTAL = "WORKER_TOTAL"
    """Workers that are alive."""
    WORKER_ACTIVE = "WORKER_ACTIVE"
    """Workers that run a job."""
    WORKER_IDLE = "WORKER_IDLE"
    """Workers that run none."""
    WORKER_STUCK = "WORKER_STUCK"
    """Workers whose event loop does not answer."""
    WORKER_SLOTS = "WORKER_SLOTS"
    """Jobs that all workers can run at a time."""
    WORKER_RUNNING = "WORKER_RUNNING"
    """Jobs that the workers hold."""
    WORKER_PROCESSED_HOUR = "WORKER_PROCESSED_HOUR"
    """Attempts that completed or failed in the last hour."""
    WORKER_FAILED_HOUR = "WORKER_FAILED_HOUR"
    """Attempts that failed in the last hour."""
    WORKER_AVERAGE_RUN_MS = "WORKER_AVERAGE_RUN_MS"
    """How long an attempt ran on average in the last hour, in milliseconds."""
    DATABASE_SIZE_BYTES = "DATABASE_SIZE_BYTES"
    """Size of the database."""
    DATABASE_FREE_BYTES = "DATABASE_FREE_BYTES"
    """Part of SQLite's file that holds nothing."""
    DATABASE_WAL_BYTES = "DATABASE_WAL_BYTES"
    """Size of SQLite's write-ahead log."""
    DATABASE_CONNECTIONS = "DATABASE_CONNECTIONS"
    """Everybody's connections to the PostgreSQL database."""
    DATABASE_CONNECTIONS_ACTIVE = "DATABASE_CONNECTIONS_ACTIVE"
    """Those among them that run a statement."""
    DATABASE_CONNECTIONS_MAX = "DATABASE_CONNECTIONS_MAX"
    """Connections that the PostgreSQL server allows."""
    DATABASE_POOL_SIZE = "DATABASE_POOL_SIZE"
    """Connections that the processes have open."""
    DATABASE_POOL_ACTIVE = "DATABASE_POOL_ACTIVE"
    """Connections of theirs that are in use."""
    DATABASE_POOL_IDLE = "DATABASE_POOL_IDLE"
    """Connections of theirs that are not."""
    DATABASE_POOL_WAITING = "DATABASE_POOL_WAITING"
    """Callers that wait for a connection."""
    DATABASE_QUERIES = "DATABASE_QUERIES"
    """Queries since each process started."""
    DATABASE_SLOW_QUERIES = "DATABASE_SLOW_QUERIES"
    """Those among them that took longer than the threshold."""
    DATABASE_QUERIES_MINUTE = "DATABASE_QUERIES_MINUTE"
    """Queries in the last minute."""
    DATABASE_AVERAGE_QUERY_MS = "DATABASE_AVERAGE_QUERY_MS"
    """How long these took on average, in milliseconds."""
    REDIS_UPTIME_S = "REDIS_UPTIME_S"
    """Seconds since Redis was started."""
    REDIS_MEMORY_USED_BYTES = "REDIS_MEMORY_USED_BYTES"
    """Memory that Redis uses."""
    REDIS_MEMORY_MAX_BYTES = "REDIS_MEMORY_MAX_BYTES"
    """Memory that Redis may use."""
    REDIS_HIT_RATE = "REDIS_HIT_RATE"
    """Part of the look-ups in Redis that found a key, 0 to 1."""
    REDIS_KEYS = "REDIS_KEYS"
    """Keys in Redis."""
    REDIS_CONNECTIONS = "REDIS_CONNECTIONS"
    """Connections to Redis."""
    REDIS_OPERATIONS_PER_S = "REDIS_OPERATIONS_PER_S"
    """Commands that Redis runs per second."""
    REDIS_EVICTED = "REDIS_EVICTED"
    """Keys that Redis dropped for want of memory."""
    RECORDER_LAG_EVENTS = "RECORDER_LAG_EVENTS"
    """Events that are not recorded yet, counted up to 10,000."""
    RECORDER_LAG_MS = "RECORDER_LAG_MS"
    """Age of the oldest of them, in milliseconds."""
    RECORDER_STREAM_ENTRIES = "RECORDER_STREAM_ENTRIES"
    """Entries of the stream of events."""
    RECORDER_STREAM_BYTES = "RECORDER_STREAM_BYTES"
    """Memory that the stream of events takes."""
    PROCESS_COUNT = "PROCESS_COUNT"
    """Processes that are alive."""
    PROCESS_CPU = "PROCESS_CPU"
    """Processor cores that all processes use together."""
    PROCESS_MEMORY_BYTES = "PROCESS_MEMORY_BYTES"
    """Memory that all processes have in use together."""
    PROCESS_LOOP_LAG_MS = "PROCESS_LOOP_LAG_MS"
    """How late the event loop of the latest process was, in milliseconds."""
    ERROR_DEAD_HOUR = "ERROR_DEAD_HOUR"
    """Jobs that ended dead in the last hour."""

    @property
    def of_queue(self) -> bool:
        """Tell whether each queue has one of its own."""
        return self.startswith("QUEUE_")

    @property
    def place(self) -> tuple[str, ...]:
        """Where it stands in a snapshot: the section first, the figure last."""
        section, _, figure = self.partition("_")
        return (*_SECTIONS[section], figure.lower())


_SECTIONS: dict[str, tuple[str, ...]] = {
    "QUEUE": ("queues", "total"),
    "WORKER": ("workers",),
    "DATABASE": ("database",),
    "REDIS": ("redis",),
    "RECORDER": ("recorder",),
    "PROCESS": ("processes", "total"),
    "ERROR": ("errors",),
}


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A figure in two snapshots. None: it is not known there."""

    metric: Metric
    queue: str | None
    """None: of the whole system."""
    before: float | None
    after: float | None

    @property
    def change(self) -> float | None:
        """`after` less `before`; None where one of them is not known."""
        return None if self.before is None or self.after is None else self.after - self.before


class SeriesRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A figure over time: from `since_ms` on and before `until_ms`, step by step."""

    metric: Metric
    since_ms: int
    until_ms: int
    step_ms: int
    queue: str | None = None
    """Of this queue alone, where the metric is one of queues."""


class SeriesPoint(msgspec.Struct, frozen=True, kw_only=True):
    """A figure in the snapshots of one step of time."""

    at_ms: int
    """When the step begins."""
    count: int
    """Snapshots in which it is known."""
    average: float
    least: float
    most: float


def measure(snapshot: Snapshot, metric: Metric, queue: str | None = None) -> float | None:
    """Return a figure of a snapshot, of one queue where that is named; None where it is not known."""
    found: Any = snapshot
    *way, figure = metric.place
    if queue is not None:
        each = snapshot.queues.each if snapshot.queues else ()
        found, way = next((one for one in each if one.name == queue), None), []
    for name in (*way, figure):
        found = None if found is None else getattr(found, name)
    return None if found is None else float(found)


def compare(before: Snapshot, after: Snapshot) -> list[Difference]:
    """Return all figures that at least one of the two knows, those of single queues last."""
    named = {one.name for snapshot in (before, after) if snapshot.queues for one in snapshot.queues.each}
    scopes: Sequence[tuple[str | None, list[Metric]]] = [
        (None, list(Metric)),
        *((name, [metric for metric in Metric if metric.of_queue]) for name in sorted(named)),
    ]
    found = [
        Difference(
            metric=metric, queue=queue, before=measure(before, metric, queue), after=measure(after, metric, queue)
        )
        for queue, metrics in scopes
        for metric in metrics
    ]
    return [one for one in found if one.before is not None or one.after is not None]
