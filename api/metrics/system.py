"""Components, queues and workers as metrics."""

from __future__ import annotations

from collections.abc import Sequence, Set

from api.metrics.sheet import Sheet
from jobs.fleet import Roll
from jobs.probe import Health
from jobs.queries import Backup
from jobs.queue_health import QueueHealth, QueueStatus
from jobs.snapshot import QUEUES_MAX, ProcessKind
from jobs.version import version

_HEALTHY = {QueueStatus.HEALTHY: 1.0, QueueStatus.DEGRADED: 0.5, QueueStatus.UNHEALTHY: 0.0}


def show_components(sheet: Sheet, parts: Sequence[Health]) -> None:
    """Put in which components make progress."""
    for part in parts:
        sheet.put("queueql_up", part.ok, part.component)
    sheet.put("queueql_build_info", 1, version())


def show_queues(sheet: Sheet, roll: Roll, health: Sequence[QueueHealth], busy: Set[str] | None) -> None:
    """Put in how long the queues are, and how they are: those with jobs, workers, or in `busy`; all where it is None.

    Where there are too many, those that are well give way, the last by name.
    """
    counts = {queue.name: queue.counts for queue in roll.queues}
    alive = [
        found
        for found in health
        if busy is None or found.name in busy or found.facts.workers or any(counts.get(found.name, {}).values())
    ]
    alive.sort(key=lambda found: (found.status is QueueStatus.HEALTHY, found.name))
    sheet.put("queueql_queues_left_out", max(0, len(alive) - QUEUES_MAX))
    for found in alive[:QUEUES_MAX]:
        for state, count in counts.get(found.name, {}).items():
            sheet.put("queueql_queue_length", count, found.name, state.lower())
        sheet.put("queueql_queue_oldest_wait_seconds", found.facts.oldest_wait_s, found.name)
        sheet.put("queueql_queue_workers", found.facts.workers, found.name)
        sheet.put("queueql_queue_healthy", _HEALTHY[found.status], found.name)


def show_workers(sheet: Sheet, roll: Roll) -> None:
    """Put in the workers that hold a lease, and those that are lost."""
    sheet.put("queueql_workers", sum(roll.answers(worker) for worker in roll.workers))
    for worker in roll.present:
        labels = worker.host, worker.pid
        sheet.put("queueql_worker_up", roll.answers(worker), *labels)
        sheet.put("queueql_worker_tasks_active", worker.active, *labels)
        sheet.put("queueql_worker_slots", worker.concurrency, *labels)
    for one in roll.lost:
        if one.kind is ProcessKind.WORKER:
            sheet.put("queueql_worker_up", 0, one.host, one.pid)


def show_backups(sheet: Sheet, newest: Sequence[Backup]) -> None:
    """Put in the latest backup, and the latest that was restored on trial."""
    for backup in newest[:1]:
        sheet.put("queueql_backup_created_timestamp_seconds", backup.created_ms / 1000)
        sheet.put("queueql_backup_bytes", backup.size_bytes)
    verified = [backup.verified_ms for backup in newest if backup.verified_ms is not None]
    if verified:
        sheet.put("queueql_backup_verified_timestamp_seconds", max(verified) / 1000)
    for backup in [backup for backup in newest if backup.verified_ms is not None or backup.fault is not None][:1]:
        sheet.put("queueql_backup_verified", backup.fault is None)
