"""Queries about statements of the database that took long."""

from __future__ import annotations

from jobs.store import SlowQuery, Store
from jobs.viewer import Permission, Viewer, authorise


class SlowQueryQueries:
    """The statements that were slowest. They show how the tables are built: for admins."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def worst(self, viewer: Viewer) -> list[SlowQuery]:
        """Return at most 100, the worst first, as of a few seconds ago. Raises Forbidden, StoreUnavailable."""
        authorise(viewer, Permission.ADMINISTER)
        return await self._store.slow.worst()
