"""The whole system at one moment, in figures.

A figure is None where its source did not answer, or has nothing to say; `faults` of the snapshot says which collector
failed, and why. No figure is estimated.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

DEAD_MAX = 10_000
"""Dead jobs of one queue are counted up to here."""


class JobFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How many jobs there are of each kind."""

    waiting: int = 0
    """QUEUED: for a free worker."""
    delayed: int = 0
    """SCHEDULED and RETRYING: for their time."""
    active: int = 0
    """ACTIVE."""
    blocked: int = 0
    """BLOCKED: for other jobs."""
    completed: int | None = None
    """That ended so since statistics began; they outlive the jobs."""
    failed: int | None = None
    """That ended DEAD since statistics began; a manual retry may end so again."""
    cancelled: int | None = None
    """That ended so since statistics began."""
    dead: int | None = None
    """That are DEAD in history now, counted up to DEAD_MAX in each queue."""


class QueueFigures(JobFigures, frozen=True, kw_only=True):
    """The jobs of one queue."""

    name: str


class QueueSection(msgspec.Struct, frozen=True, kw_only=True):
    """The queues."""

    total: JobFigures
    each: tuple[QueueFigures, ...]
    """By name, at most QUEUES_MAX; `total` is of all."""


QUEUES_MAX = 1_000


class WorkerFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The workers that are alive, and what they did in the last 60 minutes."""

    total: int
    active: int
    """That run a job."""
    idle: int
    """That run none."""
    stuck: int
    """Whose event loop does not answer."""
    slots: int
    """Jobs that they can run at a time, together."""
    running: int
    """Jobs that they hold."""
    processed_hour: int | None = None
    """Attempts that completed or failed."""
    failed_hour: int | None = None
    """Attempts that failed."""
    average_run_ms: float | None = None
    """How long an attempt ran; None where none ended."""


class PoolFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The connections of one process to the database, and what they are used for."""

    size: int
    """Open connections."""
    size_max: int
    active: int
    """In use."""
    idle: int
    waiting: int
    """Callers that wait for one."""
    queries: int
    """Since the process started."""
    slow_queries: int
    """Those that took longer than the threshold."""
    queries_minute: int
    """In the last minute."""
    average_query_ms: float | None
    """How long those took; None where there was none."""


class DatabaseFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The database, and the connections of all processes to it."""

    dialect: str
    size_bytes: int
    free_bytes: int | None = None
    """SQLite: part of the file that holds nothing."""
    wal_bytes: int | None = None
    """SQLite: size of the write-ahead log."""
    connections: int | None = None
    """PostgreSQL: to this database, everybody's (pg_stat_activity)."""
    connections_active: int | None = None
    """PostgreSQL: those that run a statement, without those that collect figures."""
    connections_max: int | None = None
    """PostgreSQL: what the server allows."""
    pool_size: int | None = None
    """What follows is of all processes together, as they say themselves."""
    pool_active: int | None = None
    pool_idle: int | None = None
    pool_waiting: int | None = None
    queries: int | None = None
    """Since each process started."""
    slow_queries: int | None = None
    """Those that took longer than the threshold."""
    queries_minute: int | None = None
    average_query_ms: float | None = None
    """How long those of the last minute took; None where there was none."""


class RedisFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Redis, as INFO says. All but `connected` is None where it is away."""

    connected: bool
    version: str | None = None
    uptime_s: int | None = None
    memory_used_bytes: int | None = None
    memory_max_bytes: int | None = None
    """None: no limit."""
    hit_rate: float | None = None
    """Part of the look-ups that found a key, 0 to 1, since its start; None where there were none."""
    keys: int | None = None
    connections: int | None = None
    operations_per_s: int | None = None
    evicted: int | None = None
    """Keys that it dropped for want of memory, since its start."""
    append_only: bool | None = None
    """Whether it writes what it does to disk."""
    append_ok: bool | None = None
    """Whether its last write there worked."""
    policy: str | None = None
    """What it does when it is full."""


class RecorderFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How far history is behind, and the stream that it is read from."""

    lag_events: int | None = None
    """Events that are not recorded yet, counted up to LAG_MAX; None: the database does not answer."""
    lag_ms: int | None = None
    """Age of the oldest of them; 0 where there is none."""
    stream_entries: int
    stream_bytes: int
    holding: bool
    """Whether no jobs are started until the recorder has caught up."""


LAG_MAX = 10_000


class ProcessKind(StrEnum):
    """What a process is for."""

    API = "API"
    """It answers GraphQL."""
    SERVICES = "SERVICES"
    """It records, schedules, repairs and watches."""
    WORKER = "WORKER"
    """It runs jobs."""


class BackupFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The backups that a process makes by itself."""

    every_s: float
    failing: bool
    """Whether it is the one that makes them, and the last attempt failed."""


class ProcessFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One process of QueueQL that is alive. Times but `seen_ms` are by the clock of its machine."""

    kind: ProcessKind
    host: str
    pid: int
    version: str
    started_ms: int
    seen_ms: int
    """When it was last heard of, by the clock of Redis."""
    cpu: float | None = None
    """Processor cores that it uses: 0.5 is half of one."""
    memory_bytes: int | None = None
    loop_lag_ms: int | None = None
    """How late its event loop was at most, since it said so last."""
    pool: PoolFigures | None = None
    """None where it has no database, or has not said yet."""
    faults: tuple[str, ...] = ()
    """What does not make progress in it, in a sentence each. Only the services say so."""
    backups: BackupFigures | None = None
    """None where it makes none."""


class ProcessTotal(msgspec.Struct, frozen=True, kw_only=True):
    """All processes together."""

    count: int
    cpu: float | None
    memory_bytes: int | None
    loop_lag_ms: int | None
    """Of the latest one."""


class ProcessSection(msgspec.Struct, frozen=True, kw_only=True):
    """The processes."""

    total: ProcessTotal
    each: tuple[ProcessFigures, ...]
    """By kind, host and pid."""


class NotificationFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Notifications in the last hour."""

    total: int
    sent: int
    delivered: int
    failed: int
    delivery_rate: float | None
    """0 to 1; None where there was none."""


class ErrorFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong for good in the last 60 minutes."""

    dead_hour: int
    """Jobs that ended DEAD."""
    notifications_failed_hour: int | None = None
    """None: there are no notifications."""

    @property
    def count(self) -> int:
        """All of them."""
        return self.dead_hour + (self.notifications_failed_hour or 0)


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The system at one moment. A section is None where its collector failed."""

    id: int | None = None
    """None: it was not stored."""
    at_ms: int
    """When collecting began."""
    took_ms: int
    queues: QueueSection | None = None
    workers: WorkerFigures | None = None
    database: DatabaseFigures | None = None
    redis: RedisFigures | None = None
    recorder: RecorderFigures | None = None
    processes: ProcessSection | None = None
    notifications: NotificationFigures | None = None
    errors: ErrorFigures | None = None
    faults: dict[str, str] = {}
    """Why, by collector, some figures are missing."""
