"""Queries about workers."""

from __future__ import annotations

from jobs.broker import Broker
from jobs.page import Page, PageRequest
from jobs.queries import keyset
from jobs.roster import Roster, RunningJob, Worker, WorkerState, WorkerWish
from jobs.viewer import Permission, Viewer, authorise

__all__ = ["RunningJob", "Worker", "WorkerQueries", "WorkerState", "WorkerWish"]


class WorkerQueries:
    """The worker processes that are alive."""

    def __init__(self, broker: Broker) -> None:
        self._roster = Roster(broker)

    async def page(self, viewer: Viewer, page: PageRequest) -> Page[Worker]:
        """Return a page of workers, the longest running first. Raises Forbidden, InvalidCursor, BrokerUnavailable."""
        authorise(viewer, Permission.READ)
        workers = {worker.id: worker for worker in await self._roster.all()}
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
        return await self._roster.find(worker_id)
