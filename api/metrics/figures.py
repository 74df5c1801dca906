"""The figures of a snapshot as metrics."""

from __future__ import annotations

from collections.abc import Set

from api.metrics.sheet import Sheet
from jobs.fleet import Roll
from jobs.snapshot import ProcessFigures, ProcessKind, Snapshot

Place = tuple[ProcessKind, str, int]
"""Kind, host and pid of a process."""

_DATABASE = {
    "database_bytes": "size_bytes",
    "database_free_bytes": "free_bytes",
    "database_wal_bytes": "wal_bytes",
    "database_connections": "connections",
    "database_connections_active": "connections_active",
    "database_connections_max": "connections_max",
}
_REDIS = {
    "redis_up": "connected",
    "redis_uptime_seconds": "uptime_s",
    "redis_memory_used_bytes": "memory_used_bytes",
    "redis_memory_max_bytes": "memory_max_bytes",
    "redis_hit_ratio": "hit_rate",
    "redis_keys": "keys",
    "redis_connections": "connections",
    "redis_operations_per_second": "operations_per_s",
    "redis_evicted_total": "evicted",
}
_RECORDER = {
    "recorder_lag_events": "lag_events",
    "recorder_holding": "holding",
    "events_stream_length": "stream_entries",
    "events_stream_bytes": "stream_bytes",
}


def show_snapshot(sheet: Sheet, now: Snapshot, roll: Roll | None = None, *, busy: Set[str] | None = None) -> None:
    """Put in what the collectors found, and which processes are down; `roll` None: not known.

    `busy` are the queues in which something happened lately; None: not known.
    """
    for names, section in ((_DATABASE, now.database), (_REDIS, now.redis), (_RECORDER, now.recorder)):
        for name, figure in names.items():
            sheet.put(f"queueql_{name}", None if section is None else getattr(section, figure))
    if now.recorder:
        sheet.put("queueql_recorder_lag_seconds", _seconds(now.recorder.lag_ms))
    for queue in now.queues.each if now.queues else ():
        if queue.dead or busy is None or queue.name in busy:
            sheet.put("queueql_queue_dead_letters", queue.dead, queue.name)
    processes = now.processes.each if now.processes else ()
    made = [one.backups for one in processes if one.backups is not None]
    sheet.put("queueql_backup_every_seconds", min((one.every_s for one in made), default=None))
    sheet.put("queueql_backup_failing", any(one.failing for one in made) if made else None)
    gone, down = (roll.gone, roll.down) if roll else (set(), set())
    for place, one in {_place(one): one for one in sorted(processes, key=_seen)}.items():
        if place not in gone:  # one that is blocked tells from a thread how late its loop is
            _show_process(sheet, one)
        if place not in down:
            sheet.put("queueql_process_up", 1, *_labels(one))
    for kind, host, pid in sorted(down):
        sheet.put("queueql_process_up", 0, kind.lower(), host, pid)


def _labels(process: ProcessFigures) -> tuple[str, str, int]:
    return process.kind.lower(), process.host, process.pid


def _seen(process: ProcessFigures) -> int:
    return process.seen_ms


def _show_process(sheet: Sheet, one: ProcessFigures) -> None:
    labels = _labels(one)
    sheet.put("queueql_process_cpu_cores", one.cpu, *labels)
    sheet.put("queueql_process_memory_bytes", one.memory_bytes, *labels)
    sheet.put("queueql_process_loop_lag_seconds", _seconds(one.loop_lag_ms), *labels)
    if one.pool is None:
        return
    sheet.put("queueql_database_pool_connections", one.pool.active, *labels, "active")
    sheet.put("queueql_database_pool_connections", one.pool.idle, *labels, "idle")
    sheet.put("queueql_database_pool_max", one.pool.size_max, *labels)
    sheet.put("queueql_database_pool_waiting", one.pool.waiting, *labels)
    sheet.put("queueql_database_queries_total", one.pool.queries, *labels)
    sheet.put("queueql_database_slow_queries_total", one.pool.slow_queries, *labels)
    sheet.put("queueql_database_query_average_seconds", _seconds(one.pool.average_query_ms), *labels)


def _place(process: ProcessFigures) -> Place:
    return process.kind, process.host, process.pid


def _seconds(ms: float | None) -> float | None:
    return None if ms is None else ms / 1000
