"""Queries about queues."""

from __future__ import annotations

import msgspec

from jobs.broker import Broker
from jobs.job import FINAL, State
from jobs.page import Page, PageRequest
from jobs.queries import keyset
from jobs.store import Store
from jobs.viewer import Permission, Viewer, authorise


class Queue(msgspec.Struct, frozen=True, kw_only=True):
    """A queue: jobs that wait for workers which serve it."""

    name: str
    counts: dict[State, int]
    """Jobs in each state that is not final, right now."""


class QueueQueries:
    """Every queue that ever had a job, with its live counts."""

    def __init__(self, store: Store, broker: Broker) -> None:
        self._store = store
        self._broker = broker

    async def page(self, viewer: Viewer, page: PageRequest) -> Page[Queue]:
        """Return a page of queues by name. Raises Forbidden, InvalidCursor, Unavailable."""
        authorise(viewer, Permission.READ)
        names = keyset.window(sorted(await self._store.search.queues()), page)
        counts = await self._broker.counts(names.items)
        return Page(
            items=[_queue(name, counts) for name in names.items],
            cursors=names.cursors,
            has_next=names.has_next,
            has_previous=names.has_previous,
        )

    async def get(self, viewer: Viewer, name: str) -> Queue | None:
        """Return a queue, None where it never had a job. Raises Forbidden, Unavailable."""
        authorise(viewer, Permission.READ)
        if name not in await self._store.search.queues():
            return None
        return _queue(name, await self._broker.counts([name]))


def _queue(name: str, counts: dict[str, dict[State, int]]) -> Queue:
    known = counts.get(name, {})
    return Queue(name=name, counts={state: known.get(state, 0) for state in State if state not in FINAL})
