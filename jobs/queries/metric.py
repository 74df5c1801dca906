"""Queries of monitors: figures about all jobs that are cheap at any number of them."""

from __future__ import annotations

from collections.abc import Mapping, Set

from jobs.broker import Broker
from jobs.clock import Clock
from jobs.rescue import Rescue, RescueReason
from jobs.store import Store
from jobs.store.totals import Each
from jobs.viewer import Permission, Viewer, authorise


class MetricQueries:
    """What happened to the jobs, and which of them are stuck."""

    def __init__(self, store: Store, broker: Broker, clock: Clock) -> None:
        self._store = store
        self._rescue = Rescue(store, broker, clock)

    async def totals(self, viewer: Viewer) -> Each:
        """Return what happened since statistics began, by queue and task; nothing of it ever goes down.

        What did not happen for seven days is left out, and what is beyond 500 of them, by name. Raises Forbidden,
        StoreUnavailable.
        """
        authorise(viewer, Permission.READ)
        return await self._store.totals.each()

    async def queues(self, viewer: Viewer) -> Set[str]:
        """Return the queues in which something happened within seven days. Raises Forbidden, StoreUnavailable."""
        authorise(viewer, Permission.READ)
        return await self._store.totals.queues()

    async def stuck(self, viewer: Viewer) -> Mapping[RescueReason, int]:
        """Return how many jobs are stuck now, up to 100 of each kind. Raises Forbidden, Unavailable."""
        authorise(viewer, Permission.READ)
        return await self._rescue.look()
