"""Every metric: its name, type, labels and meaning. docs/metrics.md has the same, and a test compares them."""

from __future__ import annotations

from typing import Literal, NamedTuple

Kind = Literal["gauge", "counter", "histogram"]


class Family(NamedTuple):
    """A metric. The name of a counter ends with `_total`, as it is shown."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str


_QUEUE = ("queue",)
_TASK = ("task", "queue")
_WORKER = ("hostname", "pid")
_PROCESS = ("kind", "hostname", "pid")


def _gauge(name: str, help: str, *labels: str) -> Family:  # noqa: A002  # prometheus_client's name for it
    return Family(f"queueql_{name}", "gauge", labels, help)


def _counter(name: str, help: str, *labels: str) -> Family:  # noqa: A002  # as above
    return Family(f"queueql_{name}_total", "counter", labels, help)


def _histogram(name: str, help: str, *labels: str) -> Family:  # noqa: A002  # as above
    return Family(f"queueql_{name}", "histogram", labels, help)


_SYSTEM = (
    _gauge("up", "Whether a component makes progress, as /health says.", "component"),
    _gauge("build_info", "Always 1; the version of the API that was asked.", "version"),
    _gauge("queues_left_out", "Queues that are not shown because there are more than 1,000."),
    _gauge("tasks_left_out", "Pairs of task and queue that are not shown because there are more than 500."),
)
_JOBS = (
    _counter("task_sent", "Runs that began: jobs that were accepted, and manual retries.", *_TASK),
    _counter("task_started", "Attempts that were started.", *_TASK),
    _counter("task_succeeded", "Runs that completed.", *_TASK),
    _counter("task_failed", "Attempts that failed, the last ones of their runs too.", *_TASK),
    _counter("task_dead", "Runs that ended dead.", *_TASK),
    _counter("task_revoked", "Runs that were cancelled.", *_TASK),
    _counter("task_lost", "Attempts whose worker was lost.", *_TASK),
    _counter("task_snoozed", "Attempts that asked to be run again later.", *_TASK),
    _counter("task_released", "Attempts that a stopping worker gave back.", *_TASK),
    _counter("task_cpu_seconds", "Processor time of the attempts of which it is known.", *_TASK),
    _histogram("task_runtime_seconds", "How long attempts ran, without those that were lost.", *_TASK),
    _histogram("task_wait_seconds", "How long attempts waited, from when they could begin to their start.", *_TASK),
    _gauge("jobs_stuck", "Jobs that are stuck now, and are about to be rescued.", "reason"),
)
_QUEUES = (
    _gauge("queue_length", "Jobs that have not ended.", "queue", "state"),
    _gauge("queue_oldest_wait_seconds", "For how long the first of the jobs that could run has waited.", *_QUEUE),
    _gauge("queue_workers", "Workers that serve the queue, take jobs and answer.", *_QUEUE),
    _gauge("queue_healthy", "1 where /health/queues finds nothing, 0.5 where it is degraded, 0 where it does not move.",
           *_QUEUE),
    _gauge("queue_dead_letters", "Jobs that are dead now, counted up to 10,000.", *_QUEUE),
)  # fmt: skip
_WORKERS = (
    _gauge("worker_up", "Whether a worker answers; 0 for two minutes where one is lost.", *_WORKER),
    _gauge("workers", "Workers that answer."),
    _gauge("worker_tasks_active", "Jobs that a worker holds.", *_WORKER),
    _gauge("worker_slots", "Jobs that a worker may run at a time.", *_WORKER),
)
_PROCESSES = (
    _gauge("process_up", "Whether a process is alive and answers; 0 for two minutes where one is lost.", *_PROCESS),
    _gauge("process_cpu_cores", "Processor cores that a process uses.", *_PROCESS),
    _gauge("process_memory_bytes", "Resident memory of a process.", *_PROCESS),
    _gauge("process_loop_lag_seconds", "How late the event loop of a process was at most, lately.", *_PROCESS),
    _gauge("database_pool_connections", "Connections of a process to the database.", *_PROCESS, "state"),
    _gauge("database_pool_max", "Connections that a process may have.", *_PROCESS),
    _gauge("database_pool_waiting", "Callers that wait for a connection.", *_PROCESS),
    _counter("database_queries", "Queries of a process.", *_PROCESS),
    _counter("database_slow_queries", "Queries of a process that took longer than the threshold.", *_PROCESS),
    _gauge("database_query_average_seconds", "How long a query took on average in the last minute.", *_PROCESS),
)
_DATABASE = (
    _gauge("database_bytes", "Size of the database."),
    _gauge("database_free_bytes", "Part of SQLite's file that holds nothing."),
    _gauge("database_wal_bytes", "Size of SQLite's write-ahead log."),
    _gauge("database_connections", "Everybody's connections to the PostgreSQL database."),
    _gauge("database_connections_active", "Those among them that run a statement."),
    _gauge("database_connections_max", "Connections that the PostgreSQL server allows."),
)
_REDIS = (
    _gauge("redis_up", "Whether Redis answers."),
    _gauge("redis_uptime_seconds", "Time since Redis was started."),
    _gauge("redis_memory_used_bytes", "Memory that Redis uses."),
    _gauge("redis_memory_max_bytes", "Memory that Redis may use; absent: no limit."),
    _gauge("redis_hit_ratio", "Part of the look-ups that found a key, 0 to 1."),
    _gauge("redis_keys", "Keys in Redis."),
    _gauge("redis_connections", "Connections to Redis."),
    _gauge("redis_operations_per_second", "Commands that Redis runs per second."),
    _counter("redis_evicted", "Keys that Redis dropped for want of memory; it must be 0."),
)
_RECORDER = (
    _gauge("recorder_lag_events", "Events that are not recorded yet, counted up to 10,000."),
    _gauge("recorder_lag_seconds", "Age of the oldest of them."),
    _gauge("recorder_holding", "Whether no jobs are started until the recorder has caught up."),
    _gauge("events_stream_length", "Entries of the stream of events."),
    _gauge("events_stream_bytes", "Memory that the stream of events takes in Redis."),
)
_BACKUP = (
    _gauge("backup_every_seconds", "How often the services make a backup; absent: none of them does."),
    _gauge("backup_failing", "Whether the services could not make or verify a backup the last time."),
    _gauge("backup_created_timestamp_seconds", "When the latest backup was made."),
    _gauge("backup_bytes", "Size of the latest backup."),
    _gauge("backup_verified_timestamp_seconds", "When a backup was last restored into a scratch place."),
    _gauge("backup_verified", "Whether that found nothing wrong."),
)
_API = (
    _counter("api_operations", "GraphQL operations that this process of the API has ended.", "kind", "outcome"),
    _histogram("api_operation_seconds", "How long queries and mutations took in this process.", "kind"),
    _gauge("subscriptions_open", "Subscriptions that are open in this process.", "transport"),
)

CATALOGUE: dict[str, Family] = {
    family.name: family
    for part in (_SYSTEM, _JOBS, _QUEUES, _WORKERS, _PROCESSES, _DATABASE, _REDIS, _RECORDER, _BACKUP, _API)
    for family in part
}
"""By name, in the order in which they are shown."""
