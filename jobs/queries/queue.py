"""Queries about queues."""

from __future__ import annotations

from jobs.broker import Broker
from jobs.fleet import Fleet
from jobs.line import Lines, Queue
from jobs.page import Page, PageRequest
from jobs.queries import keyset
from jobs.queue_health import QueueHealth, QueueStatus
from jobs.store import Store
from jobs.viewer import Permission, Viewer, authorise

__all__ = ["Queue", "QueueHealth", "QueueQueries", "QueueStatus"]


class QueueQueries:
    """Every queue that ever had a job or that a worker serves, with its live counts."""

    def __init__(self, store: Store, broker: Broker, fleet: Fleet) -> None:
        self._fleet = fleet
        self._lines = Lines(store, broker)

    async def page(self, viewer: Viewer, page: PageRequest) -> Page[Queue]:
        """Return a page of queues by name. Raises Forbidden, InvalidCursor, Unavailable."""
        authorise(viewer, Permission.READ)
        names = keyset.window(await self._lines.known(), page)
        return Page(
            items=await self._lines.read(names.items),
            cursors=names.cursors,
            has_next=names.has_next,
            has_previous=names.has_previous,
        )

    async def get(self, viewer: Viewer, name: str) -> Queue | None:
        """Return a queue, None where it never had a job and no worker serves it. Raises Forbidden, Unavailable."""
        authorise(viewer, Permission.READ)
        if name not in await self._lines.known():
            return None
        return (await self._lines.read([name]))[0]

    async def health(self, viewer: Viewer) -> list[QueueHealth]:
        """Return how each queue is, by name, as of a second ago at most. Raises Forbidden, Unavailable."""
        authorise(viewer, Permission.READ)
        return await self._fleet.queues()
