"""Queries about queues."""

from __future__ import annotations

from jobs.broker import Broker
from jobs.line import Lines, Queue
from jobs.page import Page, PageRequest
from jobs.queries import keyset
from jobs.store import Store
from jobs.viewer import Permission, Viewer, authorise

__all__ = ["Queue", "QueueQueries"]


class QueueQueries:
    """Every queue that ever had a job, with its live counts."""

    def __init__(self, store: Store, broker: Broker) -> None:
        self._lines = Lines(store, broker)

    async def page(self, viewer: Viewer, page: PageRequest) -> Page[Queue]:
        """Return a page of queues by name. Raises Forbidden, InvalidCursor, Unavailable."""
        authorise(viewer, Permission.READ)
        names = keyset.window(await self._lines.names(), page)
        return Page(
            items=await self._lines.read(names.items),
            cursors=names.cursors,
            has_next=names.has_next,
            has_previous=names.has_previous,
        )

    async def get(self, viewer: Viewer, name: str) -> Queue | None:
        """Return a queue, None where it never had a job. Raises Forbidden, Unavailable."""
        authorise(viewer, Permission.READ)
        if name not in await self._lines.names():
            return None
        return (await self._lines.read([name]))[0]
