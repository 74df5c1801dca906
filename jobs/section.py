"""The sections of a snapshot, made of what the collectors have found. No I/O.

None stands for what a collector could not find, and a section is None where it says nothing without that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from jobs.broker.figures import Lag
from jobs.job import State
from jobs.line import Queue
from jobs.roster import Worker
from jobs.snapshot import (
    QUEUES_MAX,
    ErrorFigures,
    JobFigures,
    ProcessFigures,
    ProcessKind,
    ProcessSection,
    ProcessTotal,
    QueueFigures,
    QueueSection,
    RecorderFigures,
    WorkerFigures,
)
from jobs.store.sums import Ended, Hour


def queue_section(queues: Sequence[Queue] | None, ended: Mapping[str, Ended] | None) -> QueueSection | None:
    """Say how many jobs there are, by queue and in all."""
    if queues is None:
        return None
    each = [_queue_figures(queue, ended.get(queue.name) if ended is not None else None) for queue in queues]
    return QueueSection(total=_sum(each, complete=ended is not None), each=tuple(each[:QUEUES_MAX]))


def _queue_figures(queue: Queue, ended: Ended | None) -> QueueFigures:
    counts = queue.counts
    return QueueFigures(
        name=queue.name,
        waiting=counts[State.QUEUED],
        delayed=counts[State.SCHEDULED] + counts[State.RETRYING],
        active=counts[State.ACTIVE],
        blocked=counts[State.BLOCKED],
        completed=ended.completed if ended else None,
        failed=ended.failed if ended else None,
        cancelled=ended.cancelled if ended else None,
        dead=ended.dead if ended else None,
    )


def _sum(queues: Sequence[QueueFigures], *, complete: bool) -> JobFigures:
    names = JobFigures.__struct_fields__
    known = names if complete else ("waiting", "delayed", "active", "blocked")
    return JobFigures(**{name: sum(getattr(queue, name) or 0 for queue in queues) for name in known})


def worker_figures(workers: Sequence[Worker] | None, hour: Hour | None) -> WorkerFigures | None:
    """Say what the workers are at, and what was done of late."""
    if workers is None:
        return None
    active = sum(worker.active > 0 for worker in workers)
    return WorkerFigures(
        total=len(workers),
        active=active,
        idle=len(workers) - active,
        stuck=sum(worker.is_responding is False for worker in workers),
        slots=sum(worker.concurrency for worker in workers),
        running=sum(worker.active for worker in workers),
        processed_hour=hour.completed + hour.failed if hour else None,
        failed_hour=hour.failed if hour else None,
        average_run_ms=hour.average_run_ms if hour else None,
    )


def with_lag(stream: RecorderFigures | None, lag: Lag | None) -> RecorderFigures | None:
    """Add how far the recorder is behind its stream, where the database says how far it has come."""
    if stream is None or lag is None:
        return stream
    return msgspec.structs.replace(stream, lag_events=lag.events, lag_ms=lag.ms)


def with_workers(
    processes: Sequence[ProcessFigures] | None, workers: Sequence[Worker] | None
) -> list[ProcessFigures] | None:
    """Add what the workers say with their leases; of their own accord they speak of their connections only."""
    if processes is None or workers is None:
        return None
    others = [one for one in processes if one.kind is not ProcessKind.WORKER]
    pools = {(one.host, one.pid): one.pool for one in processes if one.kind is ProcessKind.WORKER}
    saying = [
        ProcessFigures(
            kind=ProcessKind.WORKER,
            host=worker.host,
            pid=worker.pid,
            version=worker.version,
            started_ms=worker.started_ms,
            seen_ms=worker.seen_ms,
            cpu=worker.cpu,
            memory_bytes=worker.memory_bytes,
            loop_lag_ms=worker.loop_lag_ms,
            pool=pools.get((worker.host, worker.pid)),
        )
        for worker in workers
    ]
    return sorted([*others, *saying], key=lambda one: (one.kind, one.host, one.pid))


def process_section(processes: Sequence[ProcessFigures] | None) -> ProcessSection | None:
    """Say how the processes are, each and together."""
    if processes is None:
        return None
    cpu = [one.cpu for one in processes if one.cpu is not None]
    memory = [one.memory_bytes for one in processes if one.memory_bytes is not None]
    total = ProcessTotal(
        count=len(processes),
        cpu=round(sum(cpu), 3) if cpu else None,
        memory_bytes=sum(memory) if memory else None,
        loop_lag_ms=max((one.loop_lag_ms for one in processes if one.loop_lag_ms is not None), default=None),
    )
    return ProcessSection(total=total, each=tuple(processes))


def error_figures(hour: Hour | None) -> ErrorFigures | None:
    """Say what went wrong for good."""
    return None if hour is None else ErrorFigures(dead_hour=hour.dead)
