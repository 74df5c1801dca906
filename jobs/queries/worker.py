"""Queries about workers."""

from __future__ import annotations

import msgspec

from jobs.broker import Broker, WorkerRecord
from jobs.page import Page, PageRequest
from jobs.queries import keyset
from jobs.viewer import Permission, Viewer, authorise


class Worker(msgspec.Struct, frozen=True, kw_only=True):
    """A worker process that holds a lease."""

    id: str
    """Of its session: a worker that lost its lease comes back with another one."""
    host: str
    pid: int
    version: str
    """Of QueueQL."""
    queues: tuple[str, ...]
    tasks: tuple[str, ...]
    concurrency: int
    """Jobs that it runs at a time."""
    active: int
    """Jobs that it holds now."""
    started_ms: int
    seen_ms: int
    """Last renewal of its lease."""


class WorkerQueries:
    """The worker processes that are alive."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    async def page(self, viewer: Viewer, page: PageRequest) -> Page[Worker]:
        """Return a page of workers, the longest running first. Raises Forbidden, InvalidCursor, BrokerUnavailable."""
        authorise(viewer, Permission.READ)
        workers = {record.id: _worker(record) for record in await self._broker.workers()}
        ids = keyset.window(sorted(workers), page)
        return Page(
            items=[workers[worker_id] for worker_id in ids.items],
            cursors=ids.cursors,
            has_next=ids.has_next,
            has_previous=ids.has_previous,
        )

    async def get(self, viewer: Viewer, worker_id: str) -> Worker | None:
        """Return a worker, None where it is not alive. Raises Forbidden, BrokerUnavailable."""
        authorise(viewer, Permission.READ)
        return next((_worker(record) for record in await self._broker.workers() if record.id == worker_id), None)


def _worker(record: WorkerRecord) -> Worker:
    info = record.info
    return Worker(
        id=record.id,
        host=info.host,
        pid=info.pid,
        version=info.version,
        queues=tuple(info.queues),
        tasks=tuple(info.tasks),
        concurrency=info.concurrency,
        active=record.active,
        started_ms=info.started_ms,
        seen_ms=record.seen_ms,
    )
